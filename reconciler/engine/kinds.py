"""Creates the kinds of one pipeline. The rest of the engine uses them through `providers.protocol`.

Opens no connection; the session has them.
"""

from collections.abc import Mapping
from functools import cache, partial

from msgspec.structs import replace

from providers.docker.builders.select import Builder, Probes, select
from providers.docker.channel_use import ChannelUse
from providers.docker.image import ImageKind, PromotedImage
from providers.docker.outputs import ImageOutputs
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.logins import login_beside
from providers.docker.registry.reference import parse_repository
from providers.docker.source.key import Announce, ImageSource, SourceKey, announce_nothing
from providers.json_value import JSON
from providers.picsellia.kinds import kinds
from providers.picsellia.platform import Platform
from providers.protocol import ResourceKind
from providers.reasons import WayOut
from reconciler.core.promotion import RunningVersion
from reconciler.core.values import Address
from reconciler.engine.run_identity import version
from reconciler.pipeline.channels import channel_use, recorded_channel_use
from reconciler.pipeline.image_source import image_labels, image_source, origin_of
from reconciler.pipeline.load import Pipeline
from state.snapshot import RecordedResource, Snapshot


def kinds_of(platform: Platform, image: ResourceKind | None = None) -> dict[str, ResourceKind]:
    """Every kind by its name: the platform's kinds, and `image` if given."""
    return {**kinds(platform), **({} if image is None else {"image": image})}


def image_kind(
    pipeline: Pipeline,
    key: SourceKey,
    pool: ConnectionPool,
    *,
    source: ImageSource | None = None,
    new_version: WayOut,
    accept: WayOut | None = None,
    accept_foreign: bool = False,
    bumped_from: str = "",
    promoted: RunningVersion | None = None,
    announce: Announce = announce_nothing,
    probes: Probes | None = None,
) -> ImageKind:
    """The kind of the image in a pipeline's folder.

    Args:
        key: key of the source in the folder.
        pool: connections to the registry.
        source: the source in the folder, if it is known.
        new_version, accept, accept_foreign, bumped_from: see `ImageKind`.
        promoted: the image of another environment to publish instead of one that is built; None to build.
        announce: as for `image_labels`, for an image that may be built.
        probes: as for `select`.
    """
    name = pipeline.config.docker.image_name
    source, builder = source or image_source(pipeline), pipeline.config.reconciler.image.builder
    return ImageKind(
        name,
        source,
        key,
        builder=cache(lambda: select(builder, source, pool, probes)),
        labels=lambda: image_labels(pipeline, announce),
        new_version=new_version,
        accept=accept,
        accept_foreign=accept_foreign,
        bumped_from=bumped_from,
        channel_use=channel_use(pipeline),
        origin=(lambda: origin_of(pipeline, version())) if source.provenance else None,
        promoted=None if promoted is None else _promoted(promoted, pushed_to=name, pool=pool),
        connect=partial(_connect, pushed_to=name, pool=pool),
    )


def _promoted(image: RunningVersion, *, pushed_to: str, pool: ConnectionPool) -> PromotedImage:
    connect = partial(_connect, image.image, pushed_to=pushed_to, pool=pool)
    return PromotedImage(image.environment, image.digest, connect)


def _connect(name: str, *, pushed_to: str, pool: ConnectionPool) -> RegistryClient:
    """A client of any repository that a kind reads: also of an image that left the files."""
    repository = parse_repository(name)
    return RegistryClient(repository, look_up=login_beside(repository, pushed_to), pool=pool)


def recorded_image_kind(
    pipeline: Pipeline,
    snapshot: Snapshot,
    image: RecordedResource,
    pool: ConnectionPool,
    *,
    new_version: WayOut,
    pushed_to: str = "",
) -> ImageKind:
    """The kind of an image that was published earlier, whatever the folder contains. It cannot build.

    Args:
        snapshot: the state that has the image, and the resources that run it.
        pushed_to: the repository that the run pushes to; "" if it is that of the image.
    """
    name = "/".join(Address.parse(image.address).name)
    outputs = ImageOutputs.of(image.outputs)
    return ImageKind(
        name,
        replace(image_source(pipeline), platform=recorded_text(image, "platform")),
        SourceKey(recorded_source(image), outputs.files or {}, outputs.arguments or {}, size=0),
        builder=_no_builder,
        labels=lambda: image_labels(pipeline, announce_nothing),
        new_version=new_version,
        channel_use=_recorded_channel_use(pipeline, snapshot, image),
        is_recorded=True,
        connect=partial(_connect, pushed_to=pushed_to or name, pool=pool),
    )


def _recorded_channel_use(pipeline: Pipeline, snapshot: Snapshot, image: RecordedResource) -> ChannelUse:
    """By the tag that the resources of the state have, which may not be the one of the files."""
    address, channel = Address.parse(image.address), recorded_text(image, "channel")
    tags = [one.inputs.get("docker_tag") for one in snapshot.resources.values() if "docker_tag" in one.inputs]
    is_pinned = channel not in tags if tags else pipeline.is_pinned
    return recorded_channel_use(pipeline, address, channel, is_pinned=is_pinned)


def _no_builder() -> Builder:
    raise AssertionError("an image of an earlier state is never built")


def recorded_text(image: RecordedResource, name: str) -> str:
    """The field of a recorded image with this name; "" without one, as an edit of the state may leave it."""
    value = image.inputs.get(name)
    return value if isinstance(value, str) else ""


def recorded_source(image: RecordedResource) -> str:
    """The source key of a recorded image; "" if it is unknown."""
    return str(image.inputs.get("source_key") or ImageOutputs.of(image.outputs).source or "")


def displaced_by(outputs: Mapping[str, JSON]) -> tuple[str, ...]:
    """The digests that applies of a stack moved its channel tag away from, by its recorded image."""
    return ImageOutputs.of(outputs).displaced


def digest_of(outputs: Mapping[str, JSON]) -> str:
    """The digest of a live or recorded image; "" if it is unknown, and for all other kinds."""
    return ImageOutputs.of(outputs).digest


def revision_of(outputs: Mapping[str, JSON]) -> str:
    """The commit that an image was built from, with "+dirty" if its files differed; "" if it is unknown."""
    return ImageOutputs.of(outputs).revision or ""
