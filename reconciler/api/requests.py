"""What a run is to do, as plain values. Imports no engine, so declarations of options load fast."""

from reconciler.core.plan_options import PlanOptions
from reconciler.drift.adopt_target import AdoptTarget
from reconciler.engine.requests import (
    BUILDS,
    JOBS,
    ApplyOptions,
    Consent,
    FleetOptions,
    PlanRequest,
    PromoteRequest,
    ReadOptions,
    RollbackRequest,
)
from reconciler.pipeline.bumps import Bump
from reconciler.workspace.selection_request import SelectionRequest
from reconciler.workspace.shards import Shard, part_of

__all__ = [
    "BUILDS",
    "JOBS",
    "AdoptTarget",
    "ApplyOptions",
    "Bump",
    "Consent",
    "FleetOptions",
    "PlanOptions",
    "PlanRequest",
    "PromoteRequest",
    "ReadOptions",
    "RollbackRequest",
    "SelectionRequest",
    "Shard",
    "part_of",
]
