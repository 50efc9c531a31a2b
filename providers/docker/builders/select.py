"""The protocol of image builders, and the selection of one with its reason.

The second of the image's three steps (source, build, registry). A builder does not write the published tags:
its push may take minutes, and whether a version is free must be checked when the tag is written. Both tags
are written in the registry afterwards, so an incomplete push moves neither.
"""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, Protocol

from providers.docker.builders.command_line import Probe
from providers.docker.registry.connection import ConnectionPool
from providers.docker.source.key import ImageSource
from providers.protocol import Report

BuilderName = Literal["auto", "buildx", "buildkit", "engine", "append"]


class Builder(Protocol):
    """Builds and publishes an image."""

    @property
    def name(self) -> str:
        """The name in the settings: "buildx", "append"."""

    @property
    def label(self) -> str:
        """The name for people: "docker buildx"."""

    @property
    def reason(self) -> str:
        """The reason for the selection of this builder, for messages."""

    def check(self) -> None:
        """Check everything that can be checked before the first write. Writes nothing.

        Raises:
            ProviderError: this builder cannot build the source, or a requirement is missing.
        """

    def publish(
        self, source: ImageSource, repository: str, tag: str, labels: Mapping[str, str], report: Report
    ) -> str:
        """Build the source and push the image. Returns its digest.

        Args:
            repository: "user/app", "reg.io/team/app".
            tag: the future tag; a builder with an Engine keeps the image there under this tag.
            labels: labels to add to those of the base image.

        Raises:
            RefusedError: the build failed; the message has the step.
            ProviderError: an error of the registry or the Engine.
        """


class Probes:
    """The builders of this machine. Each is looked for once, for any number of pipelines. Thread-safe."""

    def __init__(self) -> None:
        self._found: dict[Callable[[], Probe], Probe] = {}
        self._lock = threading.Lock()

    def of(self, probe: Callable[[], Probe]) -> Probe:
        """The result of this function, called at most once."""
        with self._lock:
            if probe not in self._found:
                self._found[probe] = probe()
            return self._found[probe]


def select(
    name: BuilderName, source: ImageSource, pool: ConnectionPool | None = None, probes: Probes | None = None
) -> Builder:
    """The builder of this name; for "auto" the first available one of buildx, buildkit, engine and append.

    "auto" never fails: if none is available it returns the engine builder, whose `check` has the problem.

    Args:
        pool: registry connections to share; None for new ones.
        probes: what is known of this machine; None to look anew.
    """
    from providers.docker.builders import append, buildkit, buildx, engine  # late: most runs do not build

    configured, probes = "set in the settings", probes or Probes()
    match name:
        case "buildx":
            return buildx.BuildxBuilder(source, configured, pool, partial(probes.of, buildx.probe))
        case "buildkit":
            return buildkit.BuildKitBuilder(source, configured, partial(probes.of, buildkit.probe))
        case "engine":
            return engine.EngineBuilder(source, configured)
        case "append":
            return append.AppendBuilder(source, configured, pool)
        case "auto":
            return _first_available(source, pool, probes)


def _first_available(source: ImageSource, pool: ConnectionPool | None, probes: Probes) -> Builder:
    from providers.docker.builders import append, buildkit, buildx, engine

    if source.base is not None and not (source.folder / source.dockerfile).exists():
        return append.AppendBuilder(source, "there is no Dockerfile, and a base image is set", pool)
    skipped: list[str] = []
    of_buildx, of_buildkit = partial(probes.of, buildx.probe), partial(probes.of, buildkit.probe)
    for probe, builder in (
        (of_buildx, partial(buildx.BuildxBuilder, pool=pool, look=of_buildx)),
        (of_buildkit, partial(buildkit.BuildKitBuilder, look=of_buildkit)),
        (partial(probes.of, engine.probe), engine.EngineBuilder),
    ):
        result = probe()
        if result.available:
            return builder(source, _reason(result.reason, skipped))
        skipped.append(result.reason)
    if source.base is not None:
        return append.AppendBuilder(source, _reason("a base image is set", skipped), pool)
    return engine.EngineBuilder(source, _reason("no base image is set, so a build needs Docker", skipped))


def _reason(reason: str, skipped: list[str]) -> str:
    """The reason, with those for skipping the builders before."""
    return f"{reason} ({'; '.join(dict.fromkeys(skipped))})" if skipped else reason
