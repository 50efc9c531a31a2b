"""Open a TOML file and parse it, or report why that is impossible. Decides nothing about its content."""

import tomllib
from pathlib import Path
from typing import Any, Final

from providers.patterns import pattern
from providers.regular_files import read_regular, way_to_read
from providers.text import as_sentence
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.pipeline.toml.toml_positions import TomlPositions, lines_of

_SYNTAX_PLACE: Final = pattern(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        OSError: the file cannot be read.
        UserError: it is not UTF-8.
    """
    try:
        return read_regular(path).decode()
    except UnicodeDecodeError as problem:
        raise UserError(
            error(
                f"{path.name} is not UTF-8 text",
                f"Byte {problem.object[problem.start]:#04x} is not valid UTF-8. Save the file as UTF-8.",
                file=path,
                line=problem.object.count(b"\n", 0, problem.start) + 1,
            )
        ) from None


def parse(text: str, path: Path) -> tuple[dict[str, Any], TomlPositions]:
    """The document in this text, which may have a byte order mark, and the positions in it.

    Raises:
        UserError: it is not TOML, or nested too deeply.
    """
    content = text.removeprefix("\ufeff")
    try:
        return tomllib.loads(content), lines_of(text)  # `lines_of` allows less nesting than tomllib
    except (ValueError, RecursionError) as problem:
        raise UserError(_malformed(path, content, problem)) from None


def unreadable(path: Path, problem: OSError) -> Diagnostic:
    """Why an existing file cannot be read."""
    if isinstance(problem, IsADirectoryError):
        return error(
            f"{path.name} is a folder, not a file", "Rename the folder; a file is expected.", file=path
        )
    advice = as_sentence(way_to_read(problem))
    return error(f"{path.name} cannot be read: {problem.strerror}", advice, file=path)


def _malformed(path: Path, text: str, problem: Exception) -> Diagnostic:
    reason = "it is nested too deeply" if isinstance(problem, RecursionError) else str(problem)
    line, column = text.count("\n") + 1, None
    match = _SYNTAX_PLACE.search(reason)
    if match is not None:
        reason = reason[: match.start()]
        if match[1] is not None:
            line, column = int(match[1]), int(match[2])
    place = f"line {line}, column {column}" if column is not None else f"line {line}"
    return error(
        f"{path.name} is not valid TOML",
        f"{place}: {reason}. The rest of the file was not checked.",
        file=path,
        line=line,
    )
