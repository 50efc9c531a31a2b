"""The drawing of several pipelines: what they share, and the channels of their environments."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from providers.table import EXCLUSIVE
from reconciler.pipeline.compile import desired_graph
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.sharing import Channel, SharedResource, channels, shared_resources
from reconciler.system.files import display_path
from reconciler.views.counting import plural
from reconciler.views.reports.drawing import Drawing, Node

_MOST_RESOURCES = 2
"""Maximum number of resources in the box of a pipeline, beside its image."""


def of_pipelines(pipelines: Mapping[Path, Pipeline | None]) -> Drawing:
    """Pipelines beside what they share, and the channels of their environments.

    Args:
        pipelines: the pipelines by folder; None for one whose files have errors.
    """
    readable = [pipeline for pipeline in pipelines.values() if pipeline is not None]
    environments, resources = channels(readable), shared_resources(readable)
    edges = [(leader, one.environment) for one in environments for leader in one.leaders]
    edges += [(_title(user.folder), str(one.address)) for one in resources for user in one.pipelines]
    nodes = [
        *map(_of_channel, environments),
        *(_of_pipeline(folder, pipeline) for folder, pipeline in pipelines.items()),
        *map(_of_shared, resources),
    ]
    return Drawing(plural(len(pipelines), "pipeline"), tuple(nodes), tuple(edges))


def _of_channel(channel: Channel) -> Node:
    names = ", ".join(channel.tags)
    tag = f"{'channels' if channel.tags[1:] else 'channel'} {names}" if names else "pinned to versions"
    verb = "follows" if channel.is_declared else "shares it with"
    notes = [tag, *(f"{verb} {leader}" for leader in channel.leaders)]
    return Node(channel.environment, "good" if channel.is_declared else "warn", tuple(notes), "Environments")


def _of_pipeline(folder: Path, pipeline: Pipeline | None) -> Node:
    if pipeline is None:
        return Node(_title(folder), "bad", ("its files have errors",), "Pipelines")
    config = pipeline.config
    gpu = ", GPU" if config.docker.gpu else ""
    notes = [f"{config.metadata.type} {config.metadata.version}{gpu}", *_listed(pipeline)]
    return Node(_title(folder), "info" if pipeline.is_training else "plain", tuple(notes), "Pipelines")


def _listed(pipeline: Pipeline) -> Iterator[str]:
    """The resources that belong to a pipeline alone: its image, and the first others."""
    image, *others = (
        str(one.address) for one in desired_graph(pipeline, source_key="") if one.address.kind in EXCLUSIVE
    )
    yield image
    yield from others[:_MOST_RESOURCES]
    if more := others[_MOST_RESOURCES:]:
        yield f"and {len(more)} more"


def _of_shared(shared: SharedResource) -> Node:
    if shared.is_exclusive:
        return Node(str(shared.address), "bad", ("can belong to one pipeline only",), "Pipelines")
    return Node(str(shared.address), "shared", (f"shared by {len(shared.pipelines)} pipelines",), "Pipelines")


def _title(folder: Path) -> str:
    path = display_path(folder)
    return folder.absolute().name if path == "." else path
