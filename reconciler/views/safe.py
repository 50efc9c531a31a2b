"""Makes text of servers and files safe for an output: one function per kind of output.

Such text can neither start a line, send a command to a terminal or a workflow, nor add markup. Hidden
characters become visible. The consoles pass every line through `Text.on_one_line`. Markdown, annotations,
JUnit and drawings use `one_line` before their own quoting, HTML pages `visible`, and JSON documents
`json_text`, scripts `json_script`. In a workflow, a document on stdout passes through `safe_for_workflows`.
"""

import json
import os
import re
from collections.abc import Callable, Mapping

from providers.json_value import JSON
from providers.patterns import pattern
from providers.text import HIDDEN, escape_match, is_printable_ascii, one_line, visible

__all__ = [
    "by_number",
    "escape_match",
    "has_commands",
    "in_workflow",
    "is_web",
    "json_line",
    "json_script",
    "json_text",
    "limited",
    "one_line",
    "safe_for_workflows",
    "unsafe_places",
    "visible",
    "without_workflow_commands",
]

LONGEST_LINE = 20_000
"""Characters of a line in a terminal, a log or an annotation. A name from a server may have ten million."""

_HIDDEN = pattern(f"[\n{HIDDEN}]")
_BUT_LINES = pattern(f"[{HIDDEN}]")
# Commands as the runner parses them: `::` at the beginning of a line, after blanks, and `##[` anywhere.
# https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
_COMMAND = pattern(r"^([^\S\n]*+):(?=:)|#(?=#\[)", re.MULTILINE)


def in_workflow() -> bool:
    """Whether GitHub Actions reads the output and runs workflow commands in it."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def unsafe_places(line: str) -> set[int]:
    """The places of the characters that must be written by their numbers in a terminal or a log."""
    places = set() if is_printable_ascii(line) else {found.start() for found in _HIDDEN.finditer(line)}
    if in_workflow():
        places |= {found.end() - 1 for found in _COMMAND.finditer(line)}
    return places


def limited(line: str) -> str:
    """The line; of a very long one, the beginning."""
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"


def without_workflow_commands(text: str) -> str:
    """The text without workflow commands: their first character is escaped."""
    return _COMMAND.sub(lambda found: f"{found[1] or ''}{by_number(found[0][-1])}", text)


def has_commands(text: str) -> bool:
    """Whether the text has workflow commands."""
    return _COMMAND.search(text) is not None


def json_text(document: JSON) -> str:
    """The document as JSON. Hidden characters are escaped, so that a terminal can show it."""
    return _without_hidden(_indented(document)) + "\n"


def _without_hidden(text: str) -> str:
    """JSON with its hidden characters escaped, except line feeds."""
    if text.isascii() and "\x7f" not in text:
        return text  # JSON escapes the others of ASCII; a search takes 20 ms for a thousand pipelines
    return _BUT_LINES.sub(_for_json, text)


def _indented(document: JSON) -> str:
    import orjson  # few commands write a document

    try:  # in C; `json` indents in Python, half a second for a thousand pipelines
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATACLASS).decode()
    except TypeError:  # half a surrogate pair, a number of more than 64 bits
        return json.dumps(document, indent=2, ensure_ascii=False)


def json_line(document: JSON) -> str:
    """The document as JSON on one line, with its line feed; otherwise as `json_text`."""
    return _without_hidden(json.dumps(document, ensure_ascii=False)) + "\n"


def json_script(document: JSON) -> str:
    """The document as an expression of JavaScript, which cannot end a script element or begin a comment."""
    import orjson

    try:
        text = orjson.dumps(document).decode()
    except TypeError:  # as in `_indented`
        text = json.dumps(document, separators=(",", ":"))
    return _without_hidden(text.replace("<", "\\u003c"))


def is_web(address: str) -> bool:
    """Whether the address is safe to link to: servers may send `javascript:` addresses."""
    return address.startswith(("https://", "http://"))


def safe_for_workflows(document: str, format_: str) -> str:
    """A document with the same meaning and without workflow commands, for stdout in a workflow.

    Args:
        format_: the format of the document, which has its own way to escape a character.
    """
    write = _NUMBERED[format_]
    return _COMMAND.sub(lambda found: f"{found[1] or ''}{write(found[0][-1])}", document)


def by_number(character: str) -> str:
    """A character as Python writes it in a string, by its number."""
    return ascii(character)[1:-1] if _HIDDEN.match(character) else f"\\x{ord(character):02x}"


def _for_json(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def _entity(character: str) -> str:
    return f"&#{ord(character)};"


_NUMBERED: Mapping[str, Callable[[str], str]] = {
    "json": lambda character: f"\\u{ord(character):04x}",
    "junit": _entity,
    "html": _entity,
    "svg": _entity,
    "dot": _entity,
    "mermaid": lambda character: f"#{ord(character)};",
    "markdown": lambda character: f"{character}\u200b" if character == "#" else f"\\{character}",
}
