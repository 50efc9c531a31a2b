"""The rules of .dockerignore, compared with real builds and with docker-py's matcher."""

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from providers.docker.source.ignore import IgnoreRules
from providers.docker.source.key import ImageSource, context
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
    "*\n!**/c.py": "a star star line brings back from an ignored folder",
    "a\n!*/b/c.py": "and so does any wildcard",
    "**/docs\n!docs/index.md": "back from a folder that is ignored at any depth",
    "**.py": "an ending",
    "a/**.py": "which is none inside of a folder",
    "!a\na": "a line that brings back comes too early",
    "*\n!./x.py\n!/y.py": "detours back",
    "Dockerfile": "the Dockerfile alone",
    ".dockerignore": "the ignore file alone",
    "*\n!Dockerfile": "all but the Dockerfile",
    "a//b": "two slashes",
    "[!x].py": "an exclamation mark in a class",
    "[x\\-y].py": "an escaped dash",
    "a\\ b.txt": "an escaped space",
    " #note": "a space before what looks like a comment",
    "*.PY": "capitals",
    "^x.py\n(x).py\nx|y.py\n{x,y}.py\nx.p$\n+.py": "what only regular expressions know",
    "**/": "everything, with a slash",
    "/": "a slash",
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
def test_as_a_real_build(
    docker_engine: str, buildx_plugins: Path, tree: Path, tmp_path_factory: pytest.TempPathFactory, rules: str
) -> None:
    (tree / ".dockerignore").write_text(rules)
    target = tmp_path_factory.mktemp("built")
    subprocess.run(
        [buildx_plugins / "docker-buildx", "build", "--output", f"type=local,dest={target}", tree],
        env={"DOCKER_HOST": docker_engine, "HOME": str(target.parent)},
        capture_output=True,
        check=True,
    )
    files = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert kept(tree) == files


LEGACY = ("*\n!a/b/c.py", "build\n!build/keep", "[^x].py", "a\\*b", "../x.py", ".dockerignore\nDockerfile")


@pytest.mark.docker
@pytest.mark.parametrize("rules", LEGACY, ids=[TABLE[rules] for rules in LEGACY])
def test_as_the_legacy_builder(docker_engine: str, tree: Path, rules: str) -> None:
    (tree / ".dockerignore").write_text(rules)
    assert kept(tree) == built(docker_engine, tree)


@pytest.mark.docker
def test_the_legacy_builder_does_not_look_below_an_ignored_folder(docker_engine: str, tree: Path) -> None:
    (tree / ".dockerignore").write_text("a\n!**/c.py\n")
    assert kept(tree) - built(docker_engine, tree) == {"a/b/c.py"}


DOCKER_PY = {
    "*.log\nDockerfile\n.dockerignore": ({"Dockerfile", ".dockerignore"}, set()),
    "\\[x\\].py": ({"[x].py"}, set()),
    "[!x].py": ({"x.py"}, {"y.py", "é.py"}),
    "*.PY": (set(), {"[x].py", "x.py", "y.py", "é.py"}),
    "a\n!**/c.py": (set(), {"a/b/c.py"}),
}
"""What docker-py sends and we do not, and the other way round. Real builds do as we do: the table above."""


@pytest.mark.parametrize("rules", DOCKER_PY)
def test_unlike_docker_py(tree: Path, rules: str) -> None:
    from docker.utils.build import exclude_paths

    (tree / ".dockerignore").write_text(rules)
    theirs = {path for path in exclude_paths(str(tree), rules.split("\n")) if (tree / path).is_file()}
    assert (theirs - kept(tree), kept(tree) - theirs) == DOCKER_PY[rules]


def built(host: str, folder: Path) -> set[str]:
    """The files of an image that the `docker` command built from the folder, with COPY . /"""
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


def test_ignored_folders_are_not_read(tree: Path) -> None:
    rules = IgnoreRules("a\nbuild\n!build/keep/me\n!docs*/x")
    assert rules.excluded(["a", "b"]) == {"a"} and not rules.may_keep_below("a")
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
@given(lines=lines, paths=st.lists(paths, max_size=4))
def test_as_docker_py(lines: list[tuple[bool, str]], paths: list[str]) -> None:
    from docker.utils.build import PatternMatcher

    written = [("!" if back else "") + pattern for back, pattern in lines]
    # It matches a pattern of n parts with the first n folders only, so ** does not match deeper ones.
    assume(not any("**" in pattern for pattern in written))
    theirs = PatternMatcher(written)
    assert IgnoreRules("\n".join(written)).excluded(paths) == {path for path in paths if theirs.matches(path)}


PIECES = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]", "[ab]": "[ab]", "a": "a", "b": "b", "/": "/"}
TOKEN = re.compile("|".join(map(re.escape, PIECES)))


@settings(max_examples=1_000)
@given(
    pieces=st.lists(st.sampled_from([*PIECES, "*", "*", "a/", "**/"]), min_size=1, max_size=9),
    paths=st.lists(st.text("ab/", min_size=1, max_size=8), min_size=1, max_size=5),
)
def test_any_number_of_wildcards_matches_as_a_regular_expression(pieces: list[str], paths: list[str]) -> None:
    """Which tries every place of each, so it can only be asked about short paths."""
    pattern = "".join(pieces)
    assume(not re.search(r"//|^/|/$|\*\*(?!/)|[^/]\*\*", pattern))
    expected = re.compile("".join(PIECES[token] for token in TOKEN.findall(pattern)) + "(?:/.*)?\\Z")
    paths = [path for path in paths if not re.search("//|^/", path)]
    assert IgnoreRules(pattern).excluded(paths) == {path for path in paths if expected.match(path)}


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("*a" * 20 + "b", "a" * 255),
        ("**/*a*a*a*a*a*b", "a/" * 100 + "a" * 255),
        ("**/a/" * 20 + "b", "a/" * 1_000),
        ("**/" + "?*" * 20 + "[b]", "a" * 255),
        ("!" + "*a" * 20 + "b", "a" * 255),
    ],
)
def test_no_line_takes_for_ever(line: str, path: str) -> None:
    """A pull request with such a line, and a file with such a name, would hang its plan."""
    assert IgnoreRules(f"**\n{line}\n{line}").excluded([path]) == {path}
    assert IgnoreRules(line).excluded([path]) == set()
