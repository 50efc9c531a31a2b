"""What a person is told: a problem or a remark, with its place and the way out. Printed by views only."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing to tell the user.

    Attributes:
        severity: an error stops the command, a warning and an info do not.
        summary: what happened, one line, no final stop.
        detail: why, and what to run or to change next; may have several lines; may be empty.
        address: the resource concerned, or "".
        file: the file concerned, or None.
        line: its line, counted from 1, or None.
    """

    severity: Severity
    summary: str
    detail: str = ""
    address: str = ""
    file: Path | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        """`path:line`, `path`, or ""."""
        if self.file is None:
            return ""
        return f"{self.file}:{self.line}" if self.line is not None else str(self.file)

    def seen_from(self, folder: Path) -> Self:
        """With a file below `folder` named from there."""
        if self.file is None or not self.file.is_relative_to(folder):
            return self
        return replace(self, file=self.file.relative_to(folder))


def error(
    summary: str, detail: str = "", *, address: str = "", file: Path | None = None, line: int | None = None
) -> Diagnostic:
    return Diagnostic(Severity.ERROR, summary, detail, address, file, line)


def warning(
    summary: str, detail: str = "", *, address: str = "", file: Path | None = None, line: int | None = None
) -> Diagnostic:
    return Diagnostic(Severity.WARNING, summary, detail, address, file, line)


def info(
    summary: str, detail: str = "", *, address: str = "", file: Path | None = None, line: int | None = None
) -> Diagnostic:
    return Diagnostic(Severity.INFO, summary, detail, address, file, line)


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Errors first, then by file and line: the order in which they are shown and stored."""
    return sorted(
        diagnostics,
        key=lambda d: (_ORDER[d.severity], str(d.file or ""), d.line or 0, d.address, d.summary),
    )


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(d.severity is Severity.ERROR for d in diagnostics)


class UserError(Exception):
    """The user can mend this; carries every diagnostic that was found, not only the first."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(d.summary for d in diagnostics))
        self.diagnostics = diagnostics

    def __reduce__(self) -> tuple[Any, ...]:
        """To be raised in one process and told in another."""
        return type(self), self.diagnostics


class BusyError(UserError):
    """Another run is about to write the same file, and held it for as long as this one could wait."""
