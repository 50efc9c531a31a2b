"""The source key: it covers exactly the source, and different sources have different keys."""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import MAX_COUNTED, ImageSource, SourceKey, context
from providers.docker.source.source_diff import differences
from providers.errors import RefusedError


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Root can read every file, so run as another user."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def key(folder: Path, **settings: object) -> str:
    return fingerprint(ImageSource(folder=folder, **settings)).key  # type: ignore[arg-type]


CHANGES: dict[str, Callable[[Path], object]] = {
    "edit": lambda folder: (folder / "pipeline.py").write_text("print('other')\n"),
    "same size edit": lambda folder: (folder / "utils/steps.py").write_text("STEPS = 4\n"),
    "Dockerfile": lambda folder: (folder / "Dockerfile").write_text("FROM scratch\n"),
    "add": lambda folder: (folder / "utils/new.py").write_text(""),
    "remove": lambda folder: (folder / "utils/steps.py").unlink(),
    "move": lambda folder: (folder / "pipeline.py").rename(folder / "main.py"),
    "move into a folder": lambda folder: (folder / "pipeline.py").rename(folder / "utils/pipeline.py"),
    "make executable": lambda folder: (folder / "pipeline.py").chmod(0o755),
    "empty folder": lambda folder: (folder / "data").mkdir(),
    "link": lambda folder: (folder / "link").symlink_to("pipeline.py"),
    "broken link": lambda folder: (folder / "link").symlink_to("nowhere"),
    "link to itself": lambda folder: (folder / "loop").symlink_to("loop"),
    "link to the folder": lambda folder: (folder / "loop").symlink_to("."),
    "file becomes a link to the same": lambda folder: (
        (folder / "utils/pipeline.py").write_bytes((folder / "pipeline.py").read_bytes()),
        (folder / "pipeline.py").unlink(),
        (folder / "pipeline.py").symlink_to("utils/pipeline.py"),
    ),
    "another ignore rule that hides a file": lambda folder: (folder / ".dockerignore").write_text("utils\n"),
}

NO_CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda folder: None,
    "touch": lambda folder: os.utime(folder / "pipeline.py", (1, 1)),
    "touch a folder": lambda folder: os.utime(folder / "utils", (1, 1)),
    "write the same again": lambda folder: (folder / "pipeline.py").write_text("print('hello')\n"),
    "umask 002": lambda folder: [
        path.chmod(0o775 if path.is_dir() else 0o664) for path in (folder, *folder.rglob("*"))
    ],
    "umask 077": lambda folder: [
        path.chmod(0o700 if path.is_dir() else 0o600) for path in (folder, *folder.rglob("*"))
    ],
    "setgid on a folder": lambda folder: (folder / "utils").chmod(0o2755),
    "a file there and gone again": lambda folder: [(folder / "x").touch(), (folder / "x").unlink()],
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_the_key(folder: Path, change: str) -> None:
    before = key(folder)
    CHANGES[change](folder)
    assert key(folder) != before


@pytest.mark.parametrize("change", NO_CHANGES)
def test_keeps_the_key(folder: Path, change: str) -> None:
    before = key(folder)
    NO_CHANGES[change](folder)
    assert key(folder) == before


def test_the_key_of_a_known_folder_never_changes(folder: Path) -> None:
    # With another value, the source of every published image would count as changed.
    found = fingerprint(ImageSource(folder=folder))
    assert found.first == "sha256:41647d29b2a39efe907d52f8db3db415c8b82e8ec2988143b686fa5226bee70f"
    assert found.key == "v2:e139ce061225e3a338ee21a7a1b86f178874f602b1987dc5f6c08f740c65f2b1"


def test_the_key_of_a_folder_with_everything_never_changes(folder: Path) -> None:
    for path in ("data/empty/below", "data-x", "kept/only/by/exception", "left/out"):
        (folder / path).mkdir(parents=True)
    for path in ("data-x/a.py", "kept/only/by/exception/b.py", "kept/c.py", "left/out/d.py", "utils/run.sh"):
        (folder / path).write_text(path)
    for path in ("data/empty/below", "left"):
        (folder / path).chmod(0o755)
    (folder / "utils/run.sh").chmod(0o4755)
    (folder / "large.bin").write_bytes(bytes(range(256)) * 1000)
    (folder / "no bytes").touch()
    (folder / "link").symlink_to("data/nowhere")
    (folder / "utils/folder").symlink_to("../data-x")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xc3\xa9.py")).write_text("")
    (folder / ".dockerignore").write_text("kept\n**/out\n!kept/**/b.py\nconfig.toml\n!config.*\n")
    first = {"config.toml": b"[metadata]", "link": b"not this"}
    found = fingerprint(ImageSource(folder=folder, keyed={"config.toml": b"[settings]"}, keyed_first=first))
    assert found.first == "sha256:fc9784c26e9d3aedc2d7e0978f42073f10d59f210ddf7179f3619b55c23a123b"
    assert found.key == "v2:1c73eb75e07d8dad9000f0713fd2676e95a0e84cef24aed4378f5c93fd64b0b1"
    assert found.size == 256_165
    assert list(found.files) == [
        *(".dockerignore", "Dockerfile", "config.toml", "data-x/a.py", "data/empty/below"),
        *("kept/only/by/exception/b.py", "large.bin", "left", "link", "no bytes", "pipeline.py"),
        *("utils/folder", "utils/run.sh", "utils/steps.py", "\\xffé.py"),
    ]


def test_is_the_same_elsewhere(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("copy") / "below"
    folder.rename(copy)
    before = key(copy)
    copy.rename(folder)
    assert key(folder) == before


@pytest.mark.parametrize(
    "settings",
    [
        {"platform": "linux/arm64"},
        {"build_args": {"A": "1"}},
        {"base": "python:3.12"},
        {"workdir": "/app"},
        {"entrypoint": ("python",)},
        {"entrypoint": ()},
        {"env": {"A": "1"}},
        {"keyed": {"pipeline.py": b""}},
        {"target": "final"},
        {"secrets": {"TOKEN": "TOKEN"}},
    ],
    ids=str,
)
def test_settings_count(folder: Path, settings: dict[str, object]) -> None:
    assert key(folder, **settings) != key(folder)


def test_settings_without_effect_on_the_image_do_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert key(folder, cache_from=("x",), cache_to=("y",)) == key(folder)
    monkeypatch.setenv("A", "hush")
    before = key(folder, secrets={"TOKEN": "A"})
    monkeypatch.setenv("A", "other")
    assert key(folder, secrets={"TOKEN": "A"}) == before
    assert key(folder, secrets={"TOKEN": "B"}) == before


def test_a_build_argument_is_not_an_environment_variable(folder: Path) -> None:
    assert key(folder, env={"A": "1"}) != key(folder, build_args={"A": "1"})
    assert key(folder, build_args={"A": "1", "B": "2"}) == key(folder, build_args={"B": "2", "A": "1"})


def test_keyed_bytes_count_instead_of_the_content(folder: Path) -> None:
    keyed = {"config.toml": b"[metadata]"}
    before = key(folder, keyed=keyed)
    (folder / "config.toml").write_text('[metadata]\nversion = "1.0.1"\n')
    assert key(folder, keyed=keyed) == before
    assert key(folder, keyed={"config.toml": b"[other]"}) != before
    (folder / ".dockerignore").write_text("config.toml\n")
    assert key(folder, keyed=keyed) == key(folder)


def test_the_first_recipe_has_bytes_of_its_own(folder: Path) -> None:
    """An image of an earlier version is compared by that version's recipe."""

    def both(now: bytes, first: bytes) -> SourceKey:
        keyed, keyed_first = {"config.toml": now}, {"config.toml": first}
        return fingerprint(ImageSource(folder=folder, keyed=keyed, keyed_first=keyed_first))

    before = both(b"a", b"b")
    assert (both(b"a", b"c").key, both(b"x", b"b").first) == (before.key, before.first)
    assert both(b"a", b"c").first != before.first
    assert both(b"x", b"b").key != before.key
    assert before.is_same(before.first)
    assert before.is_same(before.key)
    assert not before.is_same(None)
    assert not before.is_same(both(b"a", b"c").first)
    assert (
        before.files_as_of(before.first)
        == fingerprint(ImageSource(folder=folder, keyed={"config.toml": b"b"})).files
    )
    assert before.files_as_of(before.key) == before.files


def test_part_of_a_file_counts_wherever_it_is(folder: Path) -> None:
    """All of it counted before, and does where it is larger than such a file can be."""
    counted = {"config.toml": lambda content: content.partition(b"#")[0]}
    nested = folder / "other" / "config.toml"
    nested.parent.mkdir()

    def key_of(content: str) -> SourceKey:
        nested.write_text(content)
        return fingerprint(ImageSource(folder=folder, counted=counted))

    before = key_of("a# b")
    assert key_of("a# c").key == before.key
    assert key_of("a# c").files == before.files
    assert key_of("b# b").key != before.key
    assert key_of("a# c").first != before.first
    assert key_of("a# b").first == fingerprint(ImageSource(folder=folder)).first
    long = "x" * MAX_COUNTED
    assert key_of(f"a#{long}1").key != key_of(f"a#{long}2").key


def test_replaced_bytes_do_not_count(folder: Path) -> None:
    assert key(folder, replaced={"config.toml": b"new"}) == key(folder)


def test_an_ignored_dockerfile_counts(folder: Path) -> None:
    (folder / ".dockerignore").write_text("Dockerfile\n")
    before = fingerprint(ImageSource(folder=folder))
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY utils /\n")
    after = fingerprint(ImageSource(folder=folder))
    assert after.key != before.key
    assert differences(before.files, after.files, before.arguments, after.arguments) == ["Dockerfile changed"]


def test_an_ignored_file_does_not_count(folder: Path) -> None:
    (folder / ".dockerignore").write_text("*.log\n")
    before = key(folder)
    (folder / "a.log").write_text("x")
    assert key(folder) == before


def test_a_dockerfile_that_is_a_link_counts_by_content(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "Dockerfile"
    outside.write_text("FROM scratch\n")
    (folder / "Dockerfile").unlink()
    (folder / "Dockerfile").symlink_to(outside)
    before = key(folder)
    outside.write_text("FROM scratch\nCOPY . /\n")
    assert key(folder) != before


def test_differences_for_people(folder: Path) -> None:
    before = fingerprint(ImageSource(folder=folder, build_args={"A": "1", "GONE": ""}))
    (folder / "pipeline.py").write_text("")
    (folder / "utils/x.py").write_text("")
    (folder / "utils/steps.py").unlink()
    after = fingerprint(ImageSource(folder=folder, build_args={"A": "2"}, platform="linux/arm64"))
    assert differences(before.files, after.files, before.arguments, after.arguments) == [
        "pipeline.py changed",
        "utils/steps.py removed",
        "utils/x.py added",
        "build argument A changed",
        "build argument GONE removed",
        "platform changed",
    ]


def test_secret_values_are_not_shown(folder: Path) -> None:
    source = ImageSource(folder=folder, build_args={"TOKEN": "hunter2"}, env={"PASSWORD": "hunter3"})
    assert "hunter" not in repr(fingerprint(source))


def test_counts_the_bytes(folder: Path) -> None:
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert fingerprint(ImageSource(folder=folder)).size == total


class TestRefusals:
    def test_a_socket(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket")
            with pytest.raises(RefusedError, match="socket is a socket") as caught:
                key(folder)
        assert caught.value.hint == "remove it, or add socket to .dockerignore"

    def test_a_pipe_unless_it_is_ignored(self, folder: Path) -> None:
        os.mkfifo(folder / "utils/pipe")
        with pytest.raises(RefusedError, match=r"utils/pipe is a named pipe"):
            key(folder)
        (folder / ".dockerignore").write_text("**/pipe")
        assert key(folder)

    def test_no_dockerfile(self, folder: Path) -> None:
        (folder / "Dockerfile").unlink()
        with pytest.raises(RefusedError, match="there is no Dockerfile"):
            key(folder)
        assert key(folder, base="python:3.12")

    def test_a_dockerfile_outside(self, folder: Path) -> None:
        with pytest.raises(RefusedError, match="not inside"):
            key(folder, dockerfile="../Dockerfile")

    def test_no_folder(self, folder: Path) -> None:
        with pytest.raises(RefusedError, match="there is no folder"):
            key(folder / "absent")

    def test_a_file_or_folder_without_permission(self) -> None:
        with tempfile.TemporaryDirectory(dir="/tmp") as name:
            Path(name).chmod(0o777)
            with nobody():
                folder = Path(name)
                (folder / "Dockerfile").touch()
                (folder / "secret.py").touch(mode=0)
                with pytest.raises(
                    RefusedError, match=r"secret\.py cannot be read: Permission denied"
                ) as caught:
                    key(folder)
                assert caught.value.hint == "chmod u+r secret.py, or add it to .dockerignore"
                (folder / ".dockerignore").write_text("secret.py\n")
                assert key(folder)
                (folder / "data").mkdir(mode=0)
                with pytest.raises(RefusedError, match=r"data/? cannot be read: Permission denied"):
                    key(folder)

    def test_a_folder_that_is_a_file(self, folder: Path) -> None:
        with pytest.raises(RefusedError, match="is not a folder"):
            key(folder / "pipeline.py")


def test_names_that_are_not_text(folder: Path) -> None:
    before = key(folder)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.py")).write_text("")
    found = fingerprint(ImageSource(folder=folder))
    assert found.key != before
    assert "\\xff.py" in found.files


names = st.sampled_from(["a", "b", "ab", "0", "1:", "é", "a b", "-", "+", "f0644"])
trees = st.recursive(
    st.binary(max_size=8) | st.none(), lambda below: st.dictionaries(names, below, max_size=3), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


def plant(folder: Path, tree: object) -> None:
    """Create a tree: bytes are a file, None is a dangling link, a dict is a folder."""
    if isinstance(tree, dict):
        folder.mkdir()
        for name, below in tree.items():
            plant(folder / name, below)
    elif tree is None:
        folder.symlink_to("nowhere")
    else:
        assert isinstance(tree, bytes)
        folder.write_bytes(tree)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=trees, two=trees, arguments=st.tuples(*[st.dictionaries(names, names, max_size=2)] * 2))
def test_different_sources_have_different_keys(
    tmp_path_factory: pytest.TempPathFactory,
    one: dict[str, object],
    two: dict[str, object],
    arguments: tuple[dict[str, str], dict[str, str]],
) -> None:
    found = []
    for tree, given_arguments in zip((one, two), arguments, strict=True):
        folder = tmp_path_factory.mktemp("tree") / "root"
        plant(folder, tree)
        found.append(key(folder, base="x", build_args=given_arguments))
    assert (found[0] == found[1]) == ((one, arguments[0]) == (two, arguments[1]))


def test_the_context_is_sorted(folder: Path) -> None:
    paths = [entry.path for entry in context(ImageSource(folder=folder))]
    assert paths == sorted(paths) == ["Dockerfile", "config.toml", "pipeline.py", "utils/steps.py"]


def test_a_folder_without_an_ignore_file_has_default_rules(folder: Path) -> None:
    (folder / ".dockerignore").unlink(missing_ok=True)
    before = fingerprint(ImageSource(folder=folder)).key
    names = (
        *(".git/HEAD", ".venv/pyvenv.cfg", "sub/.venv/lib/x.py", "venv/lib/x.py", "utils/__pycache__/a.pyc"),
        *("b.pyc", "utils/c.pyo", "utils/.DS_Store", "sub/.git"),
    )
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("here only")
    (folder / "sub" / "__pycache__").mkdir()

    seen = {entry.path for entry in context(ImageSource(folder=folder))}

    assert seen.isdisjoint(names)
    shutil.rmtree(folder / "sub")
    assert fingerprint(ImageSource(folder=folder)).key == before
    assert not (folder / ".dockerignore").exists(), "nothing is written into the user's folder"


@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile.dockerignore"])
def test_an_ignore_file_without_an_end_is_not_read(folder: Path, name: str) -> None:
    with (folder / name).open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(RefusedError, match=f"{name} cannot be read: Has more than 1 MiB") as caught:
        context(ImageSource(folder=folder))
    assert caught.value.hint == f"make {name} a readable file, or remove it"


def test_an_empty_ignore_file_ignores_nothing(folder: Path) -> None:
    (folder / ".dockerignore").write_text("")
    (folder / "b.pyc").write_text("")
    assert "b.pyc" in {entry.path for entry in context(ImageSource(folder=folder))}
