"""The rules of .dockerignore: held against real builds, and against docker-py's matcher."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from providers.docker.ignore import IgnoreRules
from providers.docker.source import ImageSource, context
from providers.errors import RefusedError
from tests.services import engine_client

FILES = (
    ".dockerignore",
    ".hidden",
    "Dockerfile",
    "a.log",
    "a/a.log",
    "a/b/a.log",
    "a/b/c.py",
    "a/b.py",
    "a b.txt",
    "a*b",
    "a\\b",
    "[x].py",
    "x.py",
    "y.py",
    "#note",
    "!bang",
    "é.py",
    "build/keep/me",
    "build/drop",
    "docs/README.md",
    "docs/index.md",
    "README.md",
)

TABLE = {
    "": "nothing",
    "*.log": "one level",
    "**/*.log": "all levels",
    "a": "a folder and what is below",
    "a/": "a trailing slash",
    "/a": "a leading slash",
    "./a/../a": "a detour",
    "a/*": "what is in a folder",
    "a/**": "what is below a folder",
    "**": "everything",
    "*": "everything at the top",
    "*\n!a": "all but a folder",
    "*\n!a/b/c.py": "all but one file deep down",
    "a\n!a/b/*.py": "a wildcard brings back",
    "build\n!build/keep": "a folder brought back",
    "build\n!build/keep/me\nbuild/keep/me": "the last line decides",
    "*.md\n!README*.md\nREADME.md": "the documented example",
    "**/README.md\n!docs/README.md": "back after **",
    "?.py": "one character",
    "[xy].py": "a class",
    "[^x].py": "not in a class",
    "[a-z].py": "a range",
    "\\[x\\].py": "an escaped bracket",
    "a\\*b": "an escaped star",
    "a\\\\b": "an escaped backslash",
    "# comment\n\\#note": "a comment, and what looks like one",
    "#note": "only a comment",
    "\\!bang": "an escaped exclamation mark",
    "  *.log  \t": "spaces around",
    "! a\na\n!  a/b.py ": "spaces after !",
    ".": "the folder itself does nothing",
    "..": "nor what is above",
    "../x.py": "nor a file above",
    ".dockerignore\nDockerfile": "the two files themselves",
    "a**": "a star star that is no folder",
    "**/b": "a folder at any depth",
    "a/**/c.py": "any depth between",
    "**/b/**/*.py": "twice",
    "\ufeff*.log": "a byte order mark",
    "*.log\r\n*.py\r\n": "lines of Windows",
    "é.py": "not in ASCII",
    ".*": "hidden files",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    return tmp_path


def kept(folder: Path) -> set[str]:
    return {entry.path for entry in context(ImageSource(folder=folder)) if entry.kind == "file"}


@pytest.mark.docker
@pytest.mark.parametrize("rules", TABLE, ids=TABLE.values())
def test_as_a_real_build(docker_engine: str, tree: Path, rules: str) -> None:
    (tree / ".dockerignore").write_text(rules)
    assert kept(tree) == built(docker_engine, tree)


def built(host: str, folder: Path) -> set[str]:
    """The files of an image that Docker's own command line built from the folder, with COPY . /"""
    program = shutil.which("docker")
    if not program:
        pytest.skip("no docker command line to compare with")
    command = [program, "--host", host, "build", "--quiet", str(folder)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={"DOCKER_BUILDKIT": "0", "HOME": str(folder)},
        check=False,
    )
    if "no build stage" in done.stderr or "COPY failed" in done.stderr:
        return set()
    assert done.returncode == 0, done.stderr
    client: Any = engine_client(host)
    try:
        container = client.api.create_container(done.stdout.strip(), command="none")
        content = b"".join(client.api.export(container["Id"]))
        client.api.remove_container(container["Id"])
    finally:
        client.close()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = {member.name for member in tar if member.isfile()}
    return names - {".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"}


def test_a_dockerfiles_own_ignore_file_wins(tree: Path) -> None:
    (tree / ".dockerignore").write_text("**\n")
    (tree / "Dockerfile.dockerignore").write_text("*\n!x.py\n")
    assert kept(tree) == {"x.py"}


def test_a_star_star_line_brings_back_below_an_ignored_folder(tree: Path) -> None:
    """As BuildKit does; the legacy command line does not look below such a folder."""
    (tree / ".dockerignore").write_text("*\n!**/c.py\n")
    assert kept(tree) == {"a/b/c.py"}


def test_ignored_folders_are_not_looked_into(tree: Path) -> None:
    rules = IgnoreRules("a\nbuild\n!build/keep/me\n!docs*/x")
    assert rules.excludes("a") and not rules.may_keep_below("a")
    assert rules.may_keep_below("build") and rules.may_keep_below("build/keep")
    assert not rules.may_keep_below("build/other")
    assert rules.may_keep_below("docs") and rules.may_keep_below("docs2")


def test_empty_folders(tree: Path) -> None:
    (tree / "empty/below").mkdir(parents=True)
    (tree / ".dockerignore").write_text("docs/*\n")
    found = {entry.path for entry in context(ImageSource(folder=tree)) if entry.kind == "folder"}
    assert found == {"empty/below", "docs"}


@pytest.mark.parametrize("line", ["[", "a[]", "a[x", "[z-a]", "[-x]", "[x-]", "a\\", "!", "! "])
def test_a_broken_line_is_named(line: str) -> None:
    with pytest.raises(RefusedError, match=r"\.dockerignore, line 2: .* is not a valid pattern"):
        IgnoreRules(f"*.log\n{line}\n")


parts = st.sampled_from(["a", "b", "ab", "*", "**", "?", "a*", "*b", "[ab]", "."])
patterns = st.lists(parts, min_size=1, max_size=4).map("/".join)
lines = st.lists(st.tuples(st.booleans(), patterns), max_size=4)
paths = st.lists(st.sampled_from(["a", "b", "ab", "aab", "c"]), min_size=1, max_size=4).map("/".join)


@settings(max_examples=500)
@given(lines=lines, path=paths)
def test_as_docker_py(lines: list[tuple[bool, str]], path: str) -> None:
    from docker.utils.build import PatternMatcher

    written = [("!" if back else "") + pattern for back, pattern in lines]
    # There a pattern of n parts is tried on the first n folders only, so ** is not tried on deeper ones.
    assume(not any("**" in pattern for pattern in written))
    assert IgnoreRules("\n".join(written)).excludes(path) == PatternMatcher(written).matches(path)
