"""Which files of a folder a build sees: the rules of .dockerignore, as real builds apply them.

Written after moby's `patternmatcher` and `ignorefile`, with BuildKit's way of looking below an ignored
folder for files that a later `!` line brings back. Our builders all get the context filtered by this, so that
one folder is one image whichever builds it. What differs elsewhere:

- Docker's legacy builder, and BuildKit of before Docker 23, do not look below an ignored folder for what a
  `!` line with a wildcard brings back, and that BuildKit takes `**.py` for a file named `.py`.
- docker-py always sends the Dockerfile and .dockerignore, so that a `COPY .` sees them although they are
  ignored; here they stay out of the image.
- docker-py's matcher is Python's fnmatch: it does not know backslashes, reads `[!x]` as Docker reads `[^x]`,
  and takes no notice of capitals.
- Docker refuses two odd lines that are taken here: a range in a range (`[a-c-z]`), and a backslash before a
  letter that is not in ASCII.

Each line becomes one regular expression, as matching must not cost more than hashing the file. Knows text and
paths only: never touches the disk.
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
    """The lines of one .dockerignore file, ready to be asked about paths.

    Args:
        text: the file's content; "" ignores nothing.
        name: what to call the file in an error.

    Raises:
        RefusedError: a line is not a valid pattern (a real build stops on it too).
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
        self._back = [rule for rule in rules if rule.negated]
        # Lines of one kind that follow each other are asked at once.
        self._runs = [
            (negated, _matcher([rule.regex for rule in run]))
            for negated, run in groupby(rules, key=lambda rule: rule.negated)
        ]

    def excluded(self, paths: Iterable[str]) -> set[str]:
        """Those of the `paths` (posix, relative) that a build does not see; the last match decides.

        A line that matches a folder matches everything below it. It takes many paths because a call for each
        would cost as much as its answer.
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
        """Whether a `!` line could bring back something below the ignored `folder`."""
        below = folder + "/"
        return any(
            rule.literal.startswith(below) or (rule.wild and below.startswith(rule.literal))
            for rule in self._back
        )


def _matcher(regexes: list[str]) -> Callable[[str], object]:
    """Whether one of the expressions matches a path or a folder above it: all of them in one expression."""
    # What may be at any depth looks for its slashes once, together: half the time of each by itself.
    deep = [regex.removeprefix(_DEPTH) for regex in regexes if regex.startswith(_DEPTH)]
    ways = [regex for regex in regexes if not regex.startswith(_DEPTH)]
    if deep:
        ways.append(f"{_DEPTH}(?:{'|'.join(deep)})")
    return re.compile(f"(?:{'|'.join(ways)})(?:/.*)?\\Z", re.DOTALL).match


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
        return ".*" + re.escape(ending)  # moby: what begins with ** and has no other wildcard is an ending
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
    """A character class after its "[": the expression, and where the pattern goes on."""
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
