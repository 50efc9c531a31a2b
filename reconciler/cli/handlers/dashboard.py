"""Runs `reconciler dashboard`."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from providers.regular_files import read_regular
from reconciler.api.dashboards import dashboard_files
from reconciler.api.errors import StateError, diagnostics_of
from reconciler.api.reports import Report, read_report
from reconciler.cli import options
from reconciler.cli.documents import format_of
from reconciler.core.diagnostics import UserError, error
from reconciler.core.events import Emit, Note
from reconciler.core.exit_codes import DONE, FAILED
from reconciler.system.files import display_path, why_not_written
from reconciler.views.counting import plural
from reconciler.views.reports.image_json import ImageVersion, read_images
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView

MANIFEST: Final = "reconciler-dashboard.json"
"""The file in the folder of a dashboard that lists the others."""
_FORMAT: Final = "reconciler/dashboard"


def run(out: Path, reports: Sequence[Path], most_runs: int) -> int:
    err = console(sys.stderr)
    code = DONE

    def failed(problem: UserError | StateError) -> None:
        nonlocal code
        code = FAILED
        print_diagnostics(diagnostics_of(problem), err)

    earlier = _earlier(out)
    with ProgressView(err) as progress:
        images: list[ImageVersion] = []
        files = dashboard_files(
            options.workspace(),
            Path.cwd(),
            options.state_url(),
            _read(reports, images, progress, failed),
            images,
            most_runs=most_runs,
            emit=progress,
            failed=failed,
        )
        try:
            count = _write(out, files, earlier)
        except OSError as problem:
            place = Path(problem.filename or out)
            detail = f"{why_not_written(place, problem)} Run the same command again when that is solved."
            raise UserError(error("the dashboard cannot be written", detail, file=place)) from None
    console(sys.stdout).print(
        f"{plural(count, 'file')} in {display_path(out)}, open {display_path(out / 'index.html')}"
    )
    return code


def _read(
    paths: Iterable[Path],
    images: list[ImageVersion],
    emit: Emit,
    failed: Callable[[UserError], None],
) -> Iterator[Report]:
    """Yield each drift report, one at a time, as a folder may have hundreds; images are added to the list.

    Args:
        failed: called for each file that is given itself and is no such report, and for what is damaged or
            cannot be read.
    """
    for path in paths:
        is_folder = path.is_dir()
        for file in sorted(_documents_below(path, failed)) if is_folder else [path]:
            emit(Note(f"reading {display_path(file)}"))
            try:
                match format_of(file):
                    case b"reconciler/drift":
                        yield read_report(file)
                    case b"reconciler/image" | b"reconciler/images":
                        images += read_images(file)
                    case _ if not is_folder:
                        detail = "Use a file that `drift --json FILE` wrote or `image --json` printed."
                        raise UserError(error("the file is not a report for a dashboard", detail, file=file))
            except UserError as problem:
                failed(problem)


def _documents_below(folder: Path, failed: Callable[[UserError], None]) -> Iterator[Path]:
    def unsearched(problem: OSError) -> None:
        place = Path(problem.filename)
        failed(
            UserError(error("the folder cannot be searched for reports", f"{problem.strerror}.", file=place))
        )

    for parent, _, files in os.walk(folder, onerror=unsearched):
        yield from (Path(parent, name) for name in files if name.endswith(".json"))


def _earlier(out: Path) -> frozenset[str] | None:
    """The files that an earlier dashboard wrote to this folder; None if there was none.

    Raises:
        UserError: the list of them is damaged.
    """
    manifest = out / MANIFEST
    try:
        document = json.loads(read_regular(manifest))
        if document["format"] != _FORMAT:
            raise ValueError(f"its format is {document['format']!r}")
        return frozenset(map(str, document["files"]))
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise UserError(error("the folder cannot be read", f"{problem.strerror}.", file=out)) from None
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        detail = f"{problem}. It lists the files that the dashboard may remove. Use another folder."
        raise UserError(
            error("the list of the dashboard's files is damaged", detail, file=manifest)
        ) from None


def _write(out: Path, files: Iterable[tuple[str, bytes]], earlier: frozenset[str] | None) -> int:
    """Write the files and remove those that only an earlier dashboard had. Returns their number.

    Raises:
        UserError: the folder has no dashboard, and a file with the name of one of its files.
        OSError: a file cannot be written.
    """
    written: list[str] = []
    folders: set[Path] = set()
    for name, content in files:
        file = out / name
        if earlier is None and file.exists():
            detail = "The dashboard replaces its own files only. Move the file, or use another folder."
            raise UserError(error("the folder has another file of that name", detail, file=file))
        if not written:
            out.mkdir(parents=True, exist_ok=True)
            _list(out, sorted(earlier or ()))  # so that the next run may replace the files of a killed one
        if file.parent not in folders:
            file.parent.mkdir(parents=True, exist_ok=True)
            folders.add(file.parent)
        written.append(name)
        if not _has(file, content):  # a page that stays keeps its time, for those who copy what is new
            file.write_bytes(content)
    for name in (earlier or frozenset()).difference(written):
        if _is_below(out, name):
            (out / name).unlink(missing_ok=True)
    _list(out, sorted(written))
    return len(written)


def _has(file: Path, content: bytes) -> bool:
    """Whether the file has this content."""
    try:
        return file.stat().st_size == len(content) and read_regular(file) == content
    except OSError:
        return False


def _list(out: Path, names: Sequence[str]) -> None:
    document = {"format": _FORMAT, "version": 1, "files": names}
    (out / MANIFEST).write_text(json.dumps(document, indent=1) + "\n")


def _is_below(out: Path, name: str) -> bool:
    """Whether a name of the list leads to a file in the folder: the list may have been edited."""
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts and (out / path).is_file()
