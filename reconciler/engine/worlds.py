"""The three worlds of a stack, as a plan has read them: the files, the state and the platform. Only data."""

from collections.abc import Mapping

from msgspec import Struct

from providers.protocol import ResourceKind
from reconciler.core.graph import Graph
from reconciler.core.plan import Stack
from reconciler.core.remote import RemoteState
from reconciler.core.values import Address
from reconciler.pipeline.load import Pipeline
from state.snapshot import RecordedResource, Snapshot


class Worlds(Struct, frozen=True):
    """What a plan compares.

    Attributes:
        pipeline: the files, with the version after a bump.
        desired: what they declare; empty for a destroy.
        stored: the state as loaded.
        recorded: its resources, after open writes of an earlier run are settled.
        live: the objects of platform and registry.
        kinds: every kind by its name.
    """

    stack: Stack
    pipeline: Pipeline
    desired: Graph
    stored: Snapshot
    recorded: Mapping[Address, RecordedResource]
    live: RemoteState
    kinds: Mapping[str, ResourceKind]
