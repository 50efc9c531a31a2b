"""The commit and the time in the labels of an image do not depend on git's configuration."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.docker.builders.command_line import run_docker
from providers.docker.labels import CREATED, REVISION
from providers.docker.origin import Revision
from providers.docker.registry.client import RegistryClient
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import announce_nothing
from providers.sandbox import Sandbox
from reconciler.engine.requests import ReadOptions
from reconciler.engine.validate import validate
from reconciler.pipeline.image_source import LATEST, git_revision, image_labels, image_source
from tests.conftest import Cli, copy_example, stack_of

NAME = "dataset_cleanup"
DATE = "1700000000"
CREATED_THEN = "2023-11-14T22:13:20Z"


def git(folder: Path, *arguments: str, date: str = DATE, stdin: bytes | None = None) -> str:
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (
        ("NAME", "ada"), ("EMAIL", "ada@example.com"), ("DATE", f"{date} +0000"),
    )}  # fmt: skip
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={**clean, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        input=stdin,
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().strip()


def committed(folder: Path) -> str:
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "a")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(cli: Cli, sandbox: Sandbox) -> Path:
    """A repository with one committed pipeline."""
    copy_example(NAME, cli.folder, sandbox.registry)
    git(cli.folder, "init", "--quiet", "-b", "main")
    committed(cli.folder)
    return cli.folder


def labels(folder: Path, **variables: str) -> dict[str, str]:
    pipeline, _ = validate(folder, ReadOptions()).require_valid()
    return image_labels(pipeline, announce_nothing, variables)


def revision(folder: Path) -> str:
    pipeline, _ = validate(folder, ReadOptions()).require_valid()
    return git_revision(pipeline, announce_nothing)


def published(sandbox: Sandbox) -> dict[str, str]:
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as client:
        image = client.image("latest", "linux/amd64")
    assert image is not None
    return dict(image.labels)


HOSTILE = {
    "log.showSignature": "true",
    "gpg.program": "{run}",
    "gpg.ssh.program": "{run}",
    "core.fsmonitor": "{run}",
    "core.hooksPath": "{hooks}",
    "core.pager": "{run}",
    "core.editor": "{run}",
    "core.sshCommand": "{run}",
    "core.askPass": "{run}",
    "core.attributesFile": "{attributes}",
    "core.excludesFile": "{attributes}",
    "core.worktree": "{elsewhere}",
    "core.fileMode": "false",
    "core.abbrev": "4",
    "core.quotePath": "true",
    "core.autocrlf": "true",
    "core.ignoreCase": "true",
    "core.useReplaceRefs": "true",
    "core.ignoreStat": "true",
    "core.untrackedCache": "true",
    "status.showUntrackedFiles": "no",
    "status.short": "true",
    "diff.external": "{run}",
    "diff.hostile.textconv": "{run}",
    "diff.hostile.command": "{run}",
    "diff.ignoreSubmodules": "all",
    "filter.hostile.clean": "{run}",
    "filter.hostile.smudge": "{run}",
    "filter.hostile.process": "{run}",
    "pager.log": "{run}",
    "pager.show": "{run}",
    "pager.status": "{run}",
    "color.ui": "always",
    "format.pretty": "%H %s",
    "log.date": "relative",
    "i18n.logOutputEncoding": "UTF-16",
    "alias.cat-file": "!{run}",
    "alias.ls-tree": "!{run}",
    "alias.show": "!{run}",
    "credential.helper": "!{run}",
    "remote.origin.url": "ext::{run}",
    "remote.origin.promisor": "true",
    "remote.origin.uploadpack": "{run}",
    "protocol.ext.allow": "always",
    "extensions.partialClone": "origin",
    "trace2.normalTarget": "{trace}",
    "safe.directory": "",
}


@pytest.fixture
def hostile(tmp_path: Path) -> Callable[[str], tuple[str, Path]]:
    """A git configuration with all settings that run a program or change a result, and their traces."""
    traces = tmp_path / "traces"
    traces.mkdir()
    run = tmp_path / "run.sh"
    run.write_text(f"#!/bin/sh\necho $0 $@ >> {traces}/ran\necho 0\n")
    run.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("fsmonitor-watchman", "post-index-change", "reference-transaction", "post-checkout"):
        shutil.copy(run, hooks / hook)
    (tmp_path / "attributes").write_text("* filter=hostile diff=hostile text eol=crlf\n")
    (tmp_path / "elsewhere").mkdir()
    places = {
        "run": run,
        "hooks": hooks,
        "attributes": tmp_path / "attributes",
        "elsewhere": tmp_path / "elsewhere",
        "trace": traces / "trace",
    }

    def made(key: str) -> tuple[str, Path]:
        return HOSTILE[key].format(**places), traces

    return made


@pytest.mark.parametrize("where", ["system", "global", "repository", "variables"])
def test_no_git_configuration_changes_a_label_or_runs_a_program(
    where: str,
    repository: Path,
    cli: Cli,
    home: Path,
    sandbox: Sandbox,
    hostile: Callable[[str], tuple[str, Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each setting alone with the labels, and all together with the commands that could run git."""
    (repository / NAME / ".gitattributes").write_text("* filter=hostile diff=hostile\n")
    tree = committed(repository)
    signed = git(repository, "cat-file", "commit", tree).replace(
        "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ==\n -----END PGP SIGNATURE-----\n\n", 1
    )
    commit = git(repository, "hash-object", "-t", "commit", "-w", "--stdin", stdin=f"{signed}\n".encode())
    git(repository, "update-ref", "HEAD", commit)
    expected = {CREATED: CREATED_THEN, REVISION: commit}
    config = repository / ".git" / "config"
    before, traces = config.read_text(), Path()
    file = {"system": home.parent / "system", "global": home / ".gitconfig", "repository": config}.get(where)
    if where == "system":
        monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(file))

    def set_all(settings: dict[str, str]) -> None:
        if file is None:
            monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
            for index, (key, value) in enumerate(settings.items()):
                monkeypatch.setenv(f"GIT_CONFIG_KEY_{index}", key)
                monkeypatch.setenv(f"GIT_CONFIG_VALUE_{index}", value)
            return
        file.write_text(before if where == "repository" else "")
        for key, value in settings.items():
            git(repository.parent, "config", "--file", str(file), key, value)

    for key in HOSTILE:
        value, traces = hostile(key)
        set_all({key: value})
        assert labels(repository / NAME) | expected == labels(repository / NAME), key
        assert [*traces.iterdir()] == [], key
    set_all({key: hostile(key)[0] for key in HOSTILE})
    for command in (
        ("validate",),
        ("plan",),
        ("apply", "--yes"),
        ("status",),
        ("image",),
        ("adopt",),
        ("drift",),
    ):
        cli(*command, NAME)
    cli("state", "forget", stack_of(NAME), f"input/{NAME}/archive", "--yes")
    assert [*traces.iterdir()] == []
    assert expected.items() <= published(sandbox).items()
    saves = json.loads(cli("state", "history", stack_of(NAME), "--json").out)["saves"]
    assert {save["git_commit"] for save in saves} == {commit}


@pytest.mark.parametrize(
    "variable",
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "GIT_TRACE"],
)
def test_no_git_variable_changes_a_label_or_runs_a_program(
    variable: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = labels(repository / NAME)
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    committed(other)
    value = tmp_path / "trace" if variable == "GIT_TRACE" else other / ".git"
    monkeypatch.setenv(variable, str(value))
    assert labels(repository / NAME) == expected
    assert not (tmp_path / "trace").exists()


def test_a_replaced_commit_is_ignored(repository: Path) -> None:
    expected = labels(repository / NAME)
    head = git(repository, "rev-parse", "HEAD")
    other = git(repository, "commit-tree", "-m", "b", f"{head}^{{tree}}", date="100000000")
    git(repository, "replace", head, other)
    assert labels(repository / NAME) == expected


def test_git_runs_in_one_place_only() -> None:
    """Any other call would need the same protection."""
    root = Path(__file__).parents[2]
    files = [path for room in ("reconciler", "providers", "state") for path in (root / room).rglob("*.py")]
    assert [
        str(path.relative_to(root)) for path in files if re.search(r"""["']git["']""", path.read_text())
    ] == ["reconciler/system/git.py"]


def edited(folder: Path) -> None:
    (folder / "pipeline.py").write_text("print(2)\n")


def same_size(folder: Path) -> None:
    """With unchanged times, which git compares."""
    path = folder / "pipeline.py"
    times, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-2] + b"#\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def assumed_unchanged(folder: Path) -> None:
    git(folder, "update-index", "--assume-unchanged", "pipeline.py")
    edited(folder)


def staged(folder: Path) -> None:
    edited(folder)
    git(folder, "add", "--all")


def added(folder: Path) -> None:
    (folder / "new.py").touch()


def git_ignored(folder: Path) -> None:
    (folder.parent / ".git" / "info" / "exclude").write_text("*.csv\n")
    (folder / "data.csv").write_text("1\n")


def removed(folder: Path) -> None:
    (folder / "utils" / "parameters.py").rename(folder.parent / "gone.py")


def executable(folder: Path) -> None:
    path = folder / "pipeline.py"
    path.chmod(path.stat().st_mode ^ 0o111)


def linked(folder: Path) -> None:
    (folder / "pipeline.py").rename(folder.parent / "real.py")
    (folder / "pipeline.py").symlink_to("../real.py")


def line_ends(folder: Path) -> None:
    path = folder / "pipeline.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def of_the_ignore_file(folder: Path) -> None:
    (folder / ".dockerignore").write_text(".dockerignore\nutils/nothing\n")


def of_the_config(folder: Path) -> None:
    with (folder / "config.toml").open("a") as file:
        file.write("# a remark\n")


CHANGES = (
    *(edited, same_size, assumed_unchanged, staged, added, git_ignored, executable, linked, line_ends),
    *(of_the_ignore_file, of_the_config),
)


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_the_source_makes_the_tree_dirty(
    change: Callable[[Path], None], repository: Path
) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert revision(repository / NAME) == commit
    change(repository / NAME)
    assert revision(repository / NAME) == f"{commit}+dirty"


def test_a_deleted_file_makes_the_tree_dirty_if_it_is_source(repository: Path) -> None:
    folder = repository / NAME
    for name in ("notes.txt", "ignored.txt"):
        (folder / name).write_text("1\n")
    (folder / ".dockerignore").write_text("ignored.txt\n")
    commit = committed(repository)
    (folder / "ignored.txt").unlink()
    assert revision(folder) == commit
    (folder / "notes.txt").unlink()
    assert revision(folder) == f"{commit}+dirty"


def test_changes_outside_of_the_build_context_do_not_make_it_dirty(
    repository: Path, sandbox: Sandbox
) -> None:
    (repository / "other").mkdir()
    copy_example(NAME, repository / "other", sandbox.registry)
    (repository / "README.md").write_text("more\n")
    cache = repository / NAME / "__pycache__"
    cache.mkdir()
    (cache / "x.pyc").touch()
    assert revision(repository / NAME) == git(repository, "rev-parse", "HEAD")


def test_a_folder_that_no_checkout_has_makes_it_dirty(repository: Path) -> None:
    """An empty folder is in the image, and a commit cannot contain one."""
    folder = repository / NAME
    (folder / "empty").mkdir()
    assert revision(folder) == f"{git(repository, 'rev-parse', 'HEAD')}+dirty"
    (folder / "empty").rmdir()
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("1\n")
    (folder / ".dockerignore").write_text("notes/*\n")
    commit = committed(repository)
    assert revision(folder) == commit  # ignored, but every checkout has the folder


def test_a_clone_with_another_umask_is_clean(repository: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    subprocess.run(f"umask 077 && git clone -q {repository} {elsewhere}", shell=True, check=True)
    assert labels(elsewhere / NAME) == labels(repository / NAME)


def test_a_worktree_and_a_folder_behind_a_link_have_their_commit(repository: Path, tmp_path: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
    (tmp_path / "link").symlink_to(repository)
    assert revision(tmp_path / "tree" / NAME) == commit
    assert revision(tmp_path / "link" / NAME) == commit


def test_a_submodule_has_the_content_of_its_commit(repository: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    git(shared, "init", "--quiet")
    (shared / "lib.py").write_text("1\n")
    committed(shared)
    allowed = ("-c", "protocol.file.allow=always")
    git(repository, *allowed, "submodule", "--quiet", "add", str(shared), f"{NAME}/shared")
    (repository / NAME / ".dockerignore").write_text("**/.git\n")
    commit = committed(repository)
    assert revision(repository / NAME) == commit
    (repository / NAME / "shared" / "lib.py").write_text("2\n")
    assert revision(repository / NAME) == f"{commit}+dirty"


def test_an_lfs_file_has_the_content_of_its_pointer(repository: Path) -> None:
    weights = repository / NAME / "weights.bin"
    content = b"weights" * 1000
    weights.write_text(
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{hashlib.sha256(content).hexdigest()}\nsize {len(content)}\n"
    )
    commit = committed(repository)
    weights.write_bytes(content)
    assert revision(repository / NAME) == commit
    weights.write_bytes(content + b"!")
    assert revision(repository / NAME) == f"{commit}+dirty"


def test_a_dirty_tree_is_labelled_and_needs_no_build_once_committed(
    repository: Path, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited(repository / NAME)
    commit = git(repository, "rev-parse", "HEAD")
    assert cli("apply", NAME, "--yes").code == 0
    assert published(sandbox)[REVISION] == f"{commit}+dirty"
    short = f"{commit[:12]}+dirty"
    assert f"commit {short}" in cli("state", "history", stack_of(NAME)).out
    assert f"{commit}+dirty" in cli("image", NAME).out
    sandbox.platform.edit_processing(NAME, default_cpu=64)
    assert f"from {short}" in cli("drift", NAME, "--markdown", "d.md").out
    assert f"from {short}" in (repository / "d.md").read_text().replace("&#43;", "+")
    sandbox.platform.edit_processing(NAME, default_cpu=4)

    committed(repository)
    sandbox.clear_requests()
    monkeypatch.setenv("RECONCILER_STATE", str(repository.parent / "another.db"))
    assert cli("apply", NAME, "--yes").code == 0
    assert sandbox.writes(service="registry") == []

    (repository / NAME / "pipeline.py").write_text("print(3)\n")
    monkeypatch.setenv("RECONCILER_STATE", str(repository.parent / "no.db"))
    told = cli("plan", NAME).out
    assert f"try git diff {commit[:12]}, plus uncommitted changes at that time" in told


def test_a_bump_of_a_clean_tree_is_clean(repository: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", NAME, "--yes").code == 0
    edited(repository / NAME)
    commit = committed(repository)
    assert cli("apply", NAME, "--bump", "patch", "--yes").code == 0
    assert published(sandbox)[REVISION] == commit


def test_an_invalid_commit_label_adds_no_command() -> None:
    assert Revision.parse("0123456789abcdef") == Revision("0123456789abcdef", is_dirty=False)
    assert Revision.parse("0123456+dirty") == Revision("0123456", is_dirty=True)
    for label in (
        "",
        "x; rm -rf /",
        "--output=/etc/passwd",
        "0123456789abcdef; id",
        "0123456+dirty\nx",
        "abc",
    ):
        assert Revision.parse(label) is None


NO_TIMES = (
    *(
        "99999999999999999999",
        str(LATEST + 1),
        "-1",
        "+1",
        "1.5",
        "1e9",
        "now",
        " 1",
        "1 ",
        "\u00b2",
        "\u0661",
        "0x10",
    ),
    *("1_000", "1" * 5000, "\x1b[31m", "2023-11-14"),
)


@pytest.mark.parametrize("epoch", NO_TIMES)
def test_an_invalid_time_is_refused_before_any_write(
    epoch: str, repository: Path, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    sandbox.clear_requests()
    ended = cli("apply", NAME, "--yes")
    assert ended.code == 1
    assert "SOURCE_DATE_EPOCH is '" in ended.err
    assert "seconds since 1970" in ended.err
    assert "unset it to use the time of the commit" in ended.err
    assert "Traceback" not in ended.err
    assert len(ended.err) < 1500
    paths = [request["path"] for request in sandbox.writes() if "/blobs/uploads" not in request["path"]]
    assert paths == []


@pytest.mark.parametrize("command", ["validate", "plan"])
@pytest.mark.parametrize("epoch", NO_TIMES)
def test_an_invalid_time_is_reported_before_an_apply(
    command: str, epoch: str, repository: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    ended = cli(command, NAME)
    assert ended.code == 1, ended.err
    assert "SOURCE_DATE_EPOCH is '" in ended.err
    assert "unset it to use the time of the commit" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", [("plan", "--exit-code"), ("drift",), ("apply", "--yes")], ids=" ".join)
def test_without_a_build_the_time_is_not_checked(
    command: tuple[str, ...], repository: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("apply", NAME, "--yes").code == 0
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "now")
    ended = cli(command[0], NAME, *command[1:])
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(("epoch", "created"), [
    ("0", "1970-01-01T00:00:00Z"),
    ("1", "1970-01-01T00:00:01Z"),
    (str(LATEST), "9999-12-31T23:59:59Z"),
    ("", CREATED_THEN),
])  # fmt: skip
def test_a_valid_time_is_used(epoch: str, created: str, repository: Path) -> None:
    assert labels(repository / NAME, SOURCE_DATE_EPOCH=epoch)[CREATED] == created


@pytest.mark.parametrize("date", [LATEST + 1, 2**62, -1])
def test_the_time_of_a_commit_is_used(
    date: int, repository: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git(repository, "cat-file", "commit", "HEAD").replace(f"{DATE} +0000", f"{date} +0000")
    commit = git(
        repository, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=f"{head}\n".encode()
    )
    (repository / ".git" / "refs" / "heads" / "main").write_text(f"{commit}\n")
    for command in (("validate", NAME), ("plan", NAME), ("apply", NAME, "--yes")):
        ended = cli(*command)
        assert ended.code == 1
        assert f"the commit {commit[:12]} has a date that no image can have" in ended.err
        assert "export SOURCE_DATE_EPOCH=" in ended.err
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert cli("apply", NAME, "--yes").code == 0


def test_without_git_or_a_commit_there_is_no_revision(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_example(NAME, cli.folder, sandbox.registry)
    assert labels(folder)[CREATED] == "1970-01-01T00:00:00Z"
    git(cli.folder, "init", "--quiet")
    assert labels(folder)[REVISION] == ""
    committed(cli.folder)
    monkeypatch.setenv("PATH", "/nowhere")
    assert labels(folder)[REVISION] == ""


def test_an_unreadable_repository_is_reported(repository: Path, cli: Cli) -> None:
    (repository / ".git" / "config").write_text("[core\n")
    ended = cli("apply", NAME, "--yes")
    assert ended.code == 1
    assert "the commit of the source cannot be read: git cannot read" in ended.err
    assert "repair the repository" in ended.err


def test_the_source_key_does_not_depend_on_the_commit(repository: Path) -> None:
    pipeline, key = validate(repository / NAME, ReadOptions()).require_valid()
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "b")
    assert fingerprint(image_source(pipeline)).key == key.key


def test_docker_runs_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nenv | grep BUILDX_GIT | sort\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("BUILDX_GIT_LABELS", "full")
    with run_docker(["buildx", "build"], {}) as (lines, _):
        assert [*lines] == ["BUILDX_GIT_INFO=false\n", "BUILDX_GIT_LABELS=false\n"]
