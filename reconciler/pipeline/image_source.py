"""From a validated pipeline to the source of its image and the image's labels."""

import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from providers.docker.labels import CONTRACT, CREATED, REVISION, TITLE
from providers.docker.origin import Origin, Revision
from providers.docker.source.key import Announce, Announcer, ImageSource, context, ignore_file, seen
from providers.errors import ProviderError, RefusedError
from providers.hiding import shortened
from providers.patterns import pattern
from providers.regular_files import read_regular, real_path
from reconciler.core.contract import contract_text
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.config import load
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.shared import SharedSettings
from reconciler.pipeline.toml.keyed import keyed_content, keyed_document, keyed_tables
from reconciler.system.git import Commit, GitError, Repository, is_changed, repository_of


def is_in_image(folder: Path, file: Path, shared: SharedSettings) -> bool:
    """Whether a file written at this place would be in the image of the pipeline in `folder`.

    False if config.toml has errors or .dockerignore cannot be read: those are reported elsewhere.
    """
    config = load(folder, shared=shared).config
    if config is None:
        return False
    options = config.reconciler.image
    context = Path(os.path.normpath(folder.absolute() / options.context))
    place = real_path(file.parent) / file.name
    if not place.is_relative_to(real_path(context)):
        return False
    dockerfile = _context_path(str(context), folder.absolute() / options.dockerfile)
    path = place.relative_to(real_path(context)).as_posix()
    try:
        return path in seen(ImageSource(folder=context, dockerfile=dockerfile), [path])
    except ProviderError:
        return False


def image_source(pipeline: Pipeline) -> ImageSource:
    """The source of the image. It contains the config.toml that is on disk once the image is published."""
    options = pipeline.config.reconciler.image
    appended = options.builder in ("auto", "append")  # the other builders read the Dockerfile only
    folder = os.path.normpath(pipeline.folder.absolute() / options.context)
    config, document = _context_path(folder, pipeline.loaded.path), pipeline.loaded.document
    full_key = keyed_document(document)
    key = full_key if options.config == "source" else keyed_tables(document)
    counted = counted_content(pipeline)
    others = _other_names(folder, pipeline.loaded.path, config)
    return ImageSource(
        folder=Path(folder),
        dockerfile=_context_path(folder, pipeline.folder / options.dockerfile),
        platform=options.platform,
        build_args=options.build_args,
        keyed=dict.fromkeys((config, *others), key),
        keyed_first={config: full_key, **others},
        counted={FILE_NAME: counted},
        replaced=dict.fromkeys((config, *others), pipeline.loaded.text.encode()),
        target=options.target,
        secrets=options.secrets,
        cache_from=options.cache_from,
        cache_to=options.cache_to,
        base=options.base if appended else None,
        workdir=options.workdir if appended else None,
        entrypoint=options.entrypoint if appended else None,
        env=options.env if appended else {},
        provenance=options.provenance,
        sbom=options.sbom,
        sbom_generator=options.sbom_generator,
        accepted_secrets={accepted.path: accepted.until for accepted in options.accepted_secrets},
        pushed_to=pipeline.config.docker.image_name,
    )


def counted_content(pipeline: Pipeline) -> Callable[[bytes], bytes]:
    """Returns what returns the part of a config.toml that counts as source of this pipeline.

    That of another pipeline in the build context counts as its own one does: what `apply` writes there, or
    what describes the deployment of that pipeline only, is no other source.
    """
    reads_all = pipeline.config.reconciler.image.config == "source"
    return partial(keyed_content, keyed_document if reads_all else keyed_tables)


def _context_path(folder: str, path: Path) -> str:
    """`path` relative to the build context, like the names of its entries; with ".." if it is outside."""
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _other_names(folder: str, config: Path, own_name: str) -> dict[str, bytes]:
    """Other names of config.toml in the build context (symbolic or hard links), with its bytes.

    A new version changes the file under these names too, so they count as source no more than config.toml
    does. The first format of the source key includes the bytes. Empty if a file cannot be read: hashing the
    source reports that.
    """
    names: set[str] = set()
    try:
        if config.is_symlink():
            names.add(_context_path(str(real_path(Path(folder))), real_path(config)))
        status = config.stat()
        if status.st_nlink > 1:
            paths = (Path(parent, name) for parent, _, files in os.walk(folder) for name in files)
            names.update(
                _context_path(folder, path) for path in paths if os.path.samestat(path.lstat(), status)
            )
        names = {name for name in names if not name.startswith("../")} - {own_name}
        return dict.fromkeys(sorted(names), read_regular(config)) if names else {}
    except OSError:
        return {}


def unneeded_folders(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Folders among these files that no image needs, each with the reason why its source keeps changing.

    Only for a warning: your ignore file decides.
    """
    files = set(paths)
    if any(path.startswith(".git/") for path in files):
        yield ".git", "Every commit changes the source"
    for path in sorted(files):
        folder, _, file = path.rpartition("/")
        if file == "pyvenv.cfg" and folder:
            yield folder, "A virtual environment differs on every machine and after every installation"


LATEST = 253_402_300_799
"""The last second that a label can hold, counted from 1970: years have four digits in RFC 3339."""


def image_labels(
    pipeline: Pipeline, announce: Announce, variables: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The OCI labels of the image; the same on every machine with the same commit.

    https://github.com/opencontainers/image-spec/blob/main/annotations.md. `created` is SOURCE_DATE_EPOCH,
    else the time of the commit, else 1970: the current time would give every build another digest. The
    contract follows from the source, so it never asks for a build of its own.

    Args:
        announce: called every `SLOW` seconds while the comparison with the commit takes longer than that.

    Raises:
        RefusedError: a label cannot hold the time, or git cannot read the repository.
    """
    commit, revision = _revision(pipeline, announce)
    created = datetime.fromtimestamp(_created(variables.get("SOURCE_DATE_EPOCH", ""), commit), UTC)
    contract = contract_text(pipeline.contract) if pipeline.contract is not None else None
    return {
        TITLE: pipeline.name,
        CREATED: created.isoformat().replace("+00:00", "Z"),
        # An empty label is none. Without it, the image would have the one of its base image.
        REVISION: revision,
        CONTRACT: contract or "",
    }


def check_time(pipeline: Pipeline, variables: Mapping[str, str] = os.environ) -> None:
    """Check the time that `image_labels` gives the image, without reading its files.

    A repository that git cannot read is no error here: only a build needs it.

    Raises:
        RefusedError: a label cannot hold the time.
    """
    epoch = variables.get("SOURCE_DATE_EPOCH", "")
    try:
        commit = None if epoch else _head(pipeline)[1]
    except RefusedError:
        return
    _created(epoch, commit)


def git_revision(pipeline: Pipeline, announce: Announce) -> str:
    """The commit of the image's source, with "+dirty" if a file of the source differs from it.

    "" if there is no commit, or git cannot read it.

    Args:
        announce: as for `image_labels`.
    """
    try:
        return _revision(pipeline, announce)[1]
    except ProviderError:
        return ""


def origin_of(pipeline: Pipeline, program: str) -> Origin:
    """The origin that the provenance of the image names. Paths and remotes of this machine are left out.

    Args:
        program: version of reconciler.
    """
    environment, remote, path = pipeline.loaded.environment or "", "", ""
    try:
        repository = repository_of(pipeline.folder)
        if repository is not None:
            path = pipeline.real_folder.relative_to(repository.top).as_posix()
            remote = repository.remote()
    except (GitError, OSError):
        pass  # the statement is made without them
    return Origin(program, remote if _HOSTED.match(remote) else "", path, environment)


_HOSTED = pattern(r"[\w-]+(\.[\w-]+)+(:\d+)?/.")


def git_commit(folder: Path) -> str:
    """The commit of a folder; "" if there is none, or git cannot read it."""
    try:
        repository = repository_of(folder)
        commit = repository.head() if repository else None
    except (GitError, OSError):
        return ""
    return commit.id if commit else ""


def _revision(pipeline: Pipeline, announce: Announce) -> tuple[Commit | None, str]:
    """The commit, and its name with "+dirty" if needed. Raises RefusedError."""
    repository, commit = _head(pipeline)
    if repository is None or commit is None:
        return None, ""
    try:
        return commit, str(Revision(commit.id, _is_dirty(repository, commit, pipeline, announce)))
    except GitError as problem:
        raise _unreadable(pipeline, problem) from None


def _head(pipeline: Pipeline) -> tuple[Repository | None, Commit | None]:
    """The repository and its commit, where there are any. Raises RefusedError."""
    try:
        repository = repository_of(pipeline.folder)
        return repository, repository.head() if repository else None
    except GitError as problem:
        raise _unreadable(pipeline, problem) from None


def _unreadable(pipeline: Pipeline, problem: GitError) -> RefusedError:
    return RefusedError(
        f"the commit of the source cannot be read: {problem}",
        hint=f"repair the repository; git -C {shlex.quote(str(pipeline.folder))} status "
        "shows the same problem",
    )


def _is_dirty(repository: Repository, commit: Commit, pipeline: Pipeline, announce: Announce) -> bool:
    """Whether the files of the image differ from the commit.

    Compares every file of the build context, the Dockerfile, the ignore file and config.toml, as they are on
    disk. The version that a bump writes into config.toml after publishing does not count: it is not on disk
    yet.
    """
    source = image_source(pipeline)
    folder, top = source.real_folder, repository.top
    reading = Announcer(source, announce)
    if not folder.is_relative_to(top):
        return True
    settings = [folder / name for name in (source.dockerfile, ignore_file(source)) if name]
    settings.append(real_path(pipeline.loaded.path.parent) / pipeline.loaded.path.name)
    entries = context(source, reading)
    empty = [folder / entry.path for entry in entries if entry.kind == "folder"]
    on_disk = {folder / entry.path for entry in entries if entry.kind != "folder"}
    on_disk |= {path for path in settings if path.is_file()}
    below = [_relative_path(top, path) for path in (folder, *settings) if path.is_relative_to(top)]
    listed = {top / path: file for path, file in repository.entries(commit.id, below).items()}
    committed = {path: file for path, file in listed.items() if not file.is_submodule}
    if not on_disk <= committed.keys():
        return True
    # A checkout has no empty folder but that of a submodule, and those with nothing but ignored files.
    if not all(any(path.is_relative_to(below) for path in listed) for below in empty):
        return True
    deleted = [
        _relative_path(folder, path) for path in committed.keys() - on_disk if path.is_relative_to(folder)
    ]
    return bool(seen(source, deleted)) or is_changed(
        {path: committed[path] for path in on_disk},
        lambda path, size: reading(os.path.relpath(path, folder), size),
    )


def _relative_path(folder: Path, path: Path) -> str:
    relative = path.relative_to(folder).as_posix()
    return "" if relative == "." else relative


def _created(epoch: str, commit: Commit | None) -> int:
    """The time for the label `created`, in seconds since 1970. Raises RefusedError."""
    if epoch:
        if not re.fullmatch("[0-9]{1,12}", epoch) or int(epoch) > LATEST:
            raise RefusedError(
                f"SOURCE_DATE_EPOCH is {shortened(epoch, 40)!r}, which is not a valid time for an image: "
                f"write whole seconds since 1970, from 0 to {LATEST}",
                hint="correct it, or unset it to use the time of the commit",
            )
        return int(epoch)
    if commit is None:
        return 0
    if commit.time is None or not 0 <= commit.time <= LATEST:
        raise RefusedError(
            f"the commit {commit.id[:12]} has a date that no image can have: {commit.time} s since 1970",
            hint="set another date for the image:  export SOURCE_DATE_EPOCH=$(date +%s)",
        )
    return commit.time
