"""Diagnostics: problems and remarks for the user, with their place and a fix. Only views print them."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from state.errors import ReconcilerError


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


class Diagnostic(Struct, frozen=True):
    """One message for the user.

    Attributes:
        severity: only an error stops the command.
        summary: what happened; one line without a final stop.
        detail: why, and what to run or change next; any number of lines.
        address: the resource concerned, or "".
        file: the file concerned, or None.
        line: line in the file, counted from 1, or None.
        may_pass: whether the cause may be gone by itself when the command runs again.
        in_options: whether an option of the command is the cause, so that no output may repeat that command.
    """

    severity: Severity
    summary: str
    detail: str = ""
    address: str = ""
    file: Path | None = None
    line: int | None = None
    may_pass: bool = False
    in_options: bool = False

    def __post_init__(self) -> None:
        for name in ("summary", "detail"):  # both may quote a file, a class, a program or a server
            force_setattr(self, name, _safe(getattr(self, name)))

    @property
    def place(self) -> str:
        """`path:line`, `path`, or ""."""
        if self.file is None:
            return ""
        file = _safe(str(self.file))
        return f"{file}:{self.line}" if self.line is not None else file

    @property
    def text(self) -> str:
        """The whole message: the summary, and in indented lines the place and the detail."""
        place = "  ".join(part for part in (self.place, self.address) if part)
        more = [*([f"at {place}"] if place else []), *(self.detail.split("\n") if self.detail else [])]
        return "\n  ".join([self.summary, *more])

    def at(self, file: Path | None, line: int | None) -> Self:
        """The same message about this place."""
        return replace(self, file=file, line=line)

    def with_relative_paths(self, folder: Path) -> Self:
        """A copy whose file, if it is below `folder`, is relative to it."""
        if self.file is None or not self.file.is_relative_to(folder):
            return self
        return replace(self, file=self.file.relative_to(folder))


def _safe(text: str) -> str:
    from providers.hiding import safe_message  # late: help has no diagnostics

    return safe_message(text)


def error(
    summary: str,
    detail: str = "",
    *,
    address: str = "",
    file: Path | None = None,
    line: int | None = None,
    may_pass: bool = False,
    in_options: bool = False,
) -> Diagnostic:
    return Diagnostic(Severity.ERROR, summary, detail, address, file, line, may_pass, in_options)


def warning(
    summary: str, detail: str = "", *, address: str = "", file: Path | None = None, line: int | None = None
) -> Diagnostic:
    return Diagnostic(Severity.WARNING, summary, detail, address, file, line)


def info(
    summary: str, detail: str = "", *, address: str = "", file: Path | None = None, line: int | None = None
) -> Diagnostic:
    return Diagnostic(Severity.INFO, summary, detail, address, file, line)


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The order for display and storage: errors first, then by file and line."""
    return sorted(
        diagnostics,
        key=lambda d: (_ORDER[d.severity], str(d.file or ""), d.line or 0, d.address, d.summary),
    )


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(d.severity is Severity.ERROR for d in diagnostics)


class UserError(ReconcilerError):
    """A problem that the user can fix. Carries all diagnostics, not only the first."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(d.summary for d in diagnostics))
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "\n".join(one.text for one in self.diagnostics)

    @property
    def reason(self) -> str:
        """The summary of its first error, for one line: a remark may come before it."""
        return in_order(self.diagnostics)[0].summary

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling: worker processes pass errors to the command."""
        return type(self), self.diagnostics


class BusyError(UserError):
    """Another run locked a file that this run writes, and did not release it before the timeout."""


class CannotCheckError(UserError):
    """A live object or a folder could not be read, so it is unknown whether it is in sync."""
