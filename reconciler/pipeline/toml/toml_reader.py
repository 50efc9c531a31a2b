"""The small steps that the sections of a config.toml share: take a value, or note what is wrong with it.

A problem never stops the reading, so that one run shows them all.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.core.diagnostics import Diagnostic, error, warning
from reconciler.pipeline.enums import did_you_mean
from reconciler.pipeline.toml.toml_positions import TomlPositions


class TomlReader:
    """One parsed document, its positions, and the problems found so far.

    Attributes:
        document: the file as `tomllib` read it.
        lines: where everything stands in `text`.
        text: the file as it is.
        path: the file, named in every diagnostic.
        diagnostics: grows while the sections are read.
    """

    def __init__(self, document: dict[str, Any], lines: TomlPositions, text: str, path: Path) -> None:
        self.document = document
        self.lines = lines
        self.text_of_file = text
        self.path = path
        self.diagnostics: list[Diagnostic] = []

    def table(self, name: str, keys: str) -> Mapping[str, Any] | None:
        """The table `[name]`, or None and an error that says which keys to give it."""
        table = self.document.get(name)
        if table is None:
            near = did_you_mean(name, self.document)
            self.error(
                f"[{name}] is missing", f"Add the table, with {keys}.{near and ' Is it misspelt?' + near}"
            )
            return None
        if not isinstance(table, dict):
            self.error(f"{name} must be a table, not {named(table)}", below(name), name)
            return None
        return table

    def text(self, table: Mapping[str, Any], *where: str | int, free: bool = False) -> str | None:
        """The text at this path; None when the file has none, or when it is something else (an error).

        Only a `free` text may have line ends and other control characters.
        """
        value = table.get(str(where[-1]))
        name = ".".join(str(part) for part in where)
        if value is None or (isinstance(value, str) and (free or value.isprintable())):
            return value
        if isinstance(value, str):
            self.error(f"{name} has control characters", "Write it on one line, as plain text.", *where)
            return None
        self.error(f"{name} must be text, not {named(value)}", "Put it between quotes.", *where)
        return None

    def required_text(self, table: Mapping[str, Any], section: str, key: str, hint: str) -> str | None:
        """The text at this key, or None and an error: missing, blank or not text."""
        value = self.text(table, section, key)
        if value is not None and value.strip():
            return value
        if key not in table:
            self.error(f"{section}.{key} is missing", f"Add it to [{section}]: {hint}.", section)
        elif value is not None:
            self.error(f"{section}.{key} is empty", f"Give it a value: {hint}.", section, key)
        return None

    def error(self, summary: str, detail: str, *where: str | int) -> None:
        """Note a problem at this path; the file's first line stands in for what the file does not have."""
        self.diagnostics.append(error(summary, detail, file=self.path, line=self.lines.of(*where) or 1))

    def warn(self, summary: str, detail: str, *where: str | int) -> None:
        """Note a remark at this path."""
        self.diagnostics.append(warning(summary, detail, file=self.path, line=self.lines.of(*where) or 1))


def below(table: str) -> str:
    """What to do when something else stands where a table belongs."""
    return f"Write [{table}] on a line of its own and its keys below."


def named(value: Any) -> str:
    """A value as a person names it: `"2.5"`, `4.9`, `true`, `a table`."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "a table"
        case list():
            return "a list"
        case str():
            shown = value if len(value) <= 40 else value[:39] + "…"
            return f'"{shown}"'
    return str(value)
