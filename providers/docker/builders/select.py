"""Ways to make an image of a source and publish it, behind one protocol; and which one is used, and why.

Second of the image's three steps (source, build, registry). A builder puts no tag that anybody uses: it may
take minutes to push, and whether a version is still free is a question for the moment its tag is put. Both
tags are put in the registry afterwards, so that a half-done push moves neither.
"""

from collections.abc import Mapping
from functools import partial
from typing import Literal, Protocol

from providers.docker.registry.connection import ConnectionPool
from providers.docker.source.key import ImageSource
from providers.protocol import Report

BuilderName = Literal["auto", "buildx", "buildkit", "engine", "append"]


class Builder(Protocol):
    """One way to make and publish an image."""

    @property
    def name(self) -> str:
        """As in the settings: "buildx", "append"."""

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
        """Build the source and push it, known by its digest there; the digest.

        Args:
            repository: "user/app", "reg.io/team/app".
            tag: what it is going to be called; a builder with an Engine leaves it there under that name.
            labels: put on the image, beside those of its base.

        Raises:
            RefusedError: the build failed, and at which step.
            ProviderError: what the registry or the Engine answered.
        """


def select(name: BuilderName, source: ImageSource, pool: ConnectionPool | None = None) -> Builder:
    """The builder of this name; for "auto" the first that is there of buildx, buildkit, engine and append.

    "auto" never fails: when nothing is there it gives the engine builder, whose `check` says what is missing.

    Args:
        wire: connections to registries, for a builder that speaks to one itself; its own when None.
    """
    from providers.docker.builders import append, buildkit, buildx, engine  # late: most runs build nothing

    asked_for = "the settings ask for it"
    match name:
        case "buildx":
            return buildx.BuildxBuilder(source, asked_for, pool)
        case "buildkit":
            return buildkit.BuildKitBuilder(source, asked_for)
        case "engine":
            return engine.EngineBuilder(source, asked_for)
        case "append":
            return append.AppendBuilder(source, asked_for, pool)
        case "auto":
            return _first_there(source, pool)


def _first_there(source: ImageSource, pool: ConnectionPool | None) -> Builder:
    from providers.docker.builders import append, buildkit, buildx, engine

    if source.base is not None and not (source.folder / source.dockerfile).exists():
        return append.AppendBuilder(source, "there is no Dockerfile, and a base image is named", pool)
    passed_over: list[str] = []
    for probe, builder in (
        (buildx.probe, partial(buildx.BuildxBuilder, pool=pool)),
        (buildkit.probe, buildkit.BuildKitBuilder),
        (engine.probe, engine.EngineBuilder),
    ):
        found = probe()
        if found.there:
            return builder(source, _reason(found.why, passed_over))
        passed_over.append(found.why)
    if source.base is not None:
        return append.AppendBuilder(source, _reason("a base image is named", passed_over), pool)
    return engine.EngineBuilder(source, _reason("nothing else builds without a base image", passed_over))


def _reason(reason: str, passed_over: list[str]) -> str:
    """The reason, and what was found of those that come first."""
    return f"{reason} ({'; '.join(dict.fromkeys(passed_over))})" if passed_over else reason
