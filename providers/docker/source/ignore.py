"""The rules of .dockerignore: which files of a folder a build gets.

They follow moby's `patternmatcher` and `ignorefile`, and search ignored folders for files that a later `!`
line includes again, as BuildKit does. All builders get the context filtered by these rules, so a folder gives
the same image with each of them. Other implementations differ:

- Docker's legacy builder, and BuildKit before Docker 23, do not search an ignored folder for files that a `!`
  line with a wildcard includes again. That BuildKit reads `**.py` as a file named `.py`.
- docker-py always sends the Dockerfile and .dockerignore, so `COPY .` copies them even if they are ignored.
  Here they are excluded from the image.
- docker-py matches with Python's fnmatch: it does not support backslashes, reads `[!x]` as Docker reads
  `[^x]`, and ignores case.
- Docker refuses two odd lines that are accepted here: a range in a range (`[a-c-z]`), and a backslash before
  a letter outside of ASCII.

Each line becomes one regular expression, because matching must not cost more than hashing the file. Pure:
works on text and paths.
"""

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby

from providers.errors import RefusedError

_DEPTH = "(?:.*/)?"  # nothing, or any folders


@dataclass(frozen=True, slots=True)
class _Rule:
    negated: bool
    regex: str
    literal: str  # the part before the first wildcard
    wild: bool


class IgnoreRules:
    """The parsed lines of one .dockerignore file.

    Args:
        text: the content of the file; "" ignores nothing.
        name: name of the file, for errors.

    Raises:
        RefusedError: a line is not a valid pattern. Builds fail on it, too.
    """

    def __init__(self, text: str = "", name: str = ".dockerignore") -> None:
        rules: list[_Rule] = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
            try:
                rule = _rule(line)
            except ValueError as error:
                raise RefusedError(
                    f"{name}, line {number}: {line.strip()!r} is not a valid pattern: {error}",
                    hint=f"correct or remove that line of {name}",
                ) from None
            if rule:
                rules.append(rule)
        self._negated = [rule for rule in rules if rule.negated]
        # Consecutive lines of the same kind are matched by one expression.
        self._runs = [
            (negated, _matcher([rule.regex for rule in run]))
            for negated, run in groupby(rules, key=lambda rule: rule.negated)
        ]

    def excluded(self, paths: Iterable[str]) -> set[str]:
        """The `paths` (posix, relative) that a build does not get; the last match decides.

        A line that matches a folder matches everything below it. Takes many paths, because a call per path
        would cost as much as the match.
        """
        paths = list(paths)
        found: set[str] = set()
        for negated, matches in self._runs:
            if negated:
                found.difference_update([path for path in found if matches(path)])
            else:
                found.update(filter(matches, paths))
        return found

    def may_keep_below(self, folder: str) -> bool:
        """Whether a `!` line could include something below the ignored `folder` again."""
        below = folder + "/"
        return any(
            rule.literal.startswith(below) or (rule.wild and below.startswith(rule.literal))
            for rule in self._negated
        )


def _matcher(regexes: list[str]) -> Callable[[str], object]:
    """A function that matches a path if one of the expressions matches it or a folder above it."""
    # Patterns for any depth share the search for slashes, which halves the time.
    deep = [regex.removeprefix(_DEPTH) for regex in regexes if regex.startswith(_DEPTH)]
    alternatives = [regex for regex in regexes if not regex.startswith(_DEPTH)]
    if deep:
        alternatives.append(f"{_DEPTH}(?:{'|'.join(deep)})")
    return re.compile(f"(?:{'|'.join(alternatives)})(?:/.*)?\\Z", re.DOTALL).match


def _rule(line: str) -> _Rule | None:
    if line.startswith("#"):
        return None
    pattern = line.strip()
    negated = pattern.startswith("!")
    if negated:
        pattern = pattern[1:].strip()
        if not pattern:
            raise ValueError("nothing follows the !")
    if not pattern:
        return None
    pattern = posixpath.normpath(pattern).lstrip("/")
    if pattern in ("", "."):
        return None
    literal = re.split(r"[*?\[\\]", pattern, maxsplit=1)[0]
    return _Rule(negated, _translate(pattern), literal, wild=literal != pattern)


def _translate(pattern: str) -> str:
    """One pattern as a regular expression: `*` and `?` stop at a slash, `**` does not."""
    ending = pattern.removeprefix("**")
    if ending != pattern and re.fullmatch(r"[^/*?\[\]\\][^*?\[\]\\]*", ending):
        return ".*" + re.escape(ending)  # moby: ** without another wildcard matches an ending
    out: list[str] = []
    at, end = 0, len(pattern)
    while at < end:
        char = pattern[at]
        at += 1
        if char == "*" and pattern.startswith("*", at):
            at += 1
            if pattern.startswith("/", at):
                at += 1
            out.append(".*" if at == end else _DEPTH)
        elif char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            members, at = _members(pattern, at)
            out.append(members)
        elif char == "\\":
            if at == end:
                raise ValueError("it ends in a backslash")
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def _members(pattern: str, at: int) -> tuple[str, int]:
    """A character class after its "[": the expression, and the offset of the rest of the pattern."""
    out = ["["]
    if pattern.startswith("^", at):
        out.append("^")
        at += 1
    first = at
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "]":
            if at - 1 == first:
                raise ValueError("[] is empty")
            try:
                re.compile("".join(out) + "]")
            except re.error as error:
                raise ValueError(f"{error.msg}") from None
            return "".join(out) + "]", at
        if char == "-":
            if at - 1 == first or pattern.startswith("]", at):
                raise ValueError("a range in [] has no beginning or no end")
            out.append("-")
            continue
        if char == "\\":
            if at == len(pattern):
                break
            char = pattern[at]
            at += 1
        out.append(re.escape(char))
    raise ValueError("[ is never closed")
