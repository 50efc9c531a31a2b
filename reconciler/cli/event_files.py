"""Writes the events of a run to a file or to stdout. Imported on use: most runs write none."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.cli.documents import not_written, print_line
from reconciler.core.diagnostics import Diagnostic
from reconciler.core.runs import Follow, RunEvent
from reconciler.system.files import LineFile, writing
from reconciler.views.reports.run_events import EventWriter


@contextmanager
def event_lines(place: Path | None, failures: list[Diagnostic]) -> Iterator[Follow]:
    """Write each event while the block runs.

    Args:
        place: the file; None for stdout.
        failures: gets the error if a line cannot be written; no other line is written then.

    Raises:
        UserError: the file cannot be opened.
    """
    if place is None:
        yield _until_it_fails(EventWriter(print_line, Path.cwd()), place, failures)
        return
    with writing(place, "the events output cannot be written", "Nothing was changed."):
        file = LineFile(place)
    try:
        writer = EventWriter(lambda line: file.write(line.encode("utf-8", "backslashreplace")), Path.cwd())
        yield _until_it_fails(writer, place, failures)
    finally:
        file.close()


def _until_it_fails(writer: EventWriter, place: Path | None, failures: list[Diagnostic]) -> Follow:
    """The writer, up to its first failure: a full disk must not end a run that writes to the platform.

    Events may come from several threads.
    """
    write: Callable[[RunEvent], None] | None = writer
    lock = threading.Lock()

    def follow(event: RunEvent) -> None:
        nonlocal write
        try:
            with lock:
                if write is not None:
                    write(event)
        except OSError as problem:
            write = None
            detail = f"{problem.strerror}. The events after that are missing; the run went on."
            failures.append(not_written("the events output", place, detail))

    return follow
