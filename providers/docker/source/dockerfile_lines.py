"""Splits a Dockerfile into its instructions and their variables, in the way of BuildKit. Judges nothing.

The source of the rules is BuildKit's `frontend/dockerfile/parser`; tests compare them with a real BuildKit.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from providers.ascii_case import ascii_upper
from providers.patterns import pattern

_DIRECTIVE = pattern(r"\s*#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(\S.*)")
_KNOWN_DIRECTIVES = ("syntax", "escape")  # an older BuildKit has no `check`, and it ends the directives there
_SYNTAX = pattern(r"\s*(?:#|//)\s*syntax\s*=\s*(\S+)", re.IGNORECASE)
_OFFICIAL_SYNTAX = pattern(r"(?:docker\.io/)?docker/dockerfile(?::[0-9][0-9.]*|:latest)?(?:@\S+)?")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")
_HEREDOC = pattern(r"\d*<<(-?)([^<]+)", re.DOTALL)
_SPACES = pattern(r"[\t\v\f\r ]+")
_ASSIGNED = pattern(
    r"""(?:^|(?<=[\s;&|(\["',]))(?:--)?([A-Za-z_][\w.-]*)="""
    r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^\s;&|)\]"',]*)"""
)
_KEPT = 1 << 16
"""Characters of a Dockerfile above which its instructions are not kept."""


class Heredoc(Struct, frozen=True):
    """The text below an instruction that it takes as a file.

    Attributes:
        line: number of its first line.
        instruction: the text of the instruction, without ONBUILD.
        name: the word that ends it.
        lines: its lines.
    """

    line: int
    instruction: str
    name: str
    lines: tuple[str, ...]

    @property
    def place(self) -> str:
        """The path of the file in the image; "" for RUN, which runs it."""
        word, rest = split_word(self.instruction)
        target = unquoted([*_shell_words(rest)[0], ""][-2]) if word != "RUN" else ""
        return f"{target}{self.name}" if target.endswith("/") else target


class Instructions(Struct, frozen=True):
    """A Dockerfile, split.

    Attributes:
        found: line number and text of each instruction, with joined continuation lines, without heredocs.
        directives: name, value and line number of each parser directive.
        heredocs: those with an end.
        escape: the character that continues a line and takes the meaning of the next one away.
        open_heredoc: line of the instruction and the name of a heredoc whose end is missing; None if all end.
        certain: whether every builder splits the file like this. False for another syntax than Docker's, and
            where builders differ.
    """

    found: tuple[tuple[int, str], ...]
    directives: tuple[tuple[str, str, int], ...]
    heredocs: tuple[Heredoc, ...]
    escape: str
    open_heredoc: tuple[int, str] | None
    certain: bool


def instructions(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each instruction, with joined continuation lines, without heredoc bodies."""
    yield from split(text).found


def split_word(instruction: str) -> tuple[str, str]:
    """The name of an instruction in upper case, and its arguments."""
    word, rest = [*_SPACES.split(instruction.strip(), maxsplit=1), ""][:2]
    return ascii_upper(word), rest


def variables(instruction: str, escape: str = "\\") -> Iterator[tuple[str, str]]:
    """The name and the value of each variable that an instruction sets, without quotes.

    Those of ENV, ARG and LABEL, also after ONBUILD, as BuildKit reads them. Of another instruction, what a
    shell takes for an assignment, and options with a value, without their dashes. References stay as they
    are.

    Args:
        escape: as for `Instructions`.
    """
    word, rest = split_word(instruction)
    if word == "ONBUILD":
        yield from variables(rest, escape)
    elif word in ("ENV", "ARG", "LABEL"):
        words = _shell_words(rest, escape)[0]
        if word != "ARG" and words and "=" not in words[0]:  # the older form
            words = ["=".join(_SPACES.split(rest, maxsplit=1))]
        for name, equals, value in (each.partition("=") for each in words):
            if equals:
                yield unquoted(name, escape), unquoted(value, escape)
    else:
        for match in _ASSIGNED.finditer(_without_list(rest)):
            yield match[1], match[2].strip("\"'")


def has_heredoc(instruction: str) -> bool:
    """Whether the text of an instruction opens a heredoc."""
    return bool(_heredocs(instruction)[0])


def split(text: str) -> Instructions:
    """Split a Dockerfile into its instructions. Never fails."""
    return _split(text) if len(text) <= _KEPT else _split.__wrapped__(text)


@lru_cache(maxsize=64)  # each is split several times, and pipelines have equal ones
def _split(text: str) -> Instructions:
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    directives, certain = _directives(lines)
    escape = next((value for name, value, _ in directives if name == "escape"), "\\")
    continued = re.compile(rf"(^|[^{re.escape(escape)}]){re.escape(escape)}[ \t]*$")
    found: list[tuple[int, str]] = []
    bodies: list[Heredoc] = []
    at = 0
    while at < len(lines):
        number, line, at = at + 1, lines[at].lstrip(), at + 1
        if not line or line.startswith("#"):
            continue
        joined: list[str] = []
        while (more := continued.search(line)) and at < len(lines):
            joined.append(line[: more.end(1)])
            while at < len(lines) and (not lines[at].strip() or lines[at].lstrip().startswith("#")):
                at += 1  # comments and empty lines end no instruction
            line, at = "".join(lines[at : at + 1]), at + 1
        whole = continued.sub(r"\1", "".join((*joined, line))).strip()
        if not whole:
            continue
        found.append((number, whole))
        heredocs, closed_quotes = _heredocs(whole)
        certain = certain and closed_quotes
        for name, has_tabs in heredocs:
            start = at
            while at < len(lines) and (lines[at].lstrip("\t") if has_tabs else lines[at]) != name:
                at += 1
            if at >= len(lines):
                return Instructions(tuple(found), directives, tuple(bodies), escape, (number, name), certain)
            bodies.append(Heredoc(start + 1, _without_onbuild(whole), name, tuple(lines[start:at])))
            at += 1
    return Instructions(tuple(found), directives, tuple(bodies), escape, None, certain)


def _directives(lines: list[str]) -> tuple[tuple[tuple[str, str, int], ...], bool]:
    """The parser directives, and whether all builders find the same ones."""
    start = 1 if lines[0].startswith("#!") else 0
    found = []
    for number, line in enumerate(lines[start:], start + 1):
        match = _DIRECTIVE.match(line)
        if match is None or match[1].lower() not in _KNOWN_DIRECTIVES:
            break
        found.append((match[1].lower(), match[2].rstrip(), number))
    count = sum(name == "escape" for name, _, _ in found)
    certain = not lines[start : start + 1] or not lines[start].lstrip().startswith("{")  # its syntax as JSON
    for line in lines:
        if line.strip() and not line.lstrip().startswith(("#", "//")):
            break
        directive, syntax = _DIRECTIVE.match(line), _SYNTAX.match(line)
        count -= directive is not None and directive[1].lower() == "escape"
        certain = certain and (syntax is None or bool(_OFFICIAL_SYNTAX.fullmatch(syntax[1])))
    return tuple(found), certain and not count


def _without_onbuild(instruction: str) -> str:
    word, rest = split_word(instruction)
    return rest if word == "ONBUILD" else instruction


def _heredocs(instruction: str) -> tuple[list[tuple[str, bool]], bool]:
    """The name of each heredoc with whether tabs before its end are removed, and whether all quotes end."""
    word, rest = split_word(_without_onbuild(instruction))
    if word not in _WITH_HEREDOCS or "<<" not in rest or rest.startswith("["):
        return [], True
    words, closed_quotes = _shell_words(rest)
    matches = [match for word in words if (match := _HEREDOC.fullmatch(word))]
    return [(unquoted(match[2]), bool(match[1])) for match in matches], closed_quotes


def _shell_words(text: str, escape: str = "\\") -> tuple[list[str], bool]:
    """The words of a command with their quotes, and whether all quotes end."""
    words, quote, at = [list[str]()], "", 0
    while at < len(text):
        size = 2 if text[at] == escape and quote != "'" else 1
        piece, at = text[at : at + size], at + size
        if not quote and piece.isspace():
            words.append([])
            continue
        if piece in ("'", '"') and quote in ("", piece):
            quote = "" if quote else piece
        words[-1].append(piece)
    return ["".join(word) for word in words if word], not quote


def _without_list(rest: str) -> str:
    """The arguments of an instruction; of a list in JSON, its items, one on each line."""
    try:
        items = json.loads(rest) if rest.startswith("[") else None
    except ValueError:
        return rest
    return "\n".join(map(str, items)) if isinstance(items, list) else rest


def unquoted(word: str, escape: str = "\\") -> str:
    """A word without quotes and escapes."""
    mark = re.escape(escape)
    pieces = re.findall(rf"""'[^']*'|"(?:[^"{mark}]|{mark}.)*"|{mark}.|.""", word, re.DOTALL)
    bare = [piece[1:-1] if piece[0] in "'\"" and len(piece) > 1 else piece for piece in pieces]
    return "".join(piece[1:] if piece[:1] == escape and len(piece) == 2 else piece for piece in bare)
