"""As much of GitHub's expressions as the example workflows use; everything else is an error.

https://docs.github.com/actions/reference/workflows-and-actions/expressions
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|(==|!=|&&|\|\||!|\(|\)|\[|\])|(\.?[A-Za-z_][\w.-]*|[0-9]+))")
_STATUS = re.compile(r"\b(?:always|cancelled|success|failure)\(\)")


class ExpressionError(Exception):
    """Something that this reader or the context does not know."""


def text(template: str, context: Mapping[str, Any]) -> str:
    """A value of a workflow with every `${{ … }}` replaced."""

    def value(found: re.Match[str]) -> str:
        result = evaluate(found[1], context)
        return str(result).lower() if isinstance(result, bool) else str(result)

    return re.sub(r"\$\{\{(.*?)\}\}", value, template)


def holds(condition: str | None, context: Mapping[str, Any], *, failed: bool) -> bool:
    """Whether an `if` lets a step or a job run: it says so, and nothing failed unless it asks for that."""
    if condition is None:
        return not failed
    inner = condition.strip().removeprefix("${{").removesuffix("}}")
    if not _STATUS.search(inner) and failed:
        return False
    return bool(evaluate(inner, context))


def evaluate(expression: str, context: Mapping[str, Any]) -> Any:
    """The value of what stands between the braces."""
    tokens: list[tuple[str, str]] = []
    at = 0
    while expression[at:].strip():
        found = _TOKEN.match(expression, at)
        if found is None:
            raise ExpressionError(f"{expression[at:]!r} is not understood")
        kind = "text" if found[1] is not None else "sign" if found[2] else "name"
        tokens.append((kind, (found[1] or "").replace("''", "'") if kind == "text" else found[2] or found[3]))
        at = found.end()
    parser = _Parser(tokens, context)
    result = parser.either()
    if parser.tokens:
        raise ExpressionError(f"{expression!r} goes on after its end")
    return result


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], context: Mapping[str, Any]) -> None:
        self.tokens, self._context = tokens, context
        self._unasked = 0

    def either(self) -> Any:
        value = self._both()
        while self._next("||"):
            other = self._unless(bool(value), self._both)
            value = value or other
        return value

    def _both(self) -> Any:
        value = self._same()
        while self._next("&&"):
            other = self._unless(not value, self._same)
            value = value and other
        return value

    def _unless(self, settled: bool, part: Callable[[], Any]) -> Any:
        """Reads a part, which when all is settled may ask for what is not there."""
        self._unasked += settled
        value = part()
        self._unasked -= settled
        return value

    def _same(self) -> Any:
        value = self._one()
        if self._next("=="):
            return str(value) == str(self._one())
        if self._next("!="):
            return str(value) != str(self._one())
        return value

    def _one(self) -> Any:
        if self._next("!"):
            return not self._one()
        if self._next("("):
            value = self.either()
            self._expect(")")
            return value
        kind, said = self.tokens.pop(0)
        if kind == "text":
            return said
        if said.isdecimal():
            return int(said)
        if said == "fromJSON" and self._next("("):
            found = self.either()
            self._expect(")")
            return self._part_of(json.loads(found) if found or not self._unasked else "")
        if self._next("("):
            self._expect(")")
            known = {"always": True, "cancelled": False}
            if said not in known:
                raise ExpressionError(f"{said}() is not known")
            return known[said]
        return self._looked_up(said, self._context)

    def _part_of(self, value: Any) -> Any:
        """What `.name` and `[0]` after a value select of it; nothing of a list that is too short."""
        while self.tokens:
            if self.tokens[0][0] == "name" and self.tokens[0][1].startswith("."):
                value = self._looked_up(self.tokens.pop(0)[1][1:], value)
            elif self._next("["):
                index = self.either()
                self._expect("]")
                value = value[index] if index < len(value) else ""
            else:
                break
        return value

    def _looked_up(self, path: str, value: Any) -> Any:
        for name in path.split("."):
            if not isinstance(value, Mapping) or name not in value:
                if self._unasked:
                    return ""
                raise ExpressionError(f"there is no {path}")
            value = value[name]
        return value

    def _next(self, sign: str) -> bool:
        if self.tokens and self.tokens[0] == ("sign", sign):
            self.tokens.pop(0)
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._next(sign):
            raise ExpressionError(f"{sign} is missing")
