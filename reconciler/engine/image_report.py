"""`image`: compares a pipeline's published image with its source.

Reads the registry, and state if there is any. Sends nothing to the platform and builds nothing.
"""

from collections.abc import Mapping

from msgspec import Struct

from providers.docker.builders.select import Builder, Probes, select
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.layers import layers
from providers.docker.registry.logins import push_login
from providers.docker.registry.manifests import OtherContentError, PublishedImage
from providers.docker.registry.published_secrets import (
    base_layers,
    secrets_of_configuration,
    secrets_of_layer,
)
from providers.docker.source.key import ImageSource, SourceKey
from providers.docker.source.secret_scan import Secret
from providers.docker.verdicts import ImageWay
from providers.errors import ProviderError, TransientError
from providers.json_value import JSON
from providers.protocol import Assessment, LiveObject, RequiredAction
from providers.reasons import WayOut
from reconciler.core.diagnostics import CannotCheckError, UserError, error
from reconciler.core.events import Emit, Note
from reconciler.core.values import image_address
from reconciler.engine.kinds import image_kind
from reconciler.engine.problems import provider_diagnostic
from reconciler.engine.refresh import reference_to
from reconciler.engine.validate import ValidatedPipeline
from reconciler.pipeline.compile import desired_graph
from reconciler.pipeline.image_source import image_source
from reconciler.pipeline.load import Pipeline
from state.snapshot import Snapshot


class ImageReport(Struct, frozen=True):
    """A pipeline's image and its source.

    Attributes:
        pipeline: the pipeline.
        source: the source of the image.
        key: its source key.
        desired: the desired fields of the image.
        image: the image with the version tag, otherwise the last published one; None if there is none, or
            none for the platform.
        tags: digests by tag: the version, and each channel that exists.
        assessment: the assessment, as in a plan.
        differing: differences between the source and the published image, a line each; None if unknown.
        builder: the builder that a build would use; None if no build is needed.
        serial: serial of the state that was read; None if it does not have this image.
        apply_command: the command that applies the pipeline.
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
    apply_command: str

    @property
    def repository(self) -> str:
        """The repository in config.toml."""
        return self.pipeline.config.docker.image_name


def inspect_image(
    validated: ValidatedPipeline,
    stored: Snapshot | None,
    apply_command: str,
    pool: ConnectionPool,
    probes: Probes | None = None,
) -> ImageReport:
    """Compare a pipeline's source with what its registry has.

    Args:
        stored: the stack's state, or None. It has the digest of each file, so shows which files differ.
        apply_command: the command that applies the pipeline.
        pool: connections to the registry.
        probes: as for `select`.

    Raises:
        UserError: the files have errors.
        CannotCheckError: the registry cannot be read.
    """
    pipeline, key = validated.require_valid()
    repository, source = pipeline.config.docker.image_name, image_source(pipeline)
    address = image_address(repository)
    recorded = stored.resources.get(str(address)) if stored else None
    resource = desired_graph(pipeline, key.key).get(address)
    assert resource is not None
    kind = image_kind(
        pipeline,
        key,
        pool,
        new_version=WayOut(ImageWay.NEW_VERSION, f"{apply_command} --bump patch"),
        accept=WayOut(ImageWay.ACCEPT_FOREIGN, f"{apply_command} --accept-foreign"),
        probes=probes,
    )
    try:
        live = kind.read(reference_to(address, recorded, resource.fields))
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
    if assessment.refusal:  # show the builder that a new version would use
        builder = select(pipeline.config.reconciler.image.builder, source, pool, probes)
    differing = kind.source_differences(outputs, live) if live is not None else None
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
        stored.serial if stored and recorded else None,
        apply_command,
    )


def _published(
    repository: str, platform: str, live: LiveObject | None, version: str, channel: str, pool: ConnectionPool
) -> tuple[PublishedImage | None, dict[str, str]]:
    """The complete live image, and the digests of the tags that exist."""
    with RegistryClient(repository, look_up=push_login, pool=pool) as registry:
        found = {tag: registry.digest(tag) for tag in dict.fromkeys((version, channel, "latest", "test"))}
        try:
            image = registry.image(str(live.outputs["digest"]), platform) if live else None
        except OtherContentError:  # which the assessment reports
            image = None
    return image, {tag: digest for tag, digest in found.items() if digest}


class PublishedSecrets(Struct, frozen=True):
    """Secrets in a published image, which everyone who can pull it can read.

    Attributes:
        found: each secret with the digest of its layer; "" for the image's configuration.
        unread: layers that could not be searched: digest -> error.
        searched: number of layers that were searched.
        of_base: number of layers that were skipped because they are part of a base image.
    """

    found: tuple[tuple[str, Secret], ...]
    unread: Mapping[str, str]
    searched: int
    of_base: int


def find_published_secrets(report: ImageReport, pool: ConnectionPool, emit: Emit) -> PublishedSecrets:
    """Search the configuration and each layer of the published image. Layers are streamed one by one."""
    image = report.image
    if image is None:
        return PublishedSecrets((), {}, 0, 0)
    found = [("", secret) for secret in secrets_of_configuration(image.config)]
    unread: dict[str, str] = {}
    base = base_layers(report.source, pool) | {layer.digest for layer in layers(image) if layer.of_base}
    ours = [blob for blob in image.layers if blob.digest not in base]
    with RegistryClient(report.repository, look_up=push_login, pool=pool) as registry:
        for number, blob in enumerate(ours, 1):
            emit(Note(f"searching layer {number} of {len(ours)} of {report.repository}"))
            try:
                found += [(blob.digest, secret) for secret in secrets_of_layer(registry.read_blob(blob))]
            except TransientError as problem:  # the registry is away: waiting for each layer would take long
                unread |= {rest.digest: problem.message for rest in ours[number - 1 :]}
                break
            except ProviderError as problem:
                unread[blob.digest] = problem.message
    return PublishedSecrets(tuple(found), unread, len(ours) - len(unread), len(image.layers) - len(ours))


def effect_of_apply(report: ImageReport) -> str:
    """The effect of apply on the image: `nothing`, `re-tag`, `build` or `refuse`."""
    if report.assessment.refusal:
        return "refuse"
    if report.assessment.need is RequiredAction.NOTHING:
        return "nothing"
    return "build" if report.builder is not None else "re-tag"


def require_builder(pipeline: Pipeline, source: ImageSource | None = None) -> None:
    """Check that this machine can build the image of a pipeline. Raises UserError if it cannot.

    Args:
        source: the source of the image, if it is known.
    """
    try:
        select(pipeline.config.reconciler.image.builder, source or image_source(pipeline)).check()
    except ProviderError as problem:
        raise UserError(
            provider_diagnostic(problem, f"the image of {pipeline.name} cannot be built")
        ) from None
