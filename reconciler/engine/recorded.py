"""A pipeline by its state: a state version as a desired graph, for plans that are not made from the files."""

from pathlib import Path

from providers.table import listed_in
from reconciler.core.diagnostics import UserError
from reconciler.core.graph import Graph, Resource
from reconciler.core.values import IMAGE, Address, image_run_by
from reconciler.engine.kinds import recorded_source
from reconciler.pipeline.config import load
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.shared import SharedSettings
from state.snapshot import RecordedResource, Snapshot


def pipeline_at(folder: Path, environment: str | None, shared: SharedSettings) -> Pipeline:
    """The pipeline from config.toml alone, without its classes and source.

    Raises:
        UserError: config.toml has errors.
    """
    loaded = load(folder, environment=environment, shared=shared)
    if loaded.config is None:
        raise UserError(*loaded.diagnostics)
    return Pipeline(folder, loaded.config.metadata.name, loaded.config, loaded, None, None)


def graph_of(then: Snapshot) -> Graph:
    """The earlier state as a desired graph.

    A list of children belongs to it only if the state has some of them. Otherwise the files may have left the
    list to the platform, so it stays unchanged: what else is in it may have been there before.
    """
    addresses = {Address.parse(text) for text in then.resources}
    resources = []
    for recorded in then.resources.values():
        address = Address.parse(recorded.address)
        fields = (
            {**recorded.inputs, "source_key": recorded_source(recorded)}
            if recorded.kind == "image"
            else recorded.inputs
        )
        resources.append(
            Resource(
                address,
                fields,
                depends_on=tuple(Address.parse(text) for text in recorded.depends_on),
                owns=tuple(
                    kind
                    for kind in listed_in(address.kind)
                    if any(child.kind == kind and child.name[:-1] == address.name for child in addresses)
                ),
            )
        )
    return Graph(resources)


def image_in(snapshot: Snapshot) -> RecordedResource | None:
    """The recorded image, or None. Of several, the one that the other recorded resources run."""
    images = [one for one in snapshot.resources.values() if one.kind == IMAGE]
    used = {image_run_by(one.inputs) for one in snapshot.resources.values()} if images[1:] else set()
    return next((one for one in images if Address.parse(one.address) in used), images[0] if images else None)
