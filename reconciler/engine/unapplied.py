"""Find the pipelines whose files ask for something else than their last apply left in state.

Reads files and state only, neither git nor the platform. A pipeline that cannot be compared counts as
different: its files have errors, it has no state, or an earlier run did not finish.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from providers.docker.source.key import SourceKey
from providers.table import FACTS
from reconciler.core.diagnostics import UserError
from reconciler.core.diff import normalised, same
from reconciler.core.events import Emit
from reconciler.core.graph import Resource
from reconciler.core.values import MISSING, NoValue
from reconciler.engine.requests import ReadOptions
from reconciler.engine.validate import validate
from reconciler.pipeline.compile import desired_graph
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.settings import ignored_fields
from state.snapshot import JSON, RecordedResource, Snapshot
from state.stores.base import Store

_IMAGE: Final = "image"


def stale_pipelines(
    folders: Iterable[Path], read_options: ReadOptions, scope: str, store: Store, emit: Emit
) -> dict[Path, str]:
    """The pipelines that differ from state, each with the reason.

    Args:
        scope: the organization and its platform, as in the names of stacks: `my-org@STAGING`.
        emit: called with the progress of slow hashing.

    Raises:
        state.errors.StateError: the state cannot be read.
    """
    reasons: dict[Path, str] = {}
    for folder in folders:
        try:
            pipeline, key = validate(folder, read_options, emit=emit).require_valid()
        except UserError:
            reasons[folder] = "its files have errors"
            continue
        stored = store.load(f"{scope}/{pipeline.config.stack_name}")
        if (reason := _difference(pipeline, key, stored, scope)) is not None:
            reasons[folder] = reason
    return reasons


def _difference(pipeline: Pipeline, key: SourceKey, stored: Snapshot | None, scope: str) -> str | None:
    """The first difference between the files and the state; None if there is none."""
    if stored is None or not stored.resources:
        return f"it has no state in {scope}"
    if stored.intents:
        return f"an earlier run in {scope} did not finish"
    desired = desired_graph(pipeline, key.key)
    for resource in desired:
        recorded = stored.resources.get(str(resource.address))
        if recorded is None:
            return f"{resource.address} is not applied in {scope}"
        if (field := _differing_field(pipeline, resource, recorded, key)) is not None:
            return f"{resource.address}#{field} is not applied in {scope}"
    addresses = {str(resource.address) for resource in desired}
    left = next((address for address in stored.resources if address not in addresses), None)
    return f"{left} left the files" if left is not None else None


def _differing_field(
    pipeline: Pipeline, resource: Resource, recorded: RecordedResource, key: SourceKey
) -> str | None:
    """The first field whose value in the files is not the one in state; None if there is none."""
    ignored = ignored_fields(pipeline.config.reconciler).get(resource.address, ())
    rules = FACTS[resource.address.kind].rules

    def compared(name: str, value: JSON | NoValue) -> JSON | NoValue:
        value = normalised(value, rules[name])
        if not (rules[name].keyed and isinstance(value, dict)):
            return value
        return {key: item for key, item in value.items() if f"{name}.{key}" not in ignored}

    for name, value in resource.fields.items():
        before: JSON | NoValue = recorded.inputs.get(name, MISSING)
        if resource.address.kind == _IMAGE and name == "source_key":
            if not key.is_same(before if isinstance(before, str) else None):
                return name
        elif name not in ignored and not same(compared(name, value), compared(name, before)):
            return name
    return None
