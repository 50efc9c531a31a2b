"""Every regular expression of the product, and texts on which a careless one takes quadratic time."""

import ast
import importlib
import random
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from providers import patterns

ROOT = Path(__file__).parents[1]
SIZE = 200_000
"""Characters of a text. A linear expression takes some hundredths of a second, a quadratic one minutes."""
LIMIT = 1.0
"""Seconds of CPU time for one text, however busy the machine is: a hundred times what is needed."""
_METHODS = ("search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer")
_SAMPLES = 4
_WITH_ALL_PREFIXES = 2
_PREFIXES = 8
_CUTS = 2
_CHARACTERS = "a0 \n\t./=:-@\"'(\\"
_OTHERS = _CHARACTERS + "bZ_,;<>|&#?é"
_ENDS = ("", "\n", "\0", "! a\0 b")

Pattern = re.Pattern[str] | re.Pattern[bytes]
KEPT = re.Pattern, patterns._Pattern
"""What `re.compile` returns, and what stands for it."""


class Expression(NamedTuple):
    """A regular expression, where it is, and the methods by which it is applied."""

    place: str
    pattern: Pattern
    methods: tuple[str, ...]


def expressions(room: str) -> list[Expression]:
    """Every expression that a module of this package keeps, or has where it is used."""
    found: list[Expression] = []
    for file in sorted((ROOT / room).rglob("*.py")):
        if file.name == "__main__.py":
            continue
        tree = ast.parse(file.read_text())
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        names = vars(importlib.import_module(name))
        found += (*_kept(name, tree, names), *_in_place(name, tree, names))
    return found


def _kept(name: str, tree: ast.Module, names: Mapping[str, object]) -> Iterator[Expression]:
    """The expressions in variables of a module. One may search if no method is applied to it by its name."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                methods = _methods_of(target.id, tree) or {"search"}
                for pattern in _patterns(names.get(target.id)):
                    yield Expression(f"{name}.{target.id}", pattern, tuple(sorted(methods)))


def _methods_of(variable: str, tree: ast.Module) -> set[str]:
    methods = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=method) if owner == variable:
                methods.add(method)
            case ast.Call(func=ast.Attribute(attr="_match"), args=[ast.Name(id=given)]) if given == variable:
                methods.add("match")
    return methods & {*_METHODS}


def _patterns(value: object) -> Iterator[Pattern]:
    if isinstance(value, KEPT):
        yield value
    elif isinstance(value, Mapping):
        yield from _patterns(list(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _patterns(one)


def _in_place(name: str, tree: ast.Module, names: Mapping[str, object]) -> Iterator[Expression]:
    """The expressions in calls such as `re.search("…", text)`, unless a local variable is a part of them."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re"), attr=method), args=[written, *others]
            ) if method in _METHODS:
                flags = [each.value for each in node.keywords if each.arg == "flags"]
                flags += others[{"sub": 3, "split": 2}.get(method, 1) :]
                try:
                    pattern = re.compile(*(_value(each, names) for each in (written, *flags)))
                except NameError:
                    continue
                yield Expression(f"{name}:{node.lineno}", pattern, (method,))


def _value(node: ast.expr, names: Mapping[str, object]) -> Any:
    return eval(compile(ast.Expression(node), "a pattern", "eval"), dict(names))


def hostile_texts(pattern: Pattern) -> list[str]:
    """Long texts of what the expression matches: a part of a match, repeated after the parts before it."""
    tree = _parser.parse(pattern.pattern, pattern.flags)
    return [start + unit * (SIZE // len(unit)) + end for start, unit, end in dict.fromkeys(_repeated(tree))]


def _repeated(tree: Any) -> Iterator[tuple[str, str, str]]:
    for character in _CHARACTERS:
        yield "", character, ""
    chance = random.Random(1)
    for sample in range(_SAMPLES):
        parts = list(islice(filter(None, _match_of(tree, chance)), 60))
        if sample < _WITH_ALL_PREFIXES:
            for end in range(1, len(parts) + 1, 1 + len(parts) // _PREFIXES):
                yield "", "".join(parts[:end]), _ENDS[-1]
        for _ in range(_CUTS if parts else 0):
            start, end = sorted(chance.sample(range(len(parts) + 1), 2))
            yield "".join(parts[:start]), "".join(parts[start:end]), chance.choice(_ENDS)


def _match_of(tree: Any, chance: random.Random) -> Iterator[str]:
    """The parts of a text that the expression matches, at random."""
    for operation, argument in tree:
        match str(operation):
            case "LITERAL":
                yield chr(argument)
            case "NOT_LITERAL" | "ANY":
                yield "b" if argument == ord("a") else "a"
            case "IN":
                yield _member(argument, chance)
            case "BRANCH":
                yield from _match_of(chance.choice(argument[1]), chance)
            case "SUBPATTERN":
                yield from _match_of(argument[-1], chance)
            case "ATOMIC_GROUP":
                yield from _match_of(argument, chance)
            case "ASSERT" if argument[0] < 0 or chance.random() < 0.5:  # behind, or ahead
                yield from _match_of(argument[1], chance)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inside = argument
                for _ in range(min(int(most), max(int(least), chance.choice((0, 1, 1, 2))))):
                    yield from _match_of(inside, chance)


def _member(choices: list[Any], chance: random.Random) -> str:
    """A character of a class."""
    if str(choices[0][0]) == "NEGATE":
        return chance.choice([one for one in _OTHERS if not any(_is_in(one, c) for c in choices[1:])])
    kind, value = chance.choice(choices)
    match str(kind):
        case "LITERAL":
            return chr(value)
        case "RANGE":
            return chr(chance.choice(value))
    return chance.choice([one for one in _OTHERS if _is_in(one, (kind, value))])


def _is_in(character: str, choice: Any) -> bool:
    kind, value = choice
    match str(kind):
        case "LITERAL":
            return ord(character) == value
        case "RANGE":
            return value[0] <= ord(character) <= value[1]
    letter = str(value).rpartition("_")[2][0].lower()  # CATEGORY_NOT_SPACE: "s"
    return bool(re.match(rf"\{letter}", character)) is not ("NOT" in str(value))


def apply(expression: Expression, text: str) -> None:
    """Apply it to the text by each of its methods, as often as it matches."""
    content = text.encode("latin-1", "replace") if isinstance(expression.pattern.pattern, bytes) else text
    for method in expression.methods:
        if method in ("search", "match", "fullmatch"):
            getattr(expression.pattern, method)(content)
        else:
            for _ in expression.pattern.finditer(content):  # type: ignore[arg-type]
                pass


def main(package: str, skipped: int) -> None:
    """Apply all after so many expressions of a package, with a limit of CPU time for each text.

    Prints the place of each before it begins. The system ends this process if one takes longer.
    """
    for expression in expressions(package)[skipped:]:
        print(expression.place, flush=True)
        for text in hostile_texts(expression.pattern):
            limit_time(LIMIT)
            apply(expression, text)


def limit_time(seconds: float) -> None:
    """End this process with SIGVTALRM if it takes so many more seconds of CPU time."""
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
