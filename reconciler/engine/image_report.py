"""What is published of a pipeline's image, and how that compares with its source: for `reconciler image`.

Asks the registry, and the record where there is one; never the platform. Reads only, builds nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from providers.docker.builders.select import Builder, select
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.layers import layers
from providers.docker.registry.manifests import PublishedImage
from providers.docker.registry.published_secrets import (
    base_layers,
    secrets_of_configuration,
    secrets_of_layer,
)
from providers.docker.source.key import ImageSource, SourceKey
from providers.docker.source.secret_scan import Secret
from providers.errors import ProviderError
from providers.protocol import Assessment, LiveObject, Reference, RequiredAction
from providers.reasons import WayOut
from reconciler.core.diagnostics import error
from reconciler.core.events import Emit, Note
from reconciler.core.values import JSON
from reconciler.engine.kinds import image_kind
from reconciler.engine.session import CannotCheckError
from reconciler.engine.validate import ValidatedPipeline
from reconciler.pipeline.compile import desired_graph, image_address
from reconciler.pipeline.image_source import image_source
from reconciler.pipeline.load import Pipeline
from state.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What there is to say of a pipeline's image.

    Attributes:
        desired: the image's fields as the files ask for them.
        image: what is published: under the version tag, else what was published last; None for nothing.
        tags: those of the version and the channels that exist, and the digests they point to.
        assessment: as in a plan.
        differing: what differs between the source and what is published, a line each; None when not known.
        builder: what would build it; None when no build is needed.
        serial: of the record that was used; None for no record.
    """

    pipeline: Pipeline
    source: ImageSource
    key: SourceKey
    desired: Mapping[str, JSON]
    image: PublishedImage | None
    tags: Mapping[str, str]
    assessment: Assessment
    differing: tuple[str, ...] | None
    builder: Builder | None
    serial: int | None

    @property
    def repository(self) -> str:
        """As the files name it."""
        return self.pipeline.config.docker.image_name


def inspect_image(
    checked: ValidatedPipeline,
    stored: Snapshot | None,
    new_version: WayOut,
    accept: WayOut,
    pool: ConnectionPool,
) -> ImageReport:
    """Compare a pipeline's source with what its registry has.

    Args:
        stored: the stack's record, where there is one: it knows which files differ.
        new_version: how the user publishes the source as a new version.
        accept: how the user takes a version of another tool for this source.
        pool: connections to the registry.

    Raises:
        UserError: the files have errors.
        CannotCheckError: the registry could not be asked.
    """
    pipeline, key = checked.sound()
    repository, source = pipeline.config.docker.image_name, image_source(pipeline)
    address = image_address(repository)
    recorded = stored.resources.get(str(address)) if stored else None
    resource = desired_graph(pipeline, key.key).get(address)
    assert resource is not None
    kind = image_kind(pipeline, key, pool, new_version=new_version, accept=accept)
    try:
        id, known = (recorded.id, recorded.outputs) if recorded else (None, {})
        live = kind.read(Reference(address.name, id, None, resource.fields, known))
        image, tags = _published(
            repository,
            source.platform,
            live,
            str(resource.fields["version"]),
            str(resource.fields["channel"]),
            pool,
        )
    except ProviderError as problem:
        detail = "\n".join(part for part in (f"{problem.message}.", problem.hint) if part)
        raise CannotCheckError(error(f"{address} could not be read", detail, address=str(address))) from None
    assess = kind.facts.assess
    assert assess is not None
    outputs = recorded.outputs if recorded else {}
    assessment = assess(resource.fields, recorded.inputs if recorded else None, outputs, live, ())
    builder = kind.builder_for(live, resource.fields)
    if assessment.refusal:  # under another version it would be built
        builder = select(pipeline.config.reconciler.image.builder, source, pool)
    differing = kind.differing(outputs, live) if live is not None else None
    return ImageReport(
        pipeline,
        source,
        key,
        resource.fields,
        image,
        tags,
        assessment,
        None if differing is None else tuple(differing),
        builder,
        stored.serial if stored else None,
    )


def _published(
    repository: str, platform: str, live: LiveObject | None, version: str, channel: str, pool: ConnectionPool
) -> tuple[PublishedImage | None, dict[str, str]]:
    """The image that was read, whole, and where the tags point."""
    with RegistryClient(repository, pool=pool) as registry:
        found = {tag: registry.digest(tag) for tag in dict.fromkeys((version, channel, "latest", "test"))}
        image = registry.image(live.outputs["digest"], platform) if live else None
    return image, {tag: digest for tag, digest in found.items() if digest}


@dataclass(frozen=True, slots=True)
class PublishedSecrets:
    """What of a published image should not be readable for everyone who can pull it.

    Attributes:
        found: each secret with the digest of its layer; "" for the image's configuration.
        unread: why layers could not be searched, by their digests.
        searched: layers that were.
        of_base: layers that were not, as they came with a base image.
    """

    found: tuple[tuple[str, Secret], ...]
    unread: Mapping[str, str]
    searched: int
    of_base: int


def find_published_secrets(report: ImageReport, pool: ConnectionPool, emit: Emit) -> PublishedSecrets:
    """Search the configuration and each layer of the published image, one after the other, as streams."""
    image = report.image
    if image is None:
        return PublishedSecrets((), {}, 0, 0)
    found = [("", secret) for secret in secrets_of_configuration(image.config)]
    unread: dict[str, str] = {}
    known = base_layers(report.source, pool) | {layer.digest for layer in layers(image) if layer.of_base}
    ours = [blob for blob in image.layers if blob.digest not in known]
    with RegistryClient(report.repository, pool=pool) as registry:
        for number, blob in enumerate(ours, 1):
            emit(Note(f"searching layer {number} of {len(ours)} of {report.repository}"))
            try:
                found += [(blob.digest, secret) for secret in secrets_of_layer(registry.read_blob(blob))]
            except ProviderError as problem:
                unread[blob.digest] = problem.message
    return PublishedSecrets(tuple(found), unread, len(ours) - len(unread), len(image.layers) - len(ours))


def what_apply_does(report: ImageReport) -> str:
    """`nothing`, `re-tag`, `build` or `refuse`."""
    if report.assessment.refusal:
        return "refuse"
    if report.assessment.need is RequiredAction.NOTHING:
        return "nothing"
    return "build" if report.builder is not None else "re-tag"
