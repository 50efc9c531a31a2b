"""The tar stream: its content, and the same bytes for the same source."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import providers.docker.source.archive as packing
from providers.docker.source.archive import archive
from providers.docker.source.key import ImageSource, context
from providers.errors import RefusedError
from tests.docker.test_source import plant, trees


def packed(folder: Path, **options: object) -> bytes:
    source = ImageSource(folder=folder)
    return b"".join(archive(source, context(source), **options))  # type: ignore[arg-type]


def unpacked(content: bytes) -> dict[str, tuple[bytes, int, object]]:
    found: dict[str, tuple[bytes, int, object]] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        for member in opened:
            assert (member.uid, member.gid, member.mtime, member.uname) == (0, 0, 0, "")
            assert member.name not in found
            file = opened.extractfile(member) if member.isreg() else None
            found[member.name] = (member.type, member.mode, file.read() if file else member.linkname)
    return found


def test_the_archive_has_the_files_of_the_folder(folder: Path) -> None:
    long = "n" * 120
    (folder / "utils" / long).write_text("long")
    (folder / "é").symlink_to("t" * 150)
    (folder / "empty").mkdir(mode=0o700)
    (folder / "utils" / "steps.py").chmod(0o4775)
    found = unpacked(packed(folder))
    assert list(found)[:2] == ["Dockerfile", "config.toml"]
    assert found[f"utils/{long}"] == (tarfile.REGTYPE, 0o644, b"long")
    assert found["é"] == (tarfile.SYMTYPE, 0o777, "t" * 150)
    assert found["empty"] == (tarfile.DIRTYPE, 0o700, "")
    assert found["utils"] == (tarfile.DIRTYPE, 0o755, "")
    assert found["utils/steps.py"] == (tarfile.REGTYPE, 0o4755, b"STEPS = 3\n")


def test_replaced_prefix_folders_and_extra(folder: Path) -> None:
    source = ImageSource(folder=folder, replaced={"config.toml": b"new", "absent": b"never"})
    content = b"".join(
        archive(source, context(source), prefix="tmp/app/", folders={"tmp": 0o1777}, extra={"more": b"m"})
    )
    found = unpacked(content)
    assert found["tmp"] == (tarfile.DIRTYPE, 0o1777, "")
    assert found["more"] == (tarfile.REGTYPE, 0o644, b"m")
    assert found["tmp/app/config.toml"] == (tarfile.REGTYPE, 0o644, b"new")
    assert "tmp/app/absent" not in found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees)
def test_same_source_same_bytes(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]) -> None:
    folders = [tmp_path_factory.mktemp("tree") / name for name in ("one", "two")]
    for folder in folders:
        plant(folder, tree)
    for path in folders[1].rglob("*"):
        os.utime(path, (5, 5), follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o022)
    one, two = (packed(folder) for folder in folders)
    assert one == two
    files = {path.relative_to(folders[0]).as_posix() for path in folders[0].rglob("*")}
    assert set(unpacked(one)) == files


@pytest.mark.parametrize("content", ["longer than before", "short"])
def test_a_file_that_changes_while_it_is_read(
    folder: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ImageSource(folder=folder)
    (folder / "config.toml").write_text("some text")
    read = packing.read_file

    def change_first(root: str, path: str) -> object:
        if path == "config.toml":
            Path(root, path).write_text(content)
        return read(root, path)

    monkeypatch.setattr(packing, "read_file", change_first)
    with pytest.raises(RefusedError, match=r"config\.toml changed while it was read"):
        b"".join(archive(source, context(source)))
