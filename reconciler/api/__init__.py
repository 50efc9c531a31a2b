"""The Python interface: what the commands do, for notebooks, schedulers and programs.

    from reconciler import api

    workspace = api.Workspace.open(".")
    staging = workspace.environment("STAGING")
    plans = workspace.select(all=True).plan(staging)
    print(plans)
    report = plans.apply(approve=plans.digest)
    report.raise_for_problems()

Nothing here prints, prompts, exits or handles signals. Errors that users can solve are `ReconcilerError`.
Names are imported when they are used, so that importing the interface takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.api.bumping import VersionBump
    from reconciler.api.drifting import (
        Acknowledgement,
        DriftReport,
        Finding,
        StackReport,
        UnmanagedObject,
    )
    from reconciler.api.environments import Environment
    from reconciler.api.errors import (
        BusyError,
        CannotCheckError,
        Diagnostic,
        LockedError,
        ReconcilerError,
        RunFailedError,
        StateError,
        UserError,
        diagnostics_of,
    )
    from reconciler.api.events import (
        FleetProgress,
        Note,
        Notice,
        OnEvent,
        Outcome,
        PipelineEvent,
        PipelineFinished,
        PipelineStarted,
        RunEnded,
        RunEvent,
        RunStarted,
        Status,
        StepFinished,
        StepProgress,
        StepRetried,
        StepStarted,
        WaveStarted,
    )
    from reconciler.api.pipelines import (
        NoPipelineError,
        Pipelines,
        PipelineSummary,
        SelectedPipeline,
    )
    from reconciler.api.plans import Plan, Plans
    from reconciler.api.requests import Bump, Shard
    from reconciler.api.runs import PipelineRun, RunReport, RunResult
    from reconciler.api.settings import PlanSettings
    from reconciler.api.states import (
        HistoryEntry,
        RecordedResource,
        RecordedRun,
        RunOutcome,
        State,
        StateVersion,
    )
    from reconciler.api.statuses import DriftState, Row, StatusReport
    from reconciler.api.validating import PipelineValidation, Validation
    from reconciler.api.workspaces import Workspace

_MODULES = {
    "bumping": ("VersionBump",),
    "drifting": ("Acknowledgement", "DriftReport", "Finding", "StackReport", "UnmanagedObject"),
    "environments": ("Environment",),
    "errors": (
        *("BusyError", "CannotCheckError", "Diagnostic", "LockedError", "ReconcilerError"),
        *("RunFailedError", "StateError", "UserError", "diagnostics_of"),
    ),
    "events": (
        *("FleetProgress", "Note", "Notice", "OnEvent", "Outcome", "PipelineEvent"),
        *(
            "PipelineFinished",
            "PipelineStarted",
            "RunEnded",
            "RunEvent",
            "RunStarted",
            "Status",
            "StepFinished",
            "StepProgress",
        ),
        *("StepRetried", "StepStarted", "WaveStarted"),
    ),
    "pipelines": ("NoPipelineError", "PipelineSummary", "Pipelines", "SelectedPipeline"),
    "plans": ("Plan", "Plans"),
    "requests": ("Bump", "Shard"),
    "settings": ("PlanSettings",),
    "runs": ("PipelineRun", "RunReport", "RunResult"),
    "states": (*("HistoryEntry", "RecordedResource", "RecordedRun", "RunOutcome", "State", "StateVersion"),),
    "statuses": ("DriftState", "Row", "StatusReport"),
    "validating": ("PipelineValidation", "Validation"),
    "workspaces": ("Workspace",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Acknowledgement",
    "Bump",
    "BusyError",
    "CannotCheckError",
    "Diagnostic",
    "DriftReport",
    "DriftState",
    "Environment",
    "Finding",
    "FleetProgress",
    "HistoryEntry",
    "LockedError",
    "NoPipelineError",
    "Note",
    "Notice",
    "OnEvent",
    "Outcome",
    "PipelineEvent",
    "PipelineFinished",
    "PipelineRun",
    "PipelineStarted",
    "PipelineSummary",
    "PipelineValidation",
    "Pipelines",
    "Plan",
    "PlanSettings",
    "Plans",
    "ReconcilerError",
    "RecordedResource",
    "RecordedRun",
    "Row",
    "RunEnded",
    "RunEvent",
    "RunFailedError",
    "RunOutcome",
    "RunReport",
    "RunResult",
    "RunStarted",
    "SelectedPipeline",
    "Shard",
    "StackReport",
    "State",
    "StateError",
    "StateVersion",
    "Status",
    "StatusReport",
    "StepFinished",
    "StepProgress",
    "StepRetried",
    "StepStarted",
    "UnmanagedObject",
    "UserError",
    "Validation",
    "VersionBump",
    "WaveStarted",
    "Workspace",
    "diagnostics_of",
]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
