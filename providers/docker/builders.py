"""Ways to make an image of a source and publish it, behind one protocol; and which one is used, and why.

Second of the image's three steps (source, build, registry). A builder publishes exactly one tag; the
channel tag is put beside it by `RegistryClient.tag`, so that a half-done push never moves it.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

from providers.docker.append import AppendBuilder
from providers.docker.engine import EngineBuilder, engine_answers
from providers.docker.source import ImageSource
from providers.protocol import Report

BuilderName = Literal["auto", "engine", "append"]


class Builder(Protocol):
    """One way to make and publish an image."""

    @property
    def name(self) -> str:
        """As in the settings: "engine", "append"."""

    @property
    def reason(self) -> str:
        """Why this one was selected, for people."""

    def check(self) -> None:
        """Everything about the source that was selected for, and can be known before a write; writes nothing.

        Raises:
            ProviderError: the source cannot be built this way, or what it needs is not there.
        """

    def publish(
        self, source: ImageSource, repository: str, tag: str, labels: Mapping[str, str], report: Report
    ) -> str:
        """Build the source and push it under this one tag; the digest that the tag then points to.

        Args:
            repository: "user/app", "reg.io/team/app".
            labels: put on the image, beside those of its base.

        Raises:
            RefusedError: the build failed, and at which step.
            ProviderError: what the registry or the Engine answered.
        """


def select(name: BuilderName, source: ImageSource) -> Builder:
    """The builder of this name; for "auto" the Docker Engine when one answers, else `append` if it can.

    "auto" without an Engine and without a base image gives the engine builder, whose `check` then says what
    is missing.
    """
    if name == "engine":
        return EngineBuilder(source, "the settings ask for it")
    if name == "append":
        return AppendBuilder(source, "the settings ask for it")
    if source.base is None:
        return EngineBuilder(source, "the only one that needs no base image")
    if engine_answers():
        return EngineBuilder(source, "a Docker Engine is running")
    return AppendBuilder(source, "no Docker Engine is running, and a base image is named")
