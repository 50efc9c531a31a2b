"""`--changed` selects the pipelines whose files differ from a commit, and never leaves one out that does."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.docker.source.key import announce_nothing
from reconciler.core.diagnostics import UserError
from reconciler.engine.requests import ReadOptions
from reconciler.engine.validate import validate
from reconciler.pipeline.compile import desired_graph
from reconciler.workspace.changes import base_of, changed_pipelines
from reconciler.workspace.discovery import find_all
from reconciler.workspace.reader import find_workspace
from tests.commands.test_provenance import git as run_git
from tests.conftest import Cli

INPUTS = """\
from picsellia.types.enums import ProcessingInputType
from picsellia_pipelines_cli.utils.inputs import PipelineInputs
from names import NAME

class Inputs(PipelineInputs):
    def __init__(self):
        super().__init__()
        self.define_input(name=NAME, input_type=ProcessingInputType.TEXT)
"""


def git(folder: Path, *arguments: str) -> str:
    return run_git(folder, "-c", "protocol.file.allow=always", *arguments)


def pipeline(folder: Path, image: str = "", execution: str = "") -> None:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f'[metadata]\nname = "{folder.name}"\nversion = "1.0.0"\ntype = "PRE_ANNOTATION"\n\n'
        f'[execution]\n{execution}\n[docker]\nimage_name = "team/{folder.name}"\nimage_tag = "latest"\n'
        f"\n[reconciler.image]\n{image}"
    )
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . .\n")
    (folder / "pipeline.py").write_text("print(1)\n")


def committed(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "a")
    return git(folder, "rev-parse", "HEAD")


def create(root: Path) -> str:
    """A repository of four pipelines, two of which share files; and its commit.

    `alone` has its own folder as context, `classes` has inputs in a class that no image gets, `shared` has
    the whole repository without the other pipelines, and `wide` has all of it.
    """
    library = root.parent / "library"
    library.mkdir()
    git(library, "init", "--quiet", "-b", "main")
    (library / "vendored.py").write_text("print('vendored')\n")
    committed(library)
    pipeline(root / "team" / "alone")
    (root / "team" / "alone" / ".dockerignore").write_text("runs/*\n*.md\n")
    (root / "team" / "alone" / "runs").mkdir()
    (root / "team" / "alone" / "runs" / "notes.txt").write_text("1\n")
    (root / "team" / "alone" / "README.md").write_text("alone\n")
    pipeline(root / "team" / "classes", execution='inputs_class = "utils/inputs.py:Inputs"')
    (root / "team" / "classes" / "utils").mkdir()
    (root / "team" / "classes" / "utils" / "inputs.py").write_text(INPUTS)
    (root / "team" / "classes" / "names.py").write_text('NAME = "one"\n')
    (root / "team" / "classes" / ".dockerignore").write_text("utils\nnames.py\n*.txt\n")
    pipeline(root / "team" / "shared", image='context = "../.."\ndockerfile = "Dockerfile"\n')
    (root / "team" / "shared" / "Dockerfile.dockerignore").write_text(
        "*\n!lib\n!vendor\n!team/shared\n**/.git\n"
    )
    pipeline(root / "team" / "wide", image='context = "../.."\n')
    (root / ".dockerignore").write_text("**/.git\n**/*.log\n")
    (root / ".gitignore").write_text("*.log\nout/\n")
    (root / "lib").mkdir()
    (root / "lib" / "common.py").write_text("print('common')\n")
    (root / "reconciler.toml").write_text('[groups]\nteam = ["team/*"]\n')
    git(root, "init", "--quiet", "-b", "main")
    git(root, "submodule", "--quiet", "add", str(library), "vendor")
    return committed(root)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean checkout of the repository, to copy."""
    folder = tmp_path_factory.mktemp("template").resolve() / "root"
    folder.mkdir()
    create(folder)
    return folder


@pytest.fixture
def root(template: Path, cli: Cli, home: Path) -> Path:
    shutil.copytree(template, cli.folder, symlinks=True, dirs_exist_ok=True)
    return cli.folder


def changed(root: Path, reference: str = "HEAD") -> dict[str, str]:
    workspace = find_workspace(root)
    folders = find_all(root, workspace)
    found = changed_pipelines(folders, base_of(reference, root), root, workspace, announce_nothing)
    return {folder.name: reason for folder, reason in found.items()}


def write(path: str, text: str = "other\n") -> Callable[[Path], object]:
    def act(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)

    return act


def append(path: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / path).write_text(f"{(root / path).read_text()}{text}")


def delete(path: str) -> Callable[[Path], object]:
    return lambda root: (root / path).unlink()


EVERY = {"alone", "classes", "shared", "wide"}
EDITS: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "nothing": (lambda root: None, set()),
    "a file": (write("team/alone/pipeline.py"), {"alone", "wide"}),
    "a new file": (write("team/alone/new.py"), {"alone", "wide"}),
    "a deleted file": (delete("team/alone/pipeline.py"), {"alone", "wide"}),
    "a renamed file": (
        lambda root: (root / "team/alone/pipeline.py").rename(root / "team/alone/main.py"),
        {"alone", "wide"},
    ),
    "an executable bit": (lambda root: (root / "team/alone/pipeline.py").chmod(0o755), {"alone", "wide"}),
    "shared code": (write("lib/common.py"), {"shared", "wide"}),
    "a file in a submodule": (write("vendor/vendored.py"), {"shared", "wide"}),
    "a file that only the wide image gets": (write("README.md"), {"wide"}),
    "a file that the ignore file leaves out": (write("team/alone/README.md"), {"wide"}),
    "a file that git ignores, in the context": (write("team/alone/run.log"), {"alone"}),
    "an empty folder": (lambda root: (root / "team/alone/empty").mkdir(), {"alone", "wide"}),
    "the last file of a folder, ignored": (
        lambda root: shutil.rmtree(root / "team/alone/runs"),
        {"alone", "wide"},
    ),
    "the ignore file": (append("team/alone/.dockerignore", "*.txt\n"), {"alone", "wide"}),
    "the ignore file of a Dockerfile": (
        append("team/shared/Dockerfile.dockerignore", "*.txt\n"),
        {"shared", "wide"},
    ),
    "a Dockerfile": (write("team/classes/Dockerfile", "FROM busybox\n"), {"classes", "wide"}),
    "the module of a class": (write("team/classes/names.py", 'NAME = "two"\n'), {"classes", "wide"}),
    "a file beside the class": (write("team/classes/notes.txt"), {"wide"}),
    "config.toml": (append("team/shared/config.toml", 'platform = "linux/arm64"\n'), {"shared", "wide"}),
    "a broken config.toml": (write("team/classes/config.toml", "[metadata"), {"classes", "wide"}),
    "a new pipeline": (lambda root: pipeline(root / "team" / "new"), {"new", "wide"}),
    "a moved pipeline": (
        lambda root: (root / "team/alone").rename(root / "team/other"),
        {"other", "wide"},
    ),
    "defaults for all": (append("reconciler.toml", '[defaults.image]\nplatform = "linux/arm64"\n'), EVERY),
    "a new group": (append("reconciler.toml", 'sam = ["team/SAM"]\n'), set()),
    "a deleted reconciler.toml": (delete("reconciler.toml"), set()),
}


@pytest.mark.parametrize("commits", [False, True], ids=["uncommitted", "committed"])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_selects_the_pipelines_that_it_changes(root: Path, edit: str, commits: bool) -> None:
    reference = git(root, "rev-parse", "HEAD")
    assert changed(root) == {}, "a fresh clone has no differences"
    act, expected = EDITS[edit]

    act(root)
    if commits:
        if git(root / "vendor", "status", "--porcelain"):
            committed(root / "vendor")
        committed(root)

    assert set(changed(root, reference)) == expected


RUN = {
    "above the folder": "sys.path.insert(0, __file__ + '/../../../..')\nfrom lib.common import NAME\n",
    "beside the folder": "sys.path.insert(0, __file__ + '/../../..')\nfrom library.names import NAME\n",
    "by a computed name": "NAME = __import__('importlib').import_module('lib.' + 'common').NAME\n",
}


@pytest.mark.parametrize("imports", RUN)
def test_a_class_that_has_to_be_run_may_import_any_module_of_the_repository(root: Path, imports: str) -> None:
    write("lib/common.py", 'NAME = "one"\n')(root)
    write("team/library/names.py", 'NAME = "one"\n')(root)
    of_package = INPUTS.replace("from names import NAME\n", f"import sys\n{RUN[imports]}")
    write("team/classes/utils/inputs.py", of_package)(root)
    reference = committed(root)
    assert changed(root, reference) == {}

    changing = "team/library/names.py" if imports == "beside the folder" else "lib/common.py"
    write(changing, 'NAME = "two"\n')(root)

    assert f"{changing} differs" in changed(root, reference)["classes"]


@pytest.mark.parametrize(
    "place",
    [
        "labels.json",
        "lib/labels.json",
        "team/labels.json",
        "team/classes/data/labels.json",
        "team/classes/.labels",
    ],
)
@pytest.mark.parametrize("is_new", [False, True], ids=["committed", "new"])
def test_a_class_that_has_to_be_run_may_read_any_file_of_the_repository(
    root: Path, place: str, is_new: bool
) -> None:
    reads = f"NAME = open({str(root / place)!r}).read()\n"
    write("team/classes/utils/inputs.py", INPUTS.replace("from names import NAME\n", reads))(root)
    write("team/classes/.dockerignore", "data\n.labels\n")(root)
    if not is_new:
        write(place, "one")(root)
    reference = committed(root)
    assert changed(root, reference) == {}

    write(place, "two")(root)

    assert f"{place} differs" in changed(root, reference)["classes"]


def test_a_class_that_is_only_read_reads_no_other_file(root: Path) -> None:
    write("lib/labels.json", "two")(root)
    write("labels.json", "two")(root)
    assert "classes" not in changed(root)


def test_a_class_that_is_only_read_imports_nothing_from_elsewhere(root: Path) -> None:
    write("lib/common.py", 'NAME = "two"\n')(root)
    assert "classes" not in changed(root)


def test_the_reason_names_the_files(root: Path) -> None:
    for name in ("a.py", "b.py", "c.py", "d.py"):
        write(f"team/alone/{name}")(root)
    assert changed(root)["alone"] == (
        "team/alone/a.py, team/alone/b.py, team/alone/c.py and 1 more differ from "
        f"HEAD ({git(root, 'rev-parse', 'HEAD')[:12]})"
    )


def test_a_class_may_be_behind_a_link(root: Path) -> None:
    """The image gets a link only, and the class is read through it."""
    folder = root / "team" / "classes"
    shutil.move(folder / "utils", root / "lib" / "utils")
    (folder / "utils").symlink_to("../../lib/utils")
    reference = committed(root)
    assert changed(root, reference) == {}
    write("lib/utils/inputs.py", INPUTS.replace("NAME", '"other"'))(root)
    assert "classes" in changed(root, reference)


# Random edits: whatever is done to the repository, a pipeline that is left out has the same offline result.

PATHS = (
    *("team/alone/pipeline.py", "team/alone/run.log", "team/alone/README.md", "team/alone/runs/notes.txt"),
    *("team/alone/out/model.bin", "team/alone/deep/er/file.py", "team/classes/names.py"),
    *("team/classes/utils/inputs.py", "team/shared/pipeline.py", "team/shared/Dockerfile", "lib/common.py"),
    *("lib/new.py", "lib/data/x.txt", "vendor/vendored.py", "vendor/new.py", "README.md", "Dockerfile"),
    *("team/wide/Dockerfile", "team/wide/.hidden/x", "team/alone/names.py"),
)
TEXTS = (
    "",
    "print(2)\n",
    'NAME = "two"\n',
    INPUTS,
    "FROM scratch\n",
    "\udcff".encode("utf-8", "surrogateescape"),
)
RULES = ("*.py", "!*.py", "lib", "**/x.txt", "!lib/data", "runs", "deep/*", "*", "vendor", "out", "**/.git")
IGNORE_FILES = (
    *("team/alone/.dockerignore", "team/shared/Dockerfile.dockerignore", ".dockerignore"),
    *("team/wide/Dockerfile.dockerignore", "team/classes/.dockerignore", ".gitignore"),
)
CONFIGS = tuple(f"team/{name}/config.toml" for name in sorted(EVERY))
SETTINGS = ('platform = "linux/arm64"\n', "# remark\n", "[reconciler.env.PROD.docker]\ngpu = 1\n")
DEFAULTS = (
    "# remark\n",
    'x = ["team/a*"]\n',
    '[defaults.image]\ndockerfile = "Dockerfile"\n',
    '[defaults.image]\ncontext = "."\n',
)

files = st.sampled_from(PATHS)
edits = st.one_of(
    st.tuples(st.just("write"), files, st.sampled_from(TEXTS)),
    st.tuples(st.just("delete"), st.sampled_from((*PATHS, *IGNORE_FILES)), st.none()),
    st.tuples(
        st.just("delete folder"),
        st.sampled_from(("lib", "team/alone/runs", "team/shared", "vendor")),
        st.none(),
    ),
    st.tuples(st.just("move"), files, files),
    st.tuples(st.just("mode"), files, st.sampled_from((0o644, 0o755, 0o600))),
    st.tuples(
        st.just("link"), files, st.sampled_from(("common.py", "../lib/common.py", "../../lib", "/none"))
    ),
    st.tuples(
        st.just("folder"), st.sampled_from(("lib/empty", "team/alone/out", "team/alone/e/f")), st.none()
    ),
    st.tuples(st.just("append"), st.sampled_from(IGNORE_FILES), st.sampled_from(RULES)),
    st.tuples(st.just("append"), st.sampled_from(CONFIGS), st.sampled_from(SETTINGS)),
    st.tuples(st.just("append"), st.just("reconciler.toml"), st.sampled_from(DEFAULTS)),
    st.tuples(st.just("commit"), st.sampled_from((".", "vendor")), st.none()),
)


def perform(root: Path, kind: str, path: str, more: Any) -> None:
    """One edit; nothing if it is impossible."""
    place = root / path
    try:
        match kind:
            case "write" | "append":
                place.parent.mkdir(parents=True, exist_ok=True)
                data = more if isinstance(more, bytes) else f"{more}\n".encode()
                place.write_bytes((place.read_bytes() if kind == "append" else b"") + data)
            case "delete":
                place.unlink()
            case "delete folder":
                shutil.rmtree(place)
            case "move":
                place.rename(root / more)
            case "mode":
                place.chmod(more)
            case "link":
                place.unlink(missing_ok=True)
                place.symlink_to(more)
            case "folder":
                place.mkdir(parents=True)
            case "commit":
                if (place / ".git").exists():
                    committed(place)
    except OSError:
        return


def offline_result(folder: Path, root: Path) -> object:
    """All that a command can find out about a pipeline without a network."""
    options = ReadOptions(static_only=True, environment="PROD", shared=find_workspace(root).shared())
    found = validate(folder, options)
    problems = [str(problem.summary).replace(str(root), "") for problem in found.diagnostics]
    if found.pipeline is None or found.key is None:
        return problems
    graph = desired_graph(found.pipeline, found.key.key)
    return found.key.key, [(str(one.address), repr(one.fields)) for one in graph], problems


def test_a_pipeline_that_is_left_out_has_no_offline_difference(template: Path) -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=40)
    @given(st.lists(edits, min_size=1, max_size=6))
    def check(steps: list[tuple[str, str, Any]]) -> None:
        compare(steps, template, counts)

    check()
    assert counts["selected"] and counts["left out"], counts


def compare(steps: list[tuple[str, str, Any]], template: Path, counts: "Counter[str]") -> None:
    """Make these edits in a copy, and compare each pipeline that is left out with the template."""
    reference = git(template, "rev-parse", "HEAD")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve() / "root"
        shutil.copytree(template, root, symlinks=True)
        for step in steps:
            perform(root, *step)
        try:
            find_workspace(root)
        except UserError:
            return  # of reconciler.toml: every command ends with it
        selected = changed(root, reference)
        for folder in find_all(root, find_workspace(root)):
            counts["selected" if folder.name in selected else "left out"] += 1
            if folder.name not in selected:
                then = offline_result(template / folder.relative_to(root), template)
                assert offline_result(folder, root) == then, folder.name


# Which commit the files are compared with.


def listed(cli: Cli, *arguments: str) -> list[str]:
    ended = cli("list", *arguments)
    assert ended.code == 0, ended.err
    return [line.split()[0].rpartition("/")[2] for line in ended.out.splitlines()[1:]]


def test_the_default_is_the_merge_base_with_the_default_branch(cli: Cli, root: Path) -> None:
    git(root, "switch", "--quiet", "--create", "topic")
    write("team/alone/pipeline.py")(root)
    committed(root)
    git(root, "switch", "--quiet", "main")
    write("lib/common.py")(root)
    committed(root)
    git(root, "switch", "--quiet", "topic")

    assert listed(cli, "--changed") == ["alone", "wide"], "the later commit on main is not of the topic"
    assert listed(cli, "--changed=main") == ["alone", "shared", "wide"]
    assert listed(cli, "team/*", "--changed", "--no-gpu") == ["alone", "wide"]
    assert "the merge base with main" in cli("list", "--changed", "--explain").out


def test_the_remote_s_default_branch_comes_first(cli: Cli, root: Path) -> None:
    clone = root.parent / "clone"
    git(root, "branch", "--move", "trunk")
    git(root.parent, "clone", "--quiet", str(root), str(clone))
    git(clone, "branch", "--quiet", "main")
    write("team/alone/pipeline.py")(clone)
    os.chdir(clone)
    assert "the merge base with origin/HEAD" in cli("list", "--changed", "--explain").out


def failure(cli: Cli, *arguments: str) -> str:
    ended = cli("list", *arguments)
    assert ended.code == 1 and ended.out == ""
    return ended.err


@pytest.mark.parametrize("arguments", [("--changed=",), ("--all", "--changed", "", "--allow-empty")])
def test_an_empty_commit_is_an_unset_variable(cli: Cli, root: Path, arguments: tuple[str, ...]) -> None:
    for command in ("list", "validate"):
        ended = cli(command, *arguments)
        assert (ended.code, "the value is empty" in " ".join(ended.err.split())) == (2, True), ended


def test_nothing_changed_is_an_error_that_can_be_allowed(cli: Cli, root: Path) -> None:
    problem = failure(cli, "--changed")
    assert "None of 4 pipelines differs from the merge base with main" in problem
    assert "--allow-empty" in problem
    assert listed(cli, "--changed", "--allow-empty") == []


def test_a_shallow_clone_never_guesses(
    cli: Cli, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = git(root, "rev-parse", "HEAD")
    git(root, "switch", "--quiet", "--create", "topic")
    for text in ("1", "2"):
        write("team/alone/pipeline.py", text)(root)
        committed(root)
    git(root, "switch", "--quiet", "main")
    write("README.md")(root)
    committed(root)
    clone = tmp_path / "clone"
    shallow = ("--depth", "1", "--no-single-branch", "--branch", "topic")
    git(tmp_path, "clone", "--quiet", *shallow, f"file://{root}", str(clone))
    monkeypatch.chdir(clone)

    problem = failure(cli, "--changed")
    assert "the clone is too shallow to find the merge base with origin/" in problem
    assert "git fetch --unshallow" in problem and "fetch-depth: 0" in problem

    git(clone, "fetch", "--quiet", "--unshallow")
    assert set(listed(cli, "--changed")) >= {"alone", "wide"}
    assert set(listed(cli, f"--changed={first}")) >= {"alone", "wide"}


def test_the_fetch_of_the_error_gets_a_missing_commit(
    cli: Cli, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = git(root, "rev-parse", "HEAD")
    write("team/alone/pipeline.py")(root)
    committed(root)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{root}", str(clone))
    git(clone, "submodule", "--quiet", "update", "--init")
    monkeypatch.chdir(clone)

    problem = failure(cli, f"--changed={first}")
    fetch = f"git fetch --depth 1 origin {first}"
    assert fetch in problem
    git(clone, *fetch.split()[1:])
    assert listed(cli, f"--changed={first}") == ["alone", "wide"]


def test_a_name_after_the_option_is_no_commit(cli: Cli, root: Path) -> None:
    assert "Name pipelines before --changed" in failure(cli, "--changed", "alone")
    assert listed(cli, "alone", "--changed", "--allow-empty") == []


def test_two_possible_default_branches_are_an_error(cli: Cli, root: Path) -> None:
    git(root, "branch", "master")
    assert "It has both main and master" in failure(cli, "--changed")


def test_without_a_repository_stale_is_the_way_out(cli: Cli, root: Path) -> None:
    shutil.rmtree(root / ".git")
    assert "is not in a git repository" in failure(cli, "--changed")


def test_a_submodule_without_the_commit_names_the_fetch(cli: Cli, root: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    git(tmp_path, "clone", "--quiet", str(root / "vendor"), str(library))
    git(root / "vendor", "remote", "set-url", "origin", str(library))
    (library / "vendored.py").write_text("print('newer')\n")
    newer = committed(library)
    git(root, "update-index", "--cacheinfo", f"160000,{newer},vendor")
    git(root, "commit", "--quiet", "-m", "newer")
    fetch = f"git -C {root / 'vendor'} fetch origin {newer}"
    assert fetch in failure(cli, "--changed=HEAD")
    git(root / "vendor", "fetch", "--quiet", "origin", newer)
    assert listed(cli, "--changed=HEAD") == ["shared", "wide"]


def test_no_configuration_of_git_matters(cli: Cli, root: Path, home: Path) -> None:
    (home / ".gitconfig").write_text(
        "[core]\nfsmonitor = /bin/false\nautocrlf = true\npager = /bin/false\n[diff]\nexternal = /bin/false\n"
    )
    write("team/alone/pipeline.py")(root)
    git(root, "update-index", "--assume-unchanged", "team/alone/pipeline.py")
    assert listed(cli, "--changed=HEAD") == ["alone", "wide"]
