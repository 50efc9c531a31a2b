"""Finding a pipeline by name or path; two matches are an error, never a silent choice."""

from pathlib import Path

import pytest

from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.workspace.discovery import find, find_all, is_searched
from tests.pipeline.conftest import PROCESSING, TRAINING


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two pipelines, and copies of them in hidden folders, virtual environments and the like."""
    add(tmp_path / "team" / "cleanup", "cleanup")
    add(tmp_path / "detector_v2", "detector")
    for elsewhere in (
        ".git/cleanup",
        "node_modules/cleanup",
        "env/lib/site-packages/cleanup",
        ".venv/cleanup",
    ):
        add(tmp_path / elsewhere, "cleanup")
    add(tmp_path / "myenv" / "cleanup", "cleanup")
    (tmp_path / "myenv" / "pyvenv.cfg").touch()
    (tmp_path / "linked").symlink_to(tmp_path / "team")
    (tmp_path / "website").mkdir()
    (tmp_path / "website" / "config.toml").write_text('theme = "dark"\n')
    return tmp_path


def add(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(PROCESSING.replace('"cleanup"', f'"{name}"'))


def refusal(name: str, root: Path) -> Diagnostic:
    with pytest.raises(UserError) as caught:
        find(name, root)
    (problem,) = caught.value.diagnostics
    return problem


def test_all_pipelines_without_copies(root: Path) -> None:
    assert find_all(root) == [root / "detector_v2", root / "team" / "cleanup"]


def test_the_root_can_be_a_pipeline(root: Path) -> None:
    assert find_all(root / "detector_v2") == [root / "detector_v2"]


@pytest.mark.parametrize(
    ("word", "folder"),
    [
        ("cleanup", "team/cleanup"),
        ("team/cleanup", "team/cleanup"),
        ("./team/cleanup/", "team/cleanup"),
        ("team/cleanup/config.toml", "team/cleanup"),
        ("detector", "detector_v2"),
        ("detector_v2", "detector_v2"),
        ("linked/cleanup", "linked/cleanup"),
    ],
)
def test_a_path_or_either_name_selects_a_pipeline(root: Path, word: str, folder: str) -> None:
    assert find(word, root) == root / folder


def test_the_current_folder(root: Path) -> None:
    assert find(".", root / "detector_v2").resolve() == root / "detector_v2"
    assert find("detector_v2", root / "detector_v2") == root / "detector_v2"


def test_an_absolute_path(root: Path) -> None:
    assert find(str(root / "detector_v2"), root / "team") == root / "detector_v2"


@pytest.mark.parametrize("word", ["link", ".hidden", "node_modules", "environment"])
def test_a_folder_that_is_not_searched_needs_no_other_spelling(root: Path, word: str) -> None:
    if word == "link":
        (root / word).symlink_to(root / "detector_v2")
    else:
        (root / word).mkdir(exist_ok=True)
        (root / word / "config.toml").write_text(PROCESSING.replace('"cleanup"', '"other"'))
        (root / word / "pyvenv.cfg").touch()
    assert find(word, root) == find(f"./{word}", root) == root / word
    assert find_all(root) == [root / "detector_v2", root / "team" / "cleanup"]


def test_a_folder_of_another_tool_is_no_pipeline(root: Path) -> None:
    assert refusal("website", root).summary == "no pipeline is called website"


def test_two_matches_are_both_listed(root: Path) -> None:
    add(root / "backup" / "cleanup", "cleanup")
    problem = refusal("cleanup", root)
    assert problem.summary == "2 pipelines are called cleanup"
    assert str(root / "backup" / "cleanup") in problem.detail
    assert str(root / "team" / "cleanup") in problem.detail


def test_a_name_that_is_another_pipelines_folder_matches_twice(root: Path) -> None:
    add(root / "detector", "other")
    assert refusal("detector", root).summary == "2 pipelines are called detector"


def test_no_match_shows_the_searched_folder_and_a_similar_name(root: Path) -> None:
    problem = refusal("clean-up", root)
    assert problem.summary == "no pipeline is called clean-up"
    assert str(root) in problem.detail
    assert "Did you mean 'cleanup'?" in problem.detail


class TestTrainings:
    """Two trainings with one name; their images name their stacks."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        for model in ("clip", "dino"):
            folder = tmp_path / model / "training"
            folder.mkdir(parents=True)
            text = TRAINING.replace('"detector"', '"training"').replace(
                "team/detector", f"team/training-{model}"
            )
            text += f'\n[reconciler.env.PROD.docker]\nimage_name = "prod/training-{model}"\n'
            (folder / "config.toml").write_text(text)
        return tmp_path

    @pytest.mark.parametrize(
        "word", ["clip/training", "./clip/training", "team/training-clip", "prod/training-clip"]
    )
    def test_a_path_or_a_stack_of_any_environment_selects_one(self, root: Path, word: str) -> None:
        assert find(word, root).resolve() == root / "clip" / "training"

    def test_the_name_that_they_share_lists_both_with_their_stacks(self, root: Path) -> None:
        problem = refusal("training", root)
        assert problem.summary == "2 pipelines are called training"
        for model in ("clip", "dino"):
            assert (
                f"{root / model / 'training'}  prod/training-{model}, team/training-{model}" in problem.detail
            )

    def test_the_environment_of_a_stack_is_no_part_of_the_selection(self, root: Path) -> None:
        """It would have to agree with --organization and --env."""
        problem = refusal("my-org@PROD/team/training-clip", root)
        assert "Select the pipeline as team/training-clip" in problem.detail


def test_no_pipeline_at_all(tmp_path: Path) -> None:
    assert "It contains no pipeline." in refusal("app", tmp_path).detail


def test_a_path_without_a_pipeline(root: Path) -> None:
    assert refusal("./team", root).summary == "./team has no config.toml"
    assert refusal("./nowhere", root).summary == "./nowhere is not a folder"


def test_a_config_that_cannot_be_read_is_still_a_pipeline(root: Path) -> None:
    (root / "detector_v2" / "config.toml").write_text("[metadata\n")
    assert root / "detector_v2" in find_all(root)
    assert find("detector_v2", root) == root / "detector_v2"


def test_a_missing_root(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        find_all(tmp_path / "missing")


def test_a_folder_is_no_virtual_environment_because_of_the_name_of_a_folder_in_it(tmp_path: Path) -> None:
    """`--changed` and the search for pipelines agree on it."""
    (tmp_path / "app" / "pyvenv.cfg").mkdir(parents=True)
    assert is_searched(tmp_path / "app")
    (tmp_path / "app" / "pyvenv.cfg").rmdir()
    (tmp_path / "app" / "pyvenv.cfg").touch()
    assert not is_searched(tmp_path / "app")
