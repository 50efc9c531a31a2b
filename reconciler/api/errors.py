"""The errors that the interface raises: of the engine and the state, and one of its own."""

from reconciler.core.diagnostics import BusyError, CannotCheckError, Diagnostic, UserError
from reconciler.core.runs import RunReport
from reconciler.engine.problems import diagnostics_of, unexpected
from state.errors import LockedError, ReconcilerError, StateError

__all__ = [
    "BusyError",
    "CannotCheckError",
    "Diagnostic",
    "LockedError",
    "ReconcilerError",
    "RunFailedError",
    "StateError",
    "UserError",
    "diagnostics_of",
    "unexpected",
]


class RunFailedError(UserError):
    """A run did not do all that it was to do.

    Attributes:
        report: the report of the run.
    """

    def __init__(self, report: RunReport, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.report = report

    def __reduce__(self) -> tuple[type["RunFailedError"], tuple[object, ...]]:
        """Support pickling: schedulers pass errors between processes."""
        return type(self), (self.report, *self.diagnostics)
