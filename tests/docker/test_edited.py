"""A folder that is edited during a build: an image has the source of its label, or is not published."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from providers.docker.builders.select import BuilderName, select
from providers.docker.image import ImageKind
from providers.docker.labels import SOURCE_KEY
from providers.docker.registry.client import RegistryClient
from providers.docker.source.archive import archive
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource, context, dockerfile
from providers.docker.verdicts import ImageWay
from providers.errors import RefusedError
from providers.protocol import Progress, Report, silent
from providers.reasons import WayOut
from tests.services import Registry

BUILDERS = get_args(BuilderName)[1:]
EDITS: dict[str, Callable[[Path], object]] = {
    "pipeline.py": lambda folder: (folder / "pipeline.py").write_text("print('other, and longer')\n"),
    "utils/steps.py": lambda folder: (folder / "utils" / "steps.py").write_text("STEPS = 4\n"),  # of one size
    "run.sh": lambda folder: (folder / "run.sh").chmod(0o755),
    "gone.py": lambda folder: (folder / "gone.py").unlink(),
    "new.py": lambda folder: (folder / "new.py").write_text(""),
    "é.txt": lambda folder: (folder / "é.txt").write_text("other"),
    "link": lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("elsewhere")),
    "empty": lambda folder: (folder / "empty").rmdir(),
    "pipeline.py/x": lambda folder: (
        (folder / "pipeline.py").unlink(),
        (folder / "pipeline.py").mkdir(),
        (folder / "pipeline.py" / "x").write_text(""),
    ),
    "Dockerfile": lambda folder: (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /other\n"),
    "config.toml": lambda folder: (folder / "config.toml").chmod(0o755),
}


@pytest.fixture
def folder(folder: Path) -> Path:
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "gone.py").write_text("")
    (folder / "é.txt").write_text("")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("nowhere")
    return folder


def source_of(folder: Path, **settings: object) -> ImageSource:
    config = {"config.toml": b'[metadata]\nversion = "1.0.0"\n'}
    return ImageSource(folder=folder, keyed={"config.toml": b"[metadata]\n"}, replaced=config, **settings)  # type: ignore[arg-type]


def packed(source: ImageSource) -> bytes:
    return b"".join(archive(source, context(source)))


@pytest.mark.parametrize("ignored", ["", "Dockerfile\n", "Dockerfile\n.dockerignore\n"])
@pytest.mark.parametrize("edit", EDITS)
def test_every_difference_between_hashed_and_packed_files_is_named(
    folder: Path, edit: str, ignored: str
) -> None:
    (folder / ".dockerignore").write_text(ignored)
    source = source_of(folder)
    source = replace(source, expected=fingerprint(source))
    assert packed(source)
    EDITS[edit](folder)
    with pytest.raises(RefusedError, match=r"changed during the build|cannot be read") as caught:
        packed(source)
    assert caught.value.message.startswith(edit.removesuffix("/x"))


@pytest.fixture(params=BUILDERS)
def name(request: pytest.FixtureRequest) -> BuilderName:
    """Each builder, set up on this machine."""
    needed = {
        "buildx": ["engine", "use_buildx"],
        "buildkit": ["engine", "use_old_docker"],
        "engine": ["engine"],
    }
    for fixture in needed.get(request.param, []):
        request.getfixturevalue(fixture)
    chosen: BuilderName = request.param
    return chosen


def kind(
    name: BuilderName, source: ImageSource, repository: str, meanwhile: Callable[[], object] = lambda: None
) -> ImageKind:
    """An image whose folder changes after its last hash and before the build."""

    def labels() -> dict[str, str]:
        meanwhile()
        return {}

    return ImageKind(
        repository,
        source,
        fingerprint(source),
        lambda: select(name, source),
        labels,
        new_version=WayOut(ImageWay.NEW_VERSION),
    )


def publish(kind: ImageKind, source: ImageSource, repository: str, report: Report = silent) -> None:
    key = fingerprint(source).key
    fields = {"version": "1.0.0", "channel": "latest", "source_key": key, "platform": source.platform}
    kind.create(repository.split("/"), fields, parent=None, report=report)


@pytest.mark.docker
@pytest.mark.registry
@pytest.mark.parametrize("edit", ["pipeline.py", "Dockerfile"])
@pytest.mark.parametrize("ignored", ["", "Dockerfile\n"])
def test_no_builder_publishes_files_edited_after_hashing(
    name: BuilderName,
    registry: Registry,
    push_base: Callable[..., str],
    folder: Path,
    edit: str,
    ignored: str,
) -> None:
    (folder / ".dockerignore").write_text(ignored)
    repository = f"{registry.address}/edited/{folder.name}/{name}"
    source = source_of(folder, base=push_base(registry, "edited/base"))
    image = kind(name, source, repository, lambda: EDITS[edit](folder))
    with pytest.raises(RefusedError, match=f"{edit} changed during the build"):
        publish(image, source, repository)
    with RegistryClient(repository) as client:
        assert client.digest("1.0.0") is client.digest("latest") is None


@pytest.mark.docker
@pytest.mark.registry
def test_edits_during_the_build_are_not_in_the_image(
    name: BuilderName, registry: Registry, push_base: Callable[..., str], folder: Path
) -> None:
    """The image is built from the packed files, so the user can edit during the build."""
    repository = f"{registry.address}/edited/{folder.name}/while-{name}"
    source = source_of(folder, base=push_base(registry, "edited/base"))
    key = fingerprint(source).key

    def report(step: Progress) -> None:
        packing = step.item in ("context", "layer") and step.unit == "bytes" and step.stage == "build"
        if not packing:
            (folder / "pipeline.py").write_text("print('of the next version')\n")

    publish(kind(name, source, repository), source, repository, report)

    assert fingerprint(source).key != key
    with RegistryClient(repository) as client:
        image = client.image("latest")
        assert image is not None
        layer = b"".join(client.read_blob(image.layers[-1]))
    assert image.labels[SOURCE_KEY] == key
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        [member] = [one for one in tar.getmembers() if one.name.endswith("pipeline.py")]
        content = tar.extractfile(member)
        assert content is not None
        assert content.read() == b"print('hello')\n"


def test_a_dockerfile_that_is_a_link_is_compared_by_its_target(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared = tmp_path_factory.mktemp("shared") / "Dockerfile"
    shutil.move(folder / "Dockerfile", shared)
    (folder / "Dockerfile").symlink_to(shared)
    source = source_of(folder)
    source = replace(source, expected=fingerprint(source))
    assert dockerfile(source) == shared.read_bytes()
    shared.write_text("FROM scratch\n")
    with pytest.raises(RefusedError, match="Dockerfile changed during the build"):
        dockerfile(source)
