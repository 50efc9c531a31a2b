"""Globs of a workspace match folders, and `**` any number of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.workspace.globs import Glob

NAME = st.sampled_from(["a", "b", "SAM2", "legacy", "x.y"])
FOLDER = st.lists(NAME, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("pipelines/**", ["pipelines", "pipelines/a", "pipelines/a/b"], [".", "pipelines2", "x/pipelines"]),
        ("pipelines/*", ["pipelines/a"], ["pipelines", "pipelines/a/b"]),
        ("pipelines/SAM*", ["pipelines/SAM", "pipelines/SAM2"], ["pipelines/sam", "pipelines/a/SAM"]),
        ("**/training", ["training", "clip/training", "a/b/training"], ["training/a", "clip/trainings"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a", "b", "a/b/c"]),
        ("**", [".", "a", "a/b"], []),
        (".", ["."], ["a"]),
        ("./a/", ["a"], ["a/b"]),
        ("v[12]", ["v1", "v2"], ["v3", "v12"]),
    ],
)
def test_a_glob(glob: str, matching: list[str], others: list[str]) -> None:
    assert [folder for folder in (*matching, *others) if Glob(glob).matches(folder)] == matching


@given(FOLDER)
def test_a_folder_matches_itself_and_everything_above_it(folder: str) -> None:
    assert Glob(folder or ".").matches(folder)
    parts = folder.split("/")
    for end in range(len(parts) + 1):
        assert Glob("/".join([*parts[:end], "**"])).matches(folder)


PART = st.one_of(NAME, st.sampled_from(["*", "**", "S*", "[ab]"]))
GLOB = st.lists(PART, min_size=1, max_size=4).map("/".join)


@given(GLOB, FOLDER, st.lists(NAME, max_size=3))
def test_what_may_match_in_a_folder(glob: str, folder: str, below: list[str]) -> None:
    deeper = "/".join(filter(None, [folder, *below]))
    if Glob(glob).matches(deeper):
        assert Glob(glob).may_match_in(folder)
    elif below:
        assert not Glob(glob).matches_all_below(folder)


@pytest.mark.parametrize(
    ("glob", "folder", "may", "all_"),
    [
        ("data/**", "data", True, True),
        ("data/**", "data/old", True, True),
        ("data", "data", True, False),
        ("data", "data/old", False, False),
        ("data/*", "data", True, False),
        ("data/*", "data/old", True, False),
        ("data/*", "data/old/app", False, False),
        ("team/**", "data", False, False),
        ("**/app", "data", True, False),
        ("**", "data", True, True),
        ("data/**/app", "data", True, False),
    ],
)
def test_a_glob_in_a_folder(glob: str, folder: str, may: bool, all_: bool) -> None:
    assert (Glob(glob).may_match_in(folder), Glob(glob).matches_all_below(folder)) == (may, all_)


@given(FOLDER, st.lists(st.just("**"), min_size=1, max_size=30))
def test_repeated_stars_are_one(folder: str, stars: list[str]) -> None:
    assert Glob("/".join([*stars, "end"])).matches(f"{folder}/end")
    assert not Glob("/".join([*stars, "other"])).matches(f"{folder}/end")


def test_no_glob_takes_for_ever() -> None:
    """However many `**` it has, and however deep the folder is."""
    assert not Glob("**/a/" * 15 + "b").matches("a/" * 60 + "c")
    assert Glob("**/a/" * 15 + "b").matches("a/" * 60 + "b")
