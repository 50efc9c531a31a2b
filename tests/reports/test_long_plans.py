"""A plan of thousands of inputs: its lines are made and written once each."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.reasons import Reason
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.reasons import ReasonCode
from reconciler.core.values import MISSING, Address
from reconciler.views.terminal.console import PlainConsole, columns, console, print_lines
from reconciler.views.terminal.plans import print_plan
from reconciler.views.terminal.rich_console import RichConsole
from reconciler.views.terminal.text import Text
from tests.reports.conftest import STACK

APP = Address.of("processing", "app")
PARTS = st.sampled_from(["a", "Ünï", "名", " ", "\n", "\r", "\x1b[31m", "\x07", "::error::", "\u202e"])
TEXTS = st.lists(PARTS, max_size=6).map("".join)


def long_plan(inputs: int) -> Plan:
    """Creates a processing with so many inputs."""
    names = [Address.of("input", "app", f"input-{number:04}") for number in range(inputs)]
    return Plan(STACK, "", 0, (created(APP), *(created(name, APP) for name in names)))


def created(address: Address, *depends_on: Address) -> Step:
    new = Reason(ReasonCode.NEW)
    changes = tuple(
        Change(name, ChangeClass.PENDING, value, MISSING, MISSING, new, write=True, place="")
        for name, value in {"input_type": "TEXT", "required": True}.items()
    )
    return Step(address, Action.CREATE, new, changes, depends_on=depends_on)


class Written(io.StringIO):
    """Counts writes."""

    count = 0

    def write(self, text: str) -> int:
        self.count += 1
        return super().write(text)


@contextmanager
def made_texts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Text]]:
    made: list[Text] = []
    make = Text.__init__

    def counted(self: Text, *arguments: object, **options: object) -> None:
        made.append(self)
        make(self, *arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Text, "__init__", counted)
        yield made


def test_a_long_plan_is_one_write_and_each_line_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for inputs in (100, 200):
        stream = Written()
        with made_texts(monkeypatch) as made:
            print_plan(long_plan(inputs), console(stream))
        lines = stream.getvalue().splitlines()
        counts.append((len(lines), len(made)))
        assert stream.count == 1
        assert lines[-5:-2] == [
            f"└── + input/app/input-{inputs - 1:04}  create  new",
            "        input_type  TEXT",
            "        required    true",
        ]
    (few_lines, few), (many_lines, many) = counts
    # a head, two rows, and what is before the rows
    assert (many_lines - few_lines, many - few) == (300, 400)


@given(texts=st.lists(TEXTS, min_size=1, max_size=8), terminal=st.booleans())
def test_lines_at_once_are_printed_as_one_by_one(texts: list[str], terminal: bool) -> None:
    def printed(together: bool) -> str:
        shown = io.StringIO()
        out = RichConsole(shown, force_terminal=True, width=80) if terminal else PlainConsole(shown)
        lines = [Text(text) for text in texts]
        if together:
            print_lines(lines, out)
        else:
            for line in lines:
                out.print(line)
        return shown.getvalue()

    assert printed(together=True) == printed(together=False)


@given(rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=5), before=TEXTS)
def test_cells_of_any_form_make_the_same_lines(rows: list[tuple[str, str, str]], before: str) -> None:
    plain = columns([[first, (second, "red"), third] for first, second, third in rows], before=before)
    texts = columns(
        [[Text(first), Text(second, "red"), Text(third)] for first, second, third in rows],
        before=Text(before),
    )

    assert [styles(line) for line in plain] == [styles(line) for line in texts]
    assert all(line.plain == line.plain.rstrip() for line in plain)


def styles(line: Text) -> list[tuple[str, str]]:
    """Each character with its style."""
    return [(character, style) for text, style in line.parts for character in text]
