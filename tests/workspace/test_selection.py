"""`pipelines` and `exclude` limit the pipelines that commands find: by `--all`, by name and by path."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.workspace import config_file, reader
from reconciler.workspace.discovery import find, find_all
from reconciler.workspace.reader import find_workspace, load
from reconciler.workspace.selection import select
from reconciler.workspace.selection_request import SelectionRequest
from tests.conftest import EXAMPLES, Cli, copy_example
from tests.pipeline.conftest import PROCESSING

FILE = '[workspace]\npipelines = ["pipelines/**", "clip/training"]\nexclude = ["pipelines/legacy/**"]\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with pipelines in several folders."""
    for path in (
        "pipelines/sam",
        "pipelines/team/sharp",
        "pipelines/legacy/old",
        "clip/training",
        "scratch/try",
    ):
        folder = tmp_path / path
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text(PROCESSING.replace('"cleanup"', f'"{folder.name}-1"'))
    (tmp_path / "reconciler.toml").write_text(FILE)
    return tmp_path


def refusal(name: str, root: Path) -> Diagnostic:
    with pytest.raises(UserError) as caught:
        find(name, root, find_workspace(root))
    (problem,) = caught.value.diagnostics
    return problem


def test_all_pipelines_of_the_workspace(root: Path) -> None:
    found = find_all(root, find_workspace(root))
    assert [folder.relative_to(root).as_posix() for folder in found] == [
        "clip/training",
        "pipelines/sam",
        "pipelines/team/sharp",
    ]
    below = root / "pipelines" / "team"
    assert find_all(below, find_workspace(below)) == [below / "sharp"], "below the current folder"


@pytest.mark.parametrize(
    "name", ["sam", "sam-1", "pipelines/sam", "./pipelines/sam", "pipelines/sam/config.toml"]
)
def test_a_name_or_a_path(root: Path, name: str) -> None:
    assert find(name, root, find_workspace(root)).resolve() == root / "pipelines" / "sam"


@pytest.mark.parametrize("name", ["old", "old-1", "pipelines/legacy/old"])
def test_an_excluded_pipeline_names_the_line(root: Path, name: str) -> None:
    problem = refusal(name, root)
    assert problem.summary == f"{root / 'pipelines/legacy/old'} is not a pipeline of the workspace"
    assert f"{root / 'reconciler.toml'}:3 excludes pipelines/legacy/**" in problem.detail


def test_a_pipeline_elsewhere_names_the_line(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert f"{root / 'reconciler.toml'}:2 has the pipelines in pipelines/**, clip/training only" in (
        refusal("try", root).detail
    )
    other = tmp_path_factory.mktemp("other")
    (other / "config.toml").write_text(PROCESSING)
    assert f"It is outside of {root}" in refusal(f"{other}/", root).detail


def test_a_link_leads_to_the_pipeline_behind_it(root: Path) -> None:
    (root / "linked").symlink_to(root / "pipelines" / "sam")
    (root / "retired").symlink_to(root / "pipelines" / "legacy" / "old")
    assert find("./linked", root, find_workspace(root)) == root / "linked"
    assert "excludes pipelines/legacy/**" in refusal("./retired", root).detail


def test_an_excluded_pipeline_does_not_make_a_name_ambiguous(root: Path) -> None:
    twin = root / "pipelines" / "legacy" / "sam"
    twin.mkdir()
    (twin / "config.toml").write_text(PROCESSING)
    assert find("sam", root, find_workspace(root)) == root / "pipelines" / "sam"


@pytest.fixture
def repository(cli: Cli, home: Path) -> Path:
    """A repository of three examples, one of them in `legacy`."""
    copy_example("dataset_cleanup", cli.folder / "pipelines", "localhost:8000")
    copy_example("computed_inputs", cli.folder / "pipelines", "localhost:8000")
    copy_example("single_training", cli.folder / "legacy", "localhost:8000")
    assert (EXAMPLES / "single_training").is_dir()
    return cli.folder


def test_validate_all_checks_the_pipelines_of_the_workspace(cli: Cli, repository: Path) -> None:
    assert "single_training" in cli("validate", "--all").out
    (repository / "reconciler.toml").write_text('[workspace]\nexclude = ["legacy/**"]\n')
    ended = cli("validate", "--all")
    assert ended.code == 0
    assert "dataset_cleanup" in ended.out
    assert "single_training" not in ended.out


UNMATCHED = {
    "pipelines": (
        '[workspace]\npipelines = ["pipelines/**",\n"piplines/**"]',
        3,
        "Correct or remove the glob",
    ),
    "exclude": ('[workspace]\nexclude = ["legacy"]', 2, 'Write "legacy/**" for the pipelines in this folder'),
    "groups": (
        '[groups]\nsam = ["pipelines/SAM*"]',
        2,
        "pipelines/computed_inputs, pipelines/dataset_cleanup",
    ),
}


@pytest.mark.parametrize("key", UNMATCHED)
def test_validate_all_reports_globs_that_match_nothing(cli: Cli, repository: Path, key: str) -> None:
    text, line, advice = UNMATCHED[key]
    (repository / "reconciler.toml").write_text(text)

    ended = cli("validate", "--all")

    assert ended.code == 1
    assert "matches no pipeline" in ended.err
    assert f"reconciler.toml:{line}" in ended.err
    assert advice in ended.err
    assert "dataset_cleanup" in ended.out, "the pipelines are checked all the same"
    assert cli("validate", "dataset_cleanup").code == 0, "only --all looks at every folder"


def test_validate_all_reports_every_problem_of_the_file(cli: Cli, repository: Path) -> None:
    (repository / "reconciler.toml").write_text(
        '[workspace]\nnam = "x"\n\n[environments.PROD]\nchannel = "1.0.0"\npromote_from = "MOON"\n'
    )
    ended = cli("validate", "--all")
    assert ended.code == 1
    for line in (2, 4, 5, 6):
        assert f"reconciler.toml:{line}\n" in ended.err, ended.err


def test_a_workspace_without_pipelines_says_what_limits_it(cli: Cli, repository: Path) -> None:
    (repository / "reconciler.toml").write_text('[workspace]\npipelines = ["none/**"]\n')
    ended = cli("plan", "--all")
    assert ended.code == 1
    assert f"{repository / 'reconciler.toml'} limits the search" in ended.err


def test_the_current_folder_can_be_excluded(
    cli: Cli, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "reconciler.toml").write_text('[workspace]\nexclude = ["legacy/**"]\n')
    monkeypatch.chdir(repository / "legacy" / "single_training")
    ended = cli("validate")
    assert (ended.code, "is not a pipeline of the workspace" in ended.err) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--all", "--env", "EU"),
        ("validate", "--all"),
        ("whoami", "--explain", "--env", "EU"),
        ("status", "--all", "--offline", "--env", "EU"),
    ],
    ids=" ".join,
)
def test_a_command_reads_the_file_once(
    arguments: tuple[str, ...], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every value of one command comes from the same text, also while the file is edited."""
    (cli.folder / "reconciler.toml").write_text(
        '[environments.EU]\nhost = "http://127.0.0.1:1"\norganization = "eu-team"\n'
    )
    reads: list[Path] = []

    def counted(path: Path) -> object:
        reads.append(path)
        return load(path)

    monkeypatch.setattr(reader, "load", counted)
    cli(*arguments)
    assert len(reads) == 1


@pytest.mark.parametrize("count", [1, 40])
def test_each_file_is_read_once_however_many_names_select(
    root: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    reads: list[Path] = []
    original = config_file.read_regular

    def counted(path: Path, *args: Any, **kwargs: Any) -> bytes:
        reads.append(path)
        return original(path, *args, **kwargs)

    monkeypatch.setattr(config_file, "read_regular", counted)
    names = ("sam-1", "sharp", "sharp-1", "training", "pipelines/*", "no-such-pipeline") * count
    missing: list[str] = []
    selected = select(
        SelectionRequest(names=names),
        root,
        find_workspace(root),
        lambda: None,
        lambda *_: {},
        lambda *_: {},
        lambda name, _: missing.append(name),
    )
    assert {one.folder.name for one in selected} == {"sam", "sharp", "training"}
    assert missing == ["no-such-pipeline"] * count
    assert sorted(reads) == sorted(root.rglob("config.toml"))


@pytest.mark.parametrize("names", [("pipelines/sam/",), ("sam-1",), ("w*/pipelines/sam",), ()])
@pytest.mark.parametrize("above", ["", '[workspace]\nname = "above"\n'])
def test_no_way_leads_past_the_closest_workspace(
    root: Path, tmp_path_factory: pytest.TempPathFactory, names: tuple[str, ...], above: str
) -> None:
    """From a folder above, its gates, channels and organizations would be left out."""
    top = tmp_path_factory.mktemp("top")
    shutil.copytree(root, top / "ws")
    if above:
        (top / "reconciler.toml").write_text(above)
    names = tuple(f"ws/{name}" if name.endswith("/") else name for name in names)
    problems: list[UserError] = []
    with pytest.raises(UserError) as caught:
        select(
            SelectionRequest(names=names, everything=not names),
            top,
            find_workspace(top),
            lambda: None,
            lambda *_: {},
            lambda *_: {},
            lambda _, problem: problems.append(problem),
        )
        raise problems[0]
    (problem,) = caught.value.diagnostics
    assert f"belongs to the workspace of {top / 'ws' / 'reconciler.toml'}" in problem.summary
    assert f"Run the command in {top / 'ws'}." in problem.detail
