"""A line of ours is what Rich makes of the same characters and styles, and needs Rich on terminals only."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text as RichText

from reconciler.views.terminal.console import PlainConsole, console
from reconciler.views.terminal.rich_console import RichConsole
from reconciler.views.terminal.text import Text

CHARACTERS = st.sampled_from(["a", "bc", " ", "  ", "é", "e\u0301", "名", "🚀", "…"])
PARTS = st.lists(
    st.tuples(
        st.lists(CHARACTERS, min_size=1, max_size=5).map("".join), st.sampled_from(["", "red", "bold cyan"])
    ),
    max_size=5,
)


def drawn(line: Text | RichText) -> str:
    """The line with the codes of its styles."""
    stream = io.StringIO()
    out = Console(file=stream, force_terminal=True, color_system="standard", width=500, _environ={})
    out.print(line, soft_wrap=True)
    return stream.getvalue()


@given(parts=PARTS)
def test_rich_draws_it_as_its_own(parts: list[tuple[str, str]]) -> None:
    ours, theirs = Text.assemble(*parts), RichText.assemble(*parts)

    assert drawn(ours) == drawn(theirs)
    assert (ours.plain, ours.cell_len, bool(ours)) == (theirs.plain, theirs.cell_len, bool(theirs.plain))


@given(parts=PARTS)
def test_the_end_has_no_blanks(parts: list[tuple[str, str]]) -> None:
    ours, theirs = Text.assemble(*parts), RichText.assemble(*parts)
    ours.rstrip()
    theirs.rstrip()

    assert drawn(ours) == drawn(theirs)


@given(parts=PARTS, data=st.data())
def test_a_divided_line_has_the_same_parts(parts: list[tuple[str, str]], data: st.DataObject) -> None:
    ours, theirs = Text.assemble(*parts), RichText.assemble(*parts)
    offsets = sorted(data.draw(st.sets(st.integers(1, max(len(theirs.plain) - 1, 1)), max_size=4)))

    assert [*map(drawn, ours.split(offsets))] == [*map(drawn, theirs.divide(offsets))]


@given(parts=PARTS, width=st.integers(0, 30), pad=st.booleans())
def test_a_cut_line_fits_and_says_so(parts: list[tuple[str, str]], width: int, pad: bool) -> None:
    whole = Text.assemble(*parts).plain
    line = Text.assemble(*parts)
    line.truncate(width, pad=pad)

    assert line.cell_len <= width
    if cell_len(whole) <= width:
        assert line.plain.rstrip() == whole.rstrip()
    elif width:
        assert whole.startswith(line.plain.rstrip().removesuffix("…"))
        assert line.plain.rstrip().endswith("…")
        assert line.cell_len >= width - 1  # a wide character has no half
    assert not pad or line.cell_len == width


@given(lines=st.lists(PARTS, max_size=4), between=PARTS)
def test_joined_lines(lines: list[list[tuple[str, str]]], between: list[tuple[str, str]]) -> None:
    ours = Text.assemble(*between).join([Text.assemble(*parts) for parts in lines])
    theirs = RichText.assemble(*between).join([RichText.assemble(*parts) for parts in lines])

    assert drawn(ours) == drawn(theirs)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"FORCE_COLOR": "1"},
        {"FORCE_COLOR": ""},
        {"TTY_COMPATIBLE": "0"},
        {"TTY_COMPATIBLE": "1"},
        {"TTY_COMPATIBLE": "other"},
        {"TTY_COMPATIBLE": "0", "FORCE_COLOR": "1"},
        {"TTY_COMPATIBLE": "1", "FORCE_COLOR": ""},
        {"TERM": "dumb"},
        {"NO_COLOR": "1"},
        {"TTY_INTERACTIVE": "1"},
    ],
    ids=str,
)
def test_what_is_a_terminal_for_rich_is_one_for_us(
    variables: dict[str, str], is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if is_terminal else io.StringIO()

    ours, theirs = console(stream), Console(file=stream)

    assert ours.is_terminal == theirs.is_terminal
    assert ours.is_interactive == (theirs.is_terminal and theirs.is_interactive)
    ours.print(Text("a", "red"))
    drawn_by_ours = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    theirs.print(RichText("a", "red"))
    assert drawn_by_ours == stream.getvalue()


def test_a_closed_stream_gets_nothing() -> None:
    console(None).print("a")


def test_both_consoles_write_the_same_lines() -> None:
    plain, rich = io.StringIO(), io.StringIO()
    lines = "a\nb", Text("\x1b[31m red"), Text.assemble("one ", ("two", "bold"))

    for out in (PlainConsole(plain), RichConsole(rich, color_system=None)):
        out.print(*lines)
        out.print(*lines, sep="\n", style="dim")
        out.print()

    assert plain.getvalue() == rich.getvalue()
