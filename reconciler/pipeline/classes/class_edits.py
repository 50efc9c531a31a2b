"""Change one value in the source of an inputs class or a parameters class, and nothing else. Pure.

`adopt` uses it for the patch that it prints. It supports the usual form, which the static reader also
understands: literal arguments, one statement each, in `__init__`. For any other form it raises
`ManualEditError` and never guesses. Runs no code of the pipeline and writes no file.
"""

import ast
from collections.abc import Mapping, Sequence
from typing import Any, Final

from providers import enums
from providers.patterns import pattern
from providers.rules import as_number
from reconciler.pipeline.classes.parse_lock import parsing

_INPUT_FIELDS: Final = ("input_type", "required", "inference_type_constraint", "framework_constraint")
_INPUT_ORDER: Final = ("name", *_INPUT_FIELDS)
_PARAMETER_ORDER: Final = ("keys", "expected_type", "default", "range_value")
_ENUMS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "input_type": ("ProcessingInputType", enums.INPUT_TYPES),
    "inference_type_constraint": ("InferenceType", enums.INFERENCE_TYPES),
    "framework_constraint": ("Framework", enums.FRAMEWORKS),
}
_ENUMS_MODULE: Final = "picsellia.types.enums"
_WIDEST: Final = 100


class ManualEditError(Exception):
    """The source has a form that only a person can edit.

    Attributes:
        reason: why it cannot be edited.
        line: the line of the reason, or None.
    """

    def __init__(self, reason: str, node: ast.AST | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line: int | None = getattr(node, "lineno", None)


def with_parameter(source: str, cls: str, name: str, value: Any) -> str:
    """The source with this default for a parameter, which is added if the class does not set it.

    Raises:
        ManualEditError: the current default is not a literal.
    """
    module = _Source(source, cls)
    statement = module.assignment(name)
    if statement is None:
        module.require_inherited_to_dict()
        return module.add_statement(_new_parameter(module, name, value))
    holder = statement.value
    assert holder is not None
    node: ast.expr | None = holder
    expected = type(holder.value).__name__ if isinstance(holder, ast.Constant) else ""
    if isinstance(holder, ast.Call):
        if not _calls(holder, "extract_parameter"):
            raise ManualEditError(f"{name} is computed", statement)
        arguments = _arguments(holder, _PARAMETER_ORDER)
        node, kind = arguments.get("default"), arguments.get("expected_type")
        expected = kind.id if isinstance(kind, ast.Name) else ""
    if node is None or not _is_literal(node):
        raise ManualEditError(f"the default of {name} is computed", node or statement)
    module.replace(node, literal(_of_type(expected, value)))
    return module.text()


def without_parameter(source: str, cls: str, name: str) -> str:
    """The source without this parameter. Raises ManualEditError if no statement of the class sets it."""
    module = _Source(source, cls)
    statement = module.assignment(name)
    if statement is None:
        raise ManualEditError(f"{name} comes from the base class of {cls}", module.node)
    module.require_inherited_to_dict()
    return module.remove_statement(statement)


def with_input_field(source: str, cls: str, name: str, field: str, value: Any) -> str:
    """The source with another value in the declaration of an input.

    Raises:
        ManualEditError: the current value is computed.
    """
    module = _Source(source, cls)
    call = module.declaration(name)
    node = _arguments(call, _INPUT_ORDER).get(field)
    text = _argument(module, field, value)
    if node is None:
        module.add_argument(call, f"{field}={text}")
    elif _is_literal(node) or isinstance(node, ast.Attribute):
        module.replace(node, text)
    else:
        raise ManualEditError(f"{field} of the input {name} is computed", node)
    return module.text()


def with_input(source: str, cls: str, name: str, fields: Mapping[str, Any]) -> str:
    """The source with one more input. Raises ManualEditError if the class has no place for it."""
    module = _Source(source, cls)
    arguments = [f"name={literal(name)}"]
    for field in _INPUT_FIELDS:
        value = fields.get(field)
        if value is None or (field == "required" and value is True):
            continue  # the default of define_input
        arguments.append(f"{field}={_argument(module, field, value)}")
    return module.add_statement(_call("self.define_input", arguments, module.indent))


def without_input(source: str, cls: str, name: str) -> str:
    """The source without this input. Raises ManualEditError if its declaration is computed."""
    module = _Source(source, cls)
    call = module.declaration(name)
    return module.remove_statement(next(one for one in module.body if getattr(one, "value", None) is call))


_MARK: Final = "\ufeff"  # some editors begin a file in UTF-8 with it
_LINE_END: Final = pattern(r"\r\n|\r|\n")
_LINE: Final = pattern(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""The lines of a source as Python counts them: a carriage return alone ends one, too."""


class _Source:
    """A source text, the class in it, and the collected edits, which `text` applies together."""

    def __init__(self, source: str, cls: str) -> None:
        self._mark = _MARK if source.startswith(_MARK) else ""
        source = source.removeprefix(_MARK)
        self._lines = _LINE.findall(source)
        self._edits: list[tuple[int, int, str]] = []
        self._source = source
        try:
            with parsing():
                self._tree = ast.parse(source)
        except SyntaxError as problem:
            place = ast.Constant(None, lineno=problem.lineno or 1)
            raise ManualEditError(f"this Python cannot parse it ({problem.msg})", place) from None
        except ValueError as problem:
            raise ManualEditError(f"this Python cannot parse it ({problem})") from None
        found = [node for node in self._tree.body if isinstance(node, ast.ClassDef) and node.name == cls]
        if len(found) != 1:
            raise ManualEditError(f"{cls} is not defined exactly once at the top level of the file")
        self.node = found[0]
        inits = [
            node for node in self.node.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"
        ]
        if len(inits) != 1:
            raise ManualEditError(f"{cls} has no __init__ of its own", self.node)
        self.body: Sequence[ast.stmt] = inits[0].body
        found_end = _LINE_END.search(source)
        self._newline = found_end[0] if found_end else "\n"

    @property
    def indent(self) -> int:
        return self.body[0].col_offset

    def assignment(self, name: str) -> ast.Assign | ast.AnnAssign | None:
        """The one statement that sets self.NAME, or None."""
        statements: list[ast.Assign | ast.AnnAssign] = []
        for node in ast.walk(self.node):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(_is_own(target, name) for target in targets):
                if (
                    not isinstance(node, ast.Assign | ast.AnnAssign)
                    or node not in self.body
                    or not node.value
                ):
                    raise ManualEditError(f"{name} is set by code", node)
                statements.append(node)
        if len(statements) > 1:
            raise ManualEditError(f"{name} is set more than once", statements[-1])
        return statements[0] if statements else None

    def require_inherited_to_dict(self) -> None:
        """Raise ManualEditError if the class defines `to_dict`, which decides which parameters there are."""
        for node in self.node.body:
            if isinstance(node, ast.FunctionDef) and node.name == "to_dict":
                raise ManualEditError(f"to_dict of {self.node.name} decides which parameters exist", node)
        if not self.node.bases:
            raise ManualEditError(f"{self.node.name} has no base class for parameters", self.node)

    def declaration(self, name: str) -> ast.Call:
        """The one `self.define_input` call for this name."""
        calls = []
        for node in ast.walk(self.node):
            if isinstance(node, ast.Call) and _calls(node, "define_input"):
                argument = _arguments(node, _INPUT_ORDER).get("name")
                if not isinstance(argument, ast.Constant):
                    raise ManualEditError("the name of an input is computed", node)
                if argument.value == name:
                    calls.append(node)
        if len(calls) != 1 or not any(getattr(one, "value", None) is calls[0] for one in self.body):
            raise ManualEditError(f"the input {name} is declared by code", calls[0] if calls else self.node)
        return calls[0]

    def enum(self, name: str) -> str:
        """The name of the enum in this file; adds the import if it is missing."""
        imports = [node for node in self._tree.body if isinstance(node, ast.ImportFrom)]
        for node in imports:
            for alias in node.names:
                if node.module == _ENUMS_MODULE and alias.name == name:
                    return alias.asname or name
        siblings = next((node for node in imports if node.module == _ENUMS_MODULE), None)
        if siblings is not None:
            end = self._end(siblings.names[-1])
            self._edits.append((end, end, f", {name}"))
        else:
            self._insert_below(self._last_import(), f"from {_ENUMS_MODULE} import {name}{self._newline}")
        return name

    def replace(self, node: ast.expr, text: str) -> None:
        self._edits.append((self._start(node), self._end(node), text))

    def add_argument(self, call: ast.Call, text: str) -> None:
        """Add an argument after the last one, on a line of its own if the last one has its own line."""
        arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
        last = max(arguments, key=self._end)
        between = ", " if last.lineno == call.lineno else f",{self._newline}{' ' * last.col_offset}"
        self._edits.append((self._end(last), self._end(last), between + text))

    def add_statement(self, lines: Sequence[str]) -> str:
        """The text with one more statement at the end of `__init__`."""
        below = "".join(f"{' ' * self.indent}{line}{self._newline}" for line in lines)
        self._insert_below(self.body[-1], below)
        return self.text()

    def remove_statement(self, statement: ast.stmt) -> str:
        """The text without the lines of this statement."""
        start, end = self._offset(statement.lineno, 0), self._offset((statement.end_lineno or 0) + 1, 0)
        shares = [one for one in self.body if one is not statement and start <= self._start(one) < end]
        if shares or len(self.body) == 1:
            raise ManualEditError("its statement cannot be removed on its own", statement)
        self._edits.append((start, end, ""))
        return self.text()

    def text(self) -> str:
        """The source with all edits."""
        result = self._source
        for start, end, text in sorted(self._edits, reverse=True):
            result = result[:start] + text + result[end:]
        return self._mark + result

    def _last_import(self) -> ast.stmt | None:
        """The last top-level import, else the docstring, else None."""
        match self._tree.body:
            case [ast.Expr(ast.Constant(str())) as first, *_]:
                above: list[ast.stmt] = [first]
            case _:
                above = []
        above += [node for node in self._tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        return above[-1] if above else None

    def _insert_below(self, node: ast.stmt | None, text: str) -> None:
        at = self._offset((node.end_lineno or 0) + 1, 0) if node is not None else 0
        closed = at == 0 or self._source[at - 1] in "\r\n"
        self._edits.append((at, at, text if closed else self._newline + text.removesuffix(self._newline)))

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._offset(node.lineno, node.col_offset)

    def _end(self, node: ast.expr | ast.keyword | ast.alias) -> int:
        return self._offset(node.end_lineno or 0, node.end_col_offset or 0)

    def _offset(self, line: int, column: int) -> int:
        """The offset of a line (from 1) and a column (in bytes), as in ast; at most the end of the text."""
        before = sum(map(len, self._lines[: line - 1]))
        inside = self._lines[line - 1].encode()[:column].decode() if column else ""
        return before + len(inside)


def literal(value: Any) -> str:
    """A JSON value as Python source, in double quotes if the text has none."""
    match value:
        case str():
            return '"' + repr("'" + value)[2:] if '"' not in value else repr(value)
        case list():
            return f"[{', '.join(map(literal, value))}]"
        case dict():
            return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _new_parameter(module: _Source, name: str, value: Any) -> list[str]:
    kind = type(value).__name__
    if not name.isidentifier() or kind not in ("int", "float", "str", "bool", "list", "dict"):
        raise ManualEditError(f"{name} = {literal(value)} cannot be written as a parameter", module.node)
    arguments = [f"[{literal(name)}]", f"expected_type={kind}", f"default={literal(value)}"]
    return _call(f"self.{name} = self.extract_parameter", arguments, module.indent)


def _argument(module: _Source, field: str, value: Any) -> str:
    """An argument of define_input as source text."""
    if field not in _ENUMS or value is None:
        return literal(value)
    enum, members = _ENUMS[field]
    if value not in members:
        raise ManualEditError(f"{value} is not a known {enum}", module.node)
    return f"{module.enum(enum)}.{value}"


def _call(function: str, arguments: Sequence[str], indent: int) -> list[str]:
    """The lines of a call: one, or one per argument."""
    line = f"{function}({', '.join(arguments)})"
    if indent + len(line) <= _WIDEST:
        return [line]
    return [f"{function}(", *(f"    {argument}," for argument in arguments), ")"]


def _of_type(expected: str, value: Any) -> Any:
    """The value in the type of the class, if it is the same number: the platform returns 12.0 as 12."""
    if expected in ("int", "float"):
        value = as_number(value)
    if expected == "float" and type(value) is int:
        return float(value)
    return value


def _arguments(call: ast.Call, order: tuple[str, ...]) -> dict[str, ast.expr]:
    if any(isinstance(one, ast.Starred) for one in call.args) or not all(one.arg for one in call.keywords):
        raise ManualEditError("the arguments of the call are computed", call)
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    return {**dict(zip(order, call.args, strict=False)), **named}


def _calls(call: ast.Call, method: str) -> bool:
    match call.func:
        case ast.Attribute(ast.Name("self"), name):
            return name == method
    return False


def _is_own(node: object, name: str) -> bool:
    match node:
        case ast.Attribute(ast.Name("self"), attribute):
            return attribute == name
    return False


def _is_literal(node: ast.expr) -> bool:
    """Whether this is a literal or the name of a constant: both are replaced, the constant itself is kept."""
    if isinstance(node, ast.Name):
        return node.id.isupper()
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return False
    return True
