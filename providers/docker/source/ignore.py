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
- BuildKit makes a Go regular expression of each line, and leaves `^`, classes in brackets and a backslash
  before a letter or digit in it. So `\\d*` matches digits there, `[[:alpha:]]` letters, and `a^b*` no file
  `a^b`; `\\e`, which no such expression has, fails the build. Here a backslash stands for the next character
  itself, `^` is special only at the beginning of a class, and `[:alpha:]` lists characters.
- Docker refuses two odd lines that are accepted here: a range in a range (`[a-c-z]`), and a backslash before
  a letter outside of ASCII.

Each line becomes one regular expression, because matching must not cost more than hashing the file. A line
with many wildcards becomes an automaton: an expression would try each place of one for each place of the
others, and a line in a pull request must not hang its plan. Pure: works on text and paths.
"""

import posixpath
import re
from collections.abc import Callable, Iterable
from itertools import groupby

from msgspec import Struct

from providers.errors import RefusedError

_DEPTH = "(?:.*/)?"  # nothing, or any folders
_REST = ".*"
_STAR = "[^/]*"
_MAX_STARS = 2  # in a regular expression, beside one `**`


class _Rule(Struct, frozen=True):
    negated: bool
    parts: tuple[str, ...]  # `_DEPTH`, `_REST`, `_STAR`, or an expression for one character
    literal: str  # the part before the first wildcard
    wild: bool

    @property
    def is_simple(self) -> bool:
        """Whether a regular expression matches it in bounded time."""
        return self.parts.count(_DEPTH) <= 1 and self.parts.count(_STAR) <= _MAX_STARS


class _Automaton:
    """Matches one pattern, in bounded time: it tries all places of all wildcards at once.

    State 2 * n is before part n, and 2 * n + 1 inside the folders of a `_DEPTH`.
    """

    def __init__(self, parts: tuple[str, ...]) -> None:
        self._parts = [
            part if part in (_DEPTH, _REST, _STAR) else re.compile(part, re.DOTALL) for part in parts
        ]
        self._end = 2 * len(parts)

    def __call__(self, path: str) -> bool:
        """Whether it matches the path or a folder above it."""
        states = self._skip({0})
        for character in path:
            if character == "/" and self._end in states:
                return True
            states = self._skip({after for state in states for after in self._after(state, character)})
        return self._end in states

    def _skip(self, states: set[int]) -> set[int]:
        """These states, and those after wildcards that match nothing."""
        for state in [*states]:
            after = state
            while after % 2 == 0 and after < self._end and isinstance(self._parts[after // 2], str):
                if self._parts[after // 2] == _DEPTH:
                    states.add(after + 1)
                after += 2
                states.add(after)
        return states

    def _after(self, state: int, character: str) -> list[int]:
        if state == self._end:
            return []
        part = self._parts[state // 2]
        if state % 2:
            return [state, state + 1] if character == "/" else [state]
        if part == _DEPTH:
            return []  # its inside is another state
        if isinstance(part, str):
            return [state] if part == _REST or character != "/" else []
        return [state + 2] if part.fullmatch(character) else []


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
            (negated, _matcher([*run])) for negated, run in groupby(rules, key=lambda rule: rule.negated)
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


def _matcher(rules: list[_Rule]) -> Callable[[str], object]:
    """A function that matches a path if one of the rules matches it or a folder above it."""
    automata = [_Automaton(rule.parts) for rule in rules if not rule.is_simple]
    matches = _expression(["".join(rule.parts) for rule in rules if rule.is_simple])
    if not automata:
        return matches
    return lambda path: matches(path) or any(automaton(path) for automaton in automata)


def _expression(regexes: list[str]) -> Callable[[str], object]:
    """The same for expressions; without any, it matches nothing."""
    if not regexes:
        return re.compile(r"(?!)").match
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


def _translate(pattern: str) -> tuple[str, ...]:
    """One pattern as the parts of a regular expression: `*` and `?` stop at a slash, `**` does not."""
    ending = pattern.removeprefix("**")
    if ending != pattern and re.fullmatch(r"[^/*?\[\]\\][^*?\[\]\\]*", ending):
        # moby: ** without another wildcard matches an ending
        return _REST, *map(re.escape, ending)
    out: list[str] = []
    at, end = 0, len(pattern)
    while at < end:
        char = pattern[at]
        at += 1
        if char == "*" and pattern.startswith("*", at):
            at += 1
            if pattern.startswith("/", at):
                at += 1
            out.append(_REST if at == end else _DEPTH)
        elif char == "*":
            out.append(_STAR)
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
    return tuple(out)


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
