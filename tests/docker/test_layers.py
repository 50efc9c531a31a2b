"""The layers of `append`: blocks that are compressed or stored, large files, and what is read twice."""

import gzip
import hashlib
import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from providers.docker.builders import append, layer_packing
from providers.docker.builders.append import AppendBuilder
from providers.docker.builders.layer_packing import PackedLayer, pack
from providers.docker.registry.appended_files import appended_files
from providers.docker.registry.client import RegistryClient
from providers.docker.source import archive as archiving
from providers.docker.source import secret_scan
from providers.docker.source.archive import Piece, archive
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource, context
from providers.docker.source.secret_scan import SecretError
from providers.errors import RefusedError
from providers.protocol import Progress, silent
from tests.docker.conftest import publish
from tests.docker.line import line_to
from tests.docker.tokens import tokens
from tests.services import Registry, run_image

LARGE, BLOCK = 3000, 1000  # bytes; small ones, so that a test has many

RANDOM = random.Random(0).randbytes(64 << 10)
dense = st.tuples(st.integers(0, 60_000), st.integers(0, 4000)).map(lambda at: RANDOM[at[0] : sum(at)])
sparse = st.integers(0, 4000).map(lambda size: b"weight = 0.25\n" * (size // 14))
contents = st.lists(st.one_of(dense, sparse), max_size=4).map(b"".join)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are large, and blocks are full, after a few kilobytes."""
    monkeypatch.setattr(archiving, "LARGE", LARGE)
    monkeypatch.setattr(append, "LARGE", LARGE)
    monkeypatch.setattr(archiving, "BLOCK", BLOCK)
    monkeypatch.setattr(layer_packing, "BLOCK", BLOCK)
    monkeypatch.setattr(layer_packing, "_SAMPLE", 100)


def packed(folder: Path) -> tuple[bytes, PackedLayer]:
    """The archive of a folder, and its layer."""
    source = ImageSource(folder=folder)
    whole = b"".join(archive(source, context(source)))
    [pieces] = archiving.archives(source, [context(source)])
    return whole, pack(f"{folder}/", pieces, io.BytesIO(), silent)


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=40)
@given(files=st.lists(contents, max_size=6), start=st.floats(0, 1))
def test_a_layer_is_the_gzip_of_its_archive_from_every_offset(
    tmp_path_factory: pytest.TempPathFactory, files: list[bytes], start: float
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    for number, content in enumerate(files):
        (folder / f"file-{number}").write_bytes(content)
    whole, layer = packed(folder)
    sent = b"".join(layer.content(0))
    assert gzip.decompress(sent) == whole
    assert layer.size == len(sent)
    assert layer.digest == f"sha256:{hashlib.sha256(sent).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(whole).hexdigest()}"
    offset = int(start * layer.size)
    assert b"".join(layer.content(offset)) == sent[offset:]
    assert packed(folder)[1].digest == layer.digest


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("content", "is_smaller"), [(RANDOM[:20_000], False), (b"x" * 20_000, True)])
def test_only_what_deflate_makes_smaller_is_compressed_and_kept(
    tmp_path: Path, content: bytes, is_smaller: bool
) -> None:
    (tmp_path / "large").write_bytes(content)
    file, source = io.BytesIO(), ImageSource(folder=tmp_path)
    [pieces] = archiving.archives(source, [context(source)])
    layer = pack(f"{tmp_path}/", pieces, file, silent)
    assert (layer.size < len(content) / 2) == is_smaller
    assert len(file.getvalue()) < 2000


@pytest.mark.usefixtures("small_blocks")
def test_a_folder_of_a_few_files_is_one_block_that_is_compressed(tmp_path: Path) -> None:
    (tmp_path / "image.jpg").write_bytes(RANDOM[:200])
    whole, layer = packed(tmp_path)
    assert len(whole) > BLOCK
    pieces = layer_packing._blocks([Piece(whole[:900])])
    assert [layer_packing._is_whole(piece) for piece in pieces] == [False]
    assert gzip.decompress(b"".join(layer.content(0))) == whole


@pytest.fixture
def weights(folder: Path) -> Path:
    """A large file, as of a trained model, in the pipeline's folder."""
    path = folder / "utils" / "weights.bin"
    path.write_bytes(random.Random(1).randbytes(archiving.LARGE + 12_345))
    return path


def appended(base: str, folder: Path, workdir: str = "/root/app") -> tuple[AppendBuilder, ImageSource]:
    source = ImageSource(folder=folder, base=base, workdir=workdir)
    return AppendBuilder(source, "configured"), source


@pytest.mark.registry
def test_a_changed_line_does_not_send_a_large_file_again(
    registry: Registry, push_base: Callable[..., str], folder: Path, weights: Path
) -> None:
    base = push_base(registry, "large/base")
    with line_to(registry.address) as line:
        repository = f"{line.address}/large/app"
        publish(*appended(base, folder), repository)
        assert line.sent > weights.stat().st_size
        (folder / "pipeline.py").write_text("print('changed')\n")
        line.clear()
        publish(*appended(base, folder), repository, "1.0.1")
        assert 0 < line.sent < 100_000
    with RegistryClient(f"{registry.address}/large/app") as client:
        first, second = client.image("1.0.0"), client.image("1.0.1")
        assert first is not None and second is not None
        assert first.layers[:-1] == second.layers[:-1]
        assert first.layers[-1] != second.layers[-1]
        written = [entry["created_by"] for entry in second.config["history"]]
        assert written == [f"COPY . /root/app # picsellia-reconciler append {number}/2" for number in (1, 2)]
        found = appended_files(map(client.read_blob, second.layers[1:]), "/root/app", lambda *_: None)
    here = dict(fingerprint(ImageSource(folder=folder)).files)
    assert found == here


@pytest.mark.docker
@pytest.mark.registry
def test_an_engine_runs_an_image_with_a_large_file(
    engine: Any, registry: Registry, push_base: Callable[..., str], folder: Path, weights: Path
) -> None:
    """Also below a folder with a special mode, which both layers have."""
    repository = f"{registry.address}/large/run"
    publish(*appended(push_base(registry, "large/run"), folder), repository)
    shown = run_image(
        engine,
        f"{repository}:1.0.0",
        *("/bin/sh", "-c", "sha256sum utils/weights.bin; cat pipeline.py; ls -ld /root"),
    )
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in shown
    assert "print('hello')" in shown
    assert "drwx------" in shown


@pytest.mark.registry
def test_a_large_file_that_is_edited_before_it_is_sent_is_not_published(
    registry: Registry, push_base: Callable[..., str], folder: Path, weights: Path
) -> None:
    """Its content is read again when it is sent, which may be much later."""
    builder, source = appended(push_base(registry, "large/edited"), folder)

    def report(step: Progress) -> None:
        if step.stage == "copy":
            with weights.open("r+b") as file:
                file.seek(archiving.BLOCK + 5)
                file.write(b"other")

    with pytest.raises(RefusedError, match=r"utils/weights\.bin changed during the build"):
        builder.publish(source, f"{registry.address}/large/edited", "1.0.0", {}, report)


@pytest.mark.registry
def test_an_upload_that_breaks_goes_on_within_a_stored_block(
    registry: Registry, push_base: Callable[..., str], folder: Path, weights: Path
) -> None:
    base = push_base(registry, "large/breaks")
    with line_to(registry.address) as line:
        line.breaks[:] = [6_000_000, 7_000_000]
        publish(*appended(base, folder), f"{line.address}/large/breaks")
        assert line.breaks == []
    with RegistryClient(f"{registry.address}/large/breaks") as client:
        image = client.image("1.0.0")
        assert image is not None
        for layer in image.layers:
            assert sum(map(len, client.read_blob(layer))) == layer.size


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that the search for secrets opens from now on."""
    opened: list[str] = []
    read, first = secret_scan.read_file, secret_scan.first_piece

    def read_file(root: str, path: str) -> Iterator[bytes]:
        opened.append(path)
        return read(root, path)

    def first_piece(root: str, path: str) -> tuple[bytes, bool]:
        opened.append(path)
        return first(root, path)

    monkeypatch.setattr(secret_scan, "read_file", read_file)
    monkeypatch.setattr(secret_scan, "first_piece", first_piece)
    return opened


def test_files_that_were_clean_when_they_were_hashed_are_not_searched_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ImageSource(folder=folder)
    source = replace(source, expected=fingerprint(source, search=True))
    opened = reads(monkeypatch)
    assert b"".join(archive(source, context(source)))
    assert opened == []


@pytest.mark.parametrize("shape", sorted(tokens()))
def test_a_secret_that_was_found_when_it_was_hashed_is_never_packed(folder: Path, shape: str) -> None:
    (folder / "notes.txt").write_text(tokens()[shape])
    source = ImageSource(folder=folder)
    source = replace(source, expected=fingerprint(source, search=True))
    with pytest.raises(SecretError):
        archive(source, context(source))


def test_a_secret_that_is_written_after_the_search_is_in_no_archive(folder: Path) -> None:
    source = ImageSource(folder=folder)
    source = replace(source, expected=fingerprint(source, search=True))
    (folder / "pipeline.py").write_text(next(iter(tokens().values())))
    with pytest.raises(RefusedError, match=r"pipeline\.py changed during the build"):
        b"".join(archive(source, context(source)))
