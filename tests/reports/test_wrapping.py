"""A terminal gets long lines wrapped between words. A pipe or a file gets them whole."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.views.terminal.console import PlainConsole
from reconciler.views.terminal.rich_console import RichConsole
from reconciler.views.terminal.text import Text

WORDS = st.lists(st.text("abcdefgh.,/", min_size=1, max_size=70), min_size=1, max_size=30)
STARTS = st.sampled_from(["", "    ", "├── ", "│   └── ", "│       "])


def printed(text: str, width: int, *, terminal: bool) -> list[str]:
    """The lines of this text on a terminal of this width, or in a file."""
    shown = io.StringIO()
    out = (
        RichConsole(shown, force_terminal=True, color_system=None, width=width)
        if terminal
        else PlainConsole(shown)
    )
    out.print(Text(text))
    return shown.getvalue().splitlines()


@given(start=STARTS, words=WORDS, width=st.integers(min_value=40, max_value=120))
def test_no_word_is_cut(start: str, words: list[str], width: int) -> None:
    lines = printed(start + " ".join(words), width, terminal=True)

    assert [word for line in lines for word in re.split(r"[ │├└─]+", line) if word] == words
    for line in lines:
        too_wide = len(line.rstrip()) > width
        assert not too_wide or len(line.split()[-1]) + len(start) > width, "only a single word is wider"


def test_the_rest_of_a_line_is_below_its_start() -> None:
    text = "├── + input/cleanup/dataset  create  " + "does not exist yet, " * 4

    assert printed(text.rstrip(", "), 60, terminal=True) == [
        "├── + input/cleanup/dataset  create  does not exist yet,",
        "│   does not exist yet, does not exist yet, does not exist",
        "│   yet",
    ]


@pytest.mark.parametrize(
    ("text", "width", "terminal"),
    [
        pytest.param("a value that is wider than this terminal of few columns", 20, True, id="narrow"),
        pytest.param("apply it:  reconciler apply cleanup --organization acme", 45, True, id="a-command"),
        pytest.param("a line of a log or a file stays whole at any width", 40, False, id="a-file"),
    ],
)
def test_other_lines_stay_whole(text: str, width: int, terminal: bool) -> None:
    assert printed(text, width, terminal=terminal) == [text]
