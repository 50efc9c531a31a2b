"""Read single values of a TOML file, or add a diagnostic if they are missing or invalid.

Reading continues after a problem, so one run shows them all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from providers.text import has_login, one_line
from reconciler.core.diagnostics import Diagnostic, error, warning
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.toml_positions import TomlPositions


class TomlReader:
    """One parsed document, its positions, and the problems found so far.

    Attributes:
        document: the output of `tomllib`.
        lines: the positions in `text_of_file`.
        text_of_file: the text of the file.
        path: the file, for the diagnostics.
        diagnostics: every problem so far.
    """

    def __init__(self, document: dict[str, Any], lines: TomlPositions, text: str, path: Path) -> None:
        self.document = document
        self.lines = lines
        self.text_of_file = text
        self.path = path
        self.diagnostics: list[Diagnostic] = []
        self._secrets: list[str] | None = None  # texts that no message repeats, from the first message on

    def table(self, name: str, keys: str) -> Mapping[str, Any] | None:
        """The table `[name]`, or None and an error; `keys` is an example of its content for that error."""
        table = self.document.get(name)
        if table is None:
            near = did_you_mean(name, self.document)
            self.error(
                f"[{name}] is missing", f"Add the table, with {keys}.{near and ' Is it misspelt?' + near}"
            )
            return None
        if not isinstance(table, dict):
            self.error(f"{name} must be a table, not {described(table)}", table_advice(name), name)
            return None
        return table

    def text(self, table: Mapping[str, Any], *where: str | int, free: bool = False) -> str | None:
        """The text at this path; None if it is missing, or if it is not a text (an error).

        Args:
            free: whether the text may have newlines and other control characters.
        """
        value = table.get(str(where[-1]))
        name = ".".join(str(part) for part in where)
        if value is None or (isinstance(value, str) and (free or value.isprintable())):
            return value
        if isinstance(value, str):
            self.error(f"{name} has control characters", "Write it on one line, as plain text.", *where)
            return None
        self.error(f"{name} must be text, not {described(value)}", "Put it between quotes.", *where)
        return None

    def required_text(self, table: Mapping[str, Any], section: str, key: str, hint: str) -> str | None:
        """The text at this key, or None and an error if it is missing, blank or not text."""
        value = self.text(table, section, key)
        if value is not None and value.strip():
            return value
        if key not in table:
            self.error(f"{section}.{key} is missing", f"Add it to [{section}]: {hint}.", section)
        elif value is not None:
            self.error(f"{section}.{key} is empty", f"Give it a value: {hint}.", section, key)
        return None

    def texts(self, table: Mapping[str, Any], *where: str | int) -> list[str] | None:
        """The list of texts at this path; None if it is missing, or if it is something else (an error)."""
        value = table.get(str(where[-1]))
        if value is None or (isinstance(value, list) and all(isinstance(text, str) for text in value)):
            return value
        name = ".".join(str(part) for part in where)
        self.error(f"{name} must be a list of texts, not {described(value)}", 'Write ["...", "..."].', *where)
        return None

    def check_keys(self, table: Mapping[str, Any], known: Sequence[str], *where: str | int) -> None:
        """Add an error for each key that this table cannot have."""
        section = ".".join(str(part) for part in where)
        for key in table:
            if key not in known:
                advice = f"[{section}] has {', '.join(known)}.{did_you_mean(key, known)}"
                self.error(f"{section}.{key} is not a setting", advice, *where, key)

    def error(self, summary: str, detail: str, *where: str | int) -> None:
        """Add an error at the line of this path; line 1 if the file does not have it."""
        self._add(error, summary, detail, *where)

    def warn(self, summary: str, detail: str, *where: str | int) -> None:
        """Add a warning at the line of this path; line 1 if the file does not have it."""
        self._add(warning, summary, detail, *where)

    def _add(self, make: Callable[..., Diagnostic], summary: str, detail: str, *where: str | int) -> None:
        if self._secrets is None:
            self._secrets = [text for text in _texts(self.document) if _secret_kind(text)]
        for secret in self._secrets:
            summary, detail = (text.replace(secret, "…") for text in (summary, detail))
        summary, detail = one_line(summary), one_line(detail)  # a key may have a line feed
        self.diagnostics.append(make(summary, detail, file=self.path, line=self.lines.line_of(*where) or 1))


def table_advice(table: str) -> str:
    """Advice for a value that must be a table."""
    return f"Write [{table}] on a line of its own and its keys below."


def described(value: Any) -> str:
    """A value for a message: `"2.5"`, `4.9`, `true`, `a table`; only the kind of a secret."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "a table"
        case list():
            return "a list"
        case str():
            return _secret_kind(value) or (f'"{value}"' if len(value) <= 40 else f'"{value[:39]}…"')
    return str(value)


def _texts(value: Any) -> Iterator[str]:
    """Every text of a document, in any depth."""
    pending = [value]
    while pending:
        match pending.pop():
            case str() as text:
                yield text
            case dict() as table:
                pending += [*table, *table.values()]
            case list() as items:
                pending += items


def _secret_kind(text: str) -> str | None:
    """What the text is if a message must not repeat it: a value may be in the line of another key."""
    from providers.secret_rules import find  # late: its expressions take a while

    if has_login(text):
        return "an address with a login"
    secret = next(find((text.encode("utf-8", "surrogateescape"),)), None)
    return secret.kind if secret else None
