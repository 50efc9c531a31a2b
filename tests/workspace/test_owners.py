"""The owners of pipelines, by CODEOWNERS."""

from pathlib import Path

import pytest

from reconciler.workspace.owners import PLACES, find_owners


def write(top: Path, text: str, place: str = "CODEOWNERS") -> None:
    (top / ".git").mkdir(exist_ok=True)
    (top / place).parent.mkdir(exist_ok=True)
    (top / place).write_text(text)


def owners(top: Path, folder: str) -> tuple[str, ...]:
    (top / folder).mkdir(parents=True, exist_ok=True)
    return find_owners(top / folder).of(top / folder)


@pytest.mark.parametrize(
    ("pattern", "owned", "not_owned"),
    [
        ("*", ["app", "team/app"], []),
        ("/team/", ["team/app", "team/a/b"], ["other/team", "teams/app"]),
        ("team/", ["team/app", "other/team/app"], ["teams/app"]),
        ("team", ["team/app", "other/team"], ["teams"]),
        ("/team/app", ["team/app", "team/app/part"], ["team/apps", "other/team/app"]),
        ("team/app", ["team/app"], ["other/team/app"]),
        ("/team/*", ["team"], ["team/app"]),  # files of that level only, as GitHub has it
        ("/team/*/", ["team/app", "team/app/part"], ["other/app"]),
        ("/team/**", ["team/app", "team/a/b"], ["app"]),
        ("**/training", ["training", "team/a/training"], ["trainings"]),
        ("/team/**/app", ["team/app", "team/a/b/app"], ["app"]),
        ("*.toml", ["app"], []),
        ("config.toml", ["app", "team/app"], []),
        ("*.py", [], ["app"]),
        ("/my\\ team/", ["my team/app"], ["my/app"]),
        ("/[a]/", ["[a]/app"], ["a/app"]),
    ],
)
def test_a_pattern(pattern: str, owned: list[str], not_owned: list[str], tmp_path: Path) -> None:
    write(tmp_path, f"# owners\n\n{pattern}\t@vision  ada@example.com # both\n")
    for folder in owned:
        assert owners(tmp_path, folder) == ("@vision", "ada@example.com"), folder
    for folder in not_owned:
        assert owners(tmp_path, folder) == (), folder


def test_the_last_pattern_counts_and_one_without_owners_takes_them_away(tmp_path: Path) -> None:
    write(tmp_path, "* @all\n/team/ @team\n/team/free/\n")
    assert owners(tmp_path, "app") == ("@all",)
    assert owners(tmp_path, "team/app") == ("@team",)
    assert owners(tmp_path, "team/free") == ()


def test_each_section_of_gitlab_has_its_owners(tmp_path: Path) -> None:
    write(tmp_path, "* @all\n[Data] @data\n/team/\n^[Docs][2] @docs\n*.md\n[Ops]\n/team/app @ops @all\n")
    assert owners(tmp_path, "team/app") == ("@all", "@data", "@ops")
    assert owners(tmp_path, "app") == ("@all",)


def test_the_file_is_found_where_github_and_gitlab_have_it(tmp_path: Path) -> None:
    for number, place in enumerate(PLACES):
        top = tmp_path / str(number)
        top.mkdir()
        write(top, "* @here\n", place)
        assert owners(top, "a/b") == ("@here",)


def test_without_a_file_or_outside_of_its_repository_there_are_none(tmp_path: Path) -> None:
    assert owners(tmp_path, "app") == ()
    write(tmp_path, "* @outer\n")
    inner = tmp_path / "inner"
    (inner / ".git").mkdir(parents=True)
    assert owners(inner, "app") == ()  # another repository
    assert find_owners(inner).of(tmp_path) == ()
    (tmp_path / "CODEOWNERS").unlink()
    (tmp_path / "CODEOWNERS").mkdir()
    assert owners(tmp_path, "app") == ()
