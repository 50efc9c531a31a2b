"""Edits of a `.env` file change the given entries and no other byte."""

from io import StringIO

import pytest
from dotenv.parser import parse_stream
from hypothesis import given
from hypothesis import strategies as st

from reconciler.credentials.env_file import values_of, with_values


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ("", {"A": "1"}, "A=1\n"),
        ("A=1", {"B": "2"}, "A=1\nB=2\n"),
        ("", {"B": "1", "A": "2", "C": "3"}, "B=1\nA=2\nC=3\n"),
        ("A=1\r\n", {"B": "2"}, "A=1\r\nB=2\r\n"),
        ("# a\n\nA=1 # why\nB=2\n", {"A": "3"}, "# a\n\nA=3 # why\nB=2\n"),
        ("export A = 'x y'  # why\n", {"A": "3"}, "export A =3  # why\n"),
        ('A="two\nlines"\nB=2\n', {"A": "3"}, "A=3\nB=2\n"),
        ("A=1\nA=2\n", {"A": "3"}, "A=3\nA=3\n"),
        ("A\nB=2\n", {"A": "3"}, "A=3\nB=2\n"),
        ("# a\n\nA=1\nB=2\n", {"A": None}, "# a\n\nB=2\n"),
        ("A=1\nA=2\n", {"A": None, "C": None}, ""),
        ("what is this\nA=1\n", {"A": "2"}, "what is this\nA=2\n"),
        ("\ufeffA=1\n", {"A": "2"}, "\ufeffA=2\n"),
        ("", {"A B": "1"}, "'A B'=1\n"),
        ("A=1\n", {"A": "to=ken/+#-_."}, "A=to=ken/+#-_.\n"),
    ],
)
def test_edits(before: str, changes: dict[str, str | None], after: str) -> None:
    assert with_values(before, changes) == after
    assert values_of(after).items() >= {(key, value) for key, value in changes.items() if value}


@pytest.mark.parametrize(
    "changes",
    [{"A": "1\nB=2"}, {"A": "'1"}, {"A": " 1"}, {"A": "1 #"}, {"A": "${HOME}"}, {"A'B": "1"}, {"#A": "1"}],
)
def test_unsupported_values_are_refused(changes: dict[str, str | None]) -> None:
    if "#A" in changes:
        assert values_of(with_values("", changes)) == changes
        return
    with pytest.raises(ValueError, match=r"a \.env file"):
        with_values("Z=1\n", changes)


LINE = st.sampled_from(
    [
        *("", "# note", "A=1", "A='x' # c", "export A=2", "B = two words", "nonsense here", "=", "'Q R'=5"),
        *('B="open', "C='it''s'", "A", "\tA=\t3", "# A=4", "D=${A}"),
    ]
)


@given(st.lists(LINE, max_size=6), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.none() | st.just("new"))
def test_every_other_entry_keeps_its_bytes(
    lines: list[str], newline: str, ended: bool, value: str | None
) -> None:
    text = newline.join(lines) + (newline if ended else "")
    after = with_values(text, {"A": value})

    def others(content: str) -> list[str]:
        found = [one for one in parse_stream(StringIO(content)) if one.key != "A"]
        return [stripped for one in found if (stripped := one.original.string.strip())]

    assert others(after) == others(text)
    assert values_of(after).get("A") == value
    assert with_values(after, {"A": value}) == after
