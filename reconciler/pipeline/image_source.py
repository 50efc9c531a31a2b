"""From a checked pipeline to what its image is made from, and what the image's labels say."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from providers.docker.labels import CREATED, REVISION, TITLE
from providers.docker.source.key import ImageSource, context, ignore_file, seen
from providers.errors import ProviderError, RefusedError
from providers.regular_files import read_regular
from reconciler.pipeline.config import load
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.toml.toml_edits import keyed, keyed_whole
from reconciler.system.git import Commit, GitError, Repository, is_changed, repository_of


def is_in_image(folder: Path, file: Path) -> bool:
    """Whether the image of the pipeline in this folder would hold a file that is written at this place.

    False where config.toml has errors, or .dockerignore cannot be read: those are reported elsewhere.
    """
    config = load(folder).config
    if config is None:
        return False
    options = config.reconciler.image
    context = Path(os.path.normpath(folder.absolute() / options.context))
    place = file.parent.resolve() / file.name
    if not place.is_relative_to(context.resolve()):
        return False
    recipe = _below(str(context), folder.absolute() / options.dockerfile)
    path = place.relative_to(context.resolve()).as_posix()
    try:
        return path in seen(ImageSource(folder=context, dockerfile=recipe), [path])
    except ProviderError:
        return False


def image_source(pipeline: Pipeline) -> ImageSource:
    """What the image is made from. It gets the config.toml that will be on disk once it is published."""
    options = pipeline.config.reconciler.image
    appended = options.builder in ("auto", "append")  # the others read the Dockerfile only
    folder = os.path.normpath(pipeline.folder.absolute() / options.context)
    config, document = _below(folder, pipeline.loaded.path), pipeline.loaded.document
    whole = keyed_whole(document)
    keyed_as = whole if options.config == "source" else keyed(document)
    others = _other_names(folder, pipeline.loaded.path)
    return ImageSource(
        folder=Path(folder),
        dockerfile=_below(folder, pipeline.folder / options.dockerfile),
        platform=options.platform,
        build_args=options.build_args,
        keyed=dict.fromkeys((config, *others), keyed_as),
        keyed_first={config: whole, **others},
        replaced=dict.fromkeys((config, *others), pipeline.loaded.text.encode()),
        target=options.target,
        secrets=options.secrets,
        cache_from=options.cache_from,
        cache_to=options.cache_to,
        base=options.base if appended else None,
        workdir=options.workdir if appended else None,
        entrypoint=options.entrypoint if appended else None,
        env=options.env if appended else {},
        accepted_secrets={known.path: known.until for known in options.accepted_secrets},
        pushed_to=pipeline.config.docker.image_name,
    )


def _below(folder: str, path: Path) -> str:
    """`path` relative to the build context, as its entries are named; with ".." when it is not inside."""
    return Path(os.path.relpath(path.absolute(), folder)).as_posix()


def _other_names(folder: str, config: Path) -> dict[str, bytes]:
    """What else in the build context is this very file, by a symbolic or a hard link, with its bytes.

    A new version is written into it as well, so it is no more source than config.toml is. The bytes are what
    the first recipe of the source key counts of it. Empty where nothing can be told: what cannot be read is
    refused when it is hashed.
    """
    names: set[str] = set()
    try:
        if config.is_symlink():
            names.add(_below(os.path.realpath(folder), config.resolve()))
        status = config.stat()
        if status.st_nlink > 1:
            found = (Path(parent, name) for parent, _, files in os.walk(folder) for name in files)
            names.update(_below(folder, path) for path in found if os.path.samestat(path.lstat(), status))
        names = {name for name in names if not name.startswith("../")} - {_below(folder, config)}
        return dict.fromkeys(sorted(names), read_regular(config)) if names else {}
    except OSError:
        return {}


def not_source(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Folders among these files that no image needs, each with why it makes the image other source.

    An ignore file that somebody wrote is taken at its word, so this is for a warning.
    """
    found = set(paths)
    if any(path.startswith(".git/") for path in found):
        yield ".git", "Every commit makes it other source"
    for path in sorted(found):
        folder, _, file = path.rpartition("/")
        if file == "pyvenv.cfg" and folder:
            yield folder, "Every machine and every installation makes a virtual environment other source"


LATEST = 253_402_300_799
"""The last second that a label can name (RFC 3339 has years of four digits), counted from 1970."""
DIRTY = "+dirty"


def image_labels(pipeline: Pipeline, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """OCI labels that say what the image is; the same on every machine with the same commit.

    https://github.com/opencontainers/image-spec/blob/main/annotations.md. `created` is the time of the
    commit, or SOURCE_DATE_EPOCH, or 1970: the present would give every build another digest.

    Raises:
        RefusedError: the time is none that a label can name, or git cannot read the repository.
    """
    commit, revision = _revision(pipeline)
    created = datetime.fromtimestamp(_created(variables.get("SOURCE_DATE_EPOCH", ""), commit), UTC)
    labels = {
        TITLE: pipeline.name,
        CREATED: created.isoformat().replace("+00:00", "Z"),
    }
    return labels | ({REVISION: revision} if revision else {})


def git_revision(pipeline: Pipeline) -> str:
    """The commit that the image's source is at, with "+dirty" when a file of it is not as committed.

    "" when there is no commit, or nothing can be said of it.
    """
    try:
        return _revision(pipeline)[1]
    except ProviderError:
        return ""


def bump_way(command: str) -> str:
    """The way out of a refusal by a new version."""
    return f"publish it as a new version:  {command}"


def accept_way(command: str) -> str:
    """The way out for a version that another tool published."""
    return f"accept it as made from these files:  {command}"


def git_commit(folder: Path) -> str:
    """The commit that a folder is at; "" when there is none, or git cannot tell."""
    try:
        repository = repository_of(folder)
        commit = repository.head() if repository else None
    except (GitError, OSError):
        return ""
    return commit.id if commit else ""


def _revision(pipeline: Pipeline) -> tuple[Commit | None, str]:
    """The commit, and how it is named. Raises RefusedError."""
    try:
        repository = repository_of(pipeline.folder)
        commit = repository.head() if repository else None
        if repository is None or commit is None:
            return None, ""
        return commit, commit.id + (DIRTY if _is_dirty(repository, commit, pipeline) else "")
    except GitError as problem:
        raise RefusedError(
            f"the commit of the source is not known: {problem}",
            hint=f"repair the repository; git -C {pipeline.folder} status shows the same problem",
        ) from None


def _is_dirty(repository: Repository, commit: Commit, pipeline: Pipeline) -> bool:
    """Whether the image is made from other files than the commit has.

    These count: every file of the build context, the Dockerfile, the ignore file and config.toml, as they
    are on disk. The version that a bump writes into config.toml after it is published does not: it is not
    on disk yet.
    """
    source = image_source(pipeline)
    folder, top = source.folder.resolve(), repository.top
    if not folder.is_relative_to(top):
        return True
    beside = [folder / name for name in (source.dockerfile, ignore_file(source)) if name]
    beside.append(pipeline.loaded.path.parent.resolve() / pipeline.loaded.path.name)
    there = {folder / entry.path for entry in context(source) if entry.kind != "folder"}
    there |= {path for path in beside if path.is_file()}
    below = [_from(top, path) for path in (folder, *beside) if path.is_relative_to(top)]
    committed = {top / path: file for path, file in repository.files(commit.id, below).items()}
    if not there <= committed.keys():
        return True
    gone = [_from(folder, path) for path in committed.keys() - there if path.is_relative_to(folder)]
    return bool(seen(source, gone)) or is_changed({path: committed[path] for path in there})


def _from(folder: Path, path: Path) -> str:
    below = path.relative_to(folder).as_posix()
    return "" if below == "." else below


def _created(epoch: str, commit: Commit | None) -> int:
    """Seconds since 1970. Raises RefusedError."""
    if epoch:
        if not re.fullmatch("[0-9]{1,12}", epoch) or int(epoch) > LATEST:
            raise RefusedError(
                f"SOURCE_DATE_EPOCH is {epoch[:40]!r}, which is no time that an image can have: "
                f"it takes whole seconds since 1970, from 0 to {LATEST}",
                hint="correct it, or unset it to use the time of the commit",
            )
        return int(epoch)
    if commit is None:
        return 0
    if commit.time is None or not 0 <= commit.time <= LATEST:
        raise RefusedError(
            f"the commit {commit.id[:12]} has a date that no image can have: second {commit.time} since 1970",
            hint="give the image another one:  export SOURCE_DATE_EPOCH=$(date +%s)",
        )
    return commit.time
