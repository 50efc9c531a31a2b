"""Find the pipelines whose files differ from a commit. Offline, from git objects; runs no code of a pipeline.

A pipeline differs if a file does that decides its offline result: one of the filtered build context, which
may be shared by several pipelines, config.toml, the Dockerfile, an ignore file, a Python file that its
classes may import, or reconciler.toml; if a class has to be run, any file of the repository, which it may
read. A pipeline that cannot be compared counts as different.
"""

import os
import shlex
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from providers.docker.source.key import Announce, Announcer, ImageSource, context, seen
from providers.errors import ProviderError
from providers.regular_files import real_path
from providers.text import shown_names
from reconciler.core.diagnostics import UserError, error
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.classes.evaluate import must_run
from reconciler.pipeline.config import LoadedConfig, load
from reconciler.pipeline.shared import SharedSettings
from reconciler.system.git import (
    CommittedFile,
    GitError,
    MissingCommitError,
    Repository,
    changed_files,
    repository_of,
)
from reconciler.workspace import reader
from reconciler.workspace.discovery import is_searched
from reconciler.workspace.missing_commits import FETCHED, way_to_commit, way_to_default_branch
from reconciler.workspace.schema import FILE_NAME as WORKSPACE_FILE
from reconciler.workspace.schema import Workspace

DEFAULT: Final = ""
"""The reference for the merge base of HEAD and the default branch."""
_SHOWN = 3
_MOST_LINKS = 40
_BRANCHES = (
    ("refs/remotes/origin/HEAD",),
    *(
        tuple(f"{place}/{name}" for name in ("main", "master"))
        for place in ("refs/remotes/origin", "refs/heads")
    ),
)
"""Where the default branch may be. The first place with exactly one of its branches counts."""


class Base(Struct, frozen=True):
    """The commit that files are compared with.

    Attributes:
        label: its name for messages.
        entries: its files, by path from the top of the repository.
        paths: the same paths, sorted.
    """

    repository: Repository
    commit: str
    label: str
    entries: dict[str, CommittedFile]
    paths: Sequence[str]

    def below(self, folder: Path) -> list[str]:
        """The paths below a folder of the repository, relative to it."""
        start = _relative(folder, self.repository.top)
        start = f"{start}/" if start else ""
        first = bisect_left(self.paths, start)
        found: list[str] = []
        for index in range(first, len(self.paths)):
            if not self.paths[index].startswith(start):
                break
            found.append(self.paths[index][len(start) :])
        return found

    def entry(self, path: Path) -> CommittedFile | None:
        """The committed file at this place, which has no links above it."""
        if not path.is_relative_to(self.repository.top):
            return None
        return self.entries.get(_relative(path, self.repository.top))


def base_of(reference: str, here: Path) -> Base:
    """The commit with this name in the repository around a folder; with `DEFAULT` the merge base.

    Raises:
        UserError: there is no repository or commit, or the clone is too shallow to know it.
    """
    repository = repository_of(here)
    if repository is None:
        detail = "--changed compares with a commit. --stale needs no git: it compares with the state."
        raise UserError(error(f"{here} is not in a git repository", detail))
    try:
        commit, label = _merge_base(repository) if reference == DEFAULT else _commit(repository, reference)
        entries = repository.entries(commit)
    except MissingCommitError as problem:
        top = str(problem.repository.top)
        advice = f"Run:  git -C {shlex.quote(top)} fetch origin {shlex.quote(problem.commit)}"
        raise UserError(error(str(problem), advice)) from None
    except GitError as problem:
        raise UserError(error(str(problem), "--changed reads the trees of a commit from git.")) from None
    except FileNotFoundError:
        raise UserError(error("git is not installed", "--changed needs it; --stale does not.")) from None
    return Base(repository, commit, label, entries, sorted(entries))


def _commit(repository: Repository, reference: str) -> tuple[str, str]:
    """The commit with this name, else with that of a branch of origin, and its label. Raises UserError."""
    for name in (reference, f"{FETCHED}{reference}"):
        commit = repository.commit(name)
        if commit is not None:
            short = name.removeprefix("refs/remotes/")
            return commit, commit[:12] if commit.startswith(name) else f"{short} ({commit[:12]})"
    way = way_to_commit(repository, reference)
    raise UserError(error(f"{repository.top} has no commit {reference}", way))


def _merge_base(repository: Repository) -> tuple[str, str]:
    head = repository.commit("HEAD")
    if head is None:
        raise UserError(error(f"{repository.top} has no commit yet", "Commit, then compare with --changed."))
    name = _default_branch(repository)
    base = repository.merge_base(head, name)
    short = name.removeprefix("refs/remotes/").removeprefix("refs/heads/")
    if base is not None:
        return base, f"the merge base with {short} ({base[:12]})"
    if repository.is_shallow():
        raise UserError(
            error(
                f"the clone is too shallow to find the merge base with {short}",
                "Run:  git fetch --unshallow\nIn GitHub Actions, set fetch-depth: 0 for actions/checkout.",
            )
        )
    raise UserError(error(f"HEAD and {short} have no common commit", "Name a commit:  --changed=REF"))


def _default_branch(repository: Repository) -> str:
    """The full name of the default branch. Raises UserError."""
    for names in _BRANCHES:
        found = [name for name in names if repository.commit(name) is not None]
        if len(found) == 1:
            return found[0]
        if found:
            break
    there_is = "It has both main and master." if found else "It has neither origin/HEAD, main nor master."
    raise UserError(
        error(
            f"the default branch of {repository.top} is unknown",
            f"{there_is} {way_to_default_branch(repository)}",
        )
    )


def changed_pipelines(
    folders: Sequence[Path], base: Base, here: Path, workspace: Workspace, announce: Announce
) -> dict[Path, str]:
    """The pipelines that differ from a commit, each with the reason.

    Args:
        here: the current folder, around which reconciler.toml was found.
        announce: called every `SLOW` seconds while the comparison takes longer than that.

    Raises:
        UserError: git cannot read the repository.
    """

    @cache
    def repository() -> _Comparison:
        """All files of the repository, which few pipelines need."""
        found = _Comparison()
        _compare_below(base.repository.top, base, found, _can_be_committed)
        return found

    try:
        if (shared_reason := _workspace_change(base, here, workspace)) is not None:
            return dict.fromkeys(folders, shared_reason)
        shared = workspace.shared()
        top = base.repository.top
        reading = Announcer(ImageSource(folder=top), announce)
        compared = {folder: _compare(folder, base, shared, reading, repository) for folder in folders}
        tracked = {path: file for one in compared.values() for path, file in one.tracked.items()}
        differing = set(changed_files(tracked, lambda path, size: reading(_relative(path, top), size)))
    except GitError as problem:
        raise UserError(error(str(problem), "--changed reads the trees of a commit from git.")) from None
    reasons: dict[Path, str] = {}
    for folder, one in compared.items():
        paths = sorted(
            {_relative(path, base.repository.top) for path in one.tracked.keys() & differing} | one.differing
        )
        if one.reason or paths:
            differ = "differs" if len(paths) == 1 else "differ"
            reasons[folder] = one.reason or f"{shown_names(paths, _SHOWN)} {differ} from {base.label}"
    return reasons


@dataclass(slots=True)
class _Comparison:
    """The files of one pipeline.

    Attributes:
        tracked: files that are on disk and in the commit.
        differing: files that are in only one of them, as paths from the top of the repository.
        reason: why the pipeline cannot be compared; "" if it can.
    """

    tracked: dict[Path, CommittedFile] = field(default_factory=dict)
    differing: set[str] = field(default_factory=set)
    reason: str = ""

    def add_all(self, other: "_Comparison") -> None:
        """Compare the files of another comparison, too."""
        self.tracked |= other.tracked
        self.differing |= other.differing
        self.reason = self.reason or other.reason

    def add(self, place: Path, base: Base) -> None:
        """Compare the file at this place, and every link on the way to it."""
        for path in _with_links(place):
            if not path.is_relative_to(base.repository.top):
                if path.is_symlink():
                    continue  # a link of this machine
                self.reason = f"{path} is outside of the git repository"
                return
            entry, exists = base.entry(path), os.path.lexists(path)
            if entry is None and path.is_dir() and not path.is_symlink():
                continue  # behind a link; git has no folders
            if entry is not None and exists:
                self.tracked[path] = entry
            elif entry is not None or exists:
                self.differing.add(_relative(path, base.repository.top))


def _compare(
    folder: Path,
    base: Base,
    shared: SharedSettings,
    reading: Announcer,
    repository: Callable[[], _Comparison],
) -> _Comparison:
    found = _Comparison()
    found.add(folder.absolute() / FILE_NAME, base)
    loaded = load(folder, shared=shared)
    views = [loaded, *(load(folder, environment=name, shared=shared) for name in loaded.overlays)]
    if any(view.config is None for view in views):
        found.reason = f"its {FILE_NAME} has errors"
        return found
    sources = {_source(folder, view) for view in views}
    for source_folder, dockerfile in sources:
        _compare_context(ImageSource(folder=source_folder, dockerfile=dockerfile), base, found, reading)
    class_files = {file for view in views for file in _class_files(folder, view)}
    for file in class_files:
        found.add(file, base)
    for root in {file.parent for file in class_files} | ({folder.absolute()} if class_files else set()):
        _compare_below(root, base, found, _is_module)
    declaring = {(view.config.is_training, view.config.execution): view for view in views if view.config}
    if class_files and any(map(must_run, declaring.values())):
        found.add_all(repository())
    return found


def _source(folder: Path, loaded: LoadedConfig) -> tuple[Path, str]:
    """The build context, and the Dockerfile relative to it."""
    assert loaded.config is not None
    options = loaded.config.reconciler.image
    place = os.path.normpath(folder.absolute() / options.context)
    dockerfile = os.path.relpath(folder.absolute() / options.dockerfile, place)
    return Path(place), Path(dockerfile).as_posix()


def _compare_context(source: ImageSource, base: Base, found: _Comparison, reading: Announcer) -> None:
    top = base.repository.top
    folder = source.real_folder
    if not folder.is_relative_to(top):
        found.reason = f"its build context {source.folder} is outside of the git repository"
        return
    for name in (source.dockerfile, f"{source.dockerfile}.dockerignore", ".dockerignore"):
        found.add(source.folder / name, base)
    try:
        entries = context(source, reading)
        expected, expected_folders = _expected(source, base.below(folder), base)
    except ProviderError as problem:
        found.reason = f"its build context cannot be read: {problem}"
        return
    on_disk = {entry.path for entry in entries if entry.kind != "folder"}
    folders = {entry.path for entry in entries if entry.kind == "folder"}
    prefix = _relative(folder, top)
    prefix = f"{prefix}/" if prefix else ""
    found.differing |= {f"{prefix}{path}" for path in on_disk ^ expected}
    found.differing |= {f"{prefix}{path}/" for path in folders ^ expected_folders}
    found.tracked |= {folder / path: base.entries[f"{prefix}{path}"] for path in on_disk & expected}


def _expected(source: ImageSource, paths: Sequence[str], base: Base) -> tuple[set[str], set[str]]:
    """The files and the empty folders that a build from the commit would get, by the present ignore file."""
    prefix = _relative(source.real_folder, base.repository.top)
    modules = {path for path in paths if base.entries[f"{prefix}/{path}".lstrip("/")].is_submodule}
    files = {*paths} - modules
    folders = _parents(paths) | modules
    kept = seen(source, files | folders)
    return files & kept, (folders & kept) - _parents(kept)


def _parents(paths: Iterable[str]) -> set[str]:
    """All folders above these paths, without the top."""
    found: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found


def _class_files(folder: Path, loaded: LoadedConfig) -> Iterator[Path]:
    """The files of the classes of a pipeline."""
    assert loaded.config is not None
    execution = loaded.config.execution
    for reference in (execution.inputs_class, execution.parameters_class):
        if reference is not None:
            yield Path(os.path.normpath(folder.absolute() / reference.partition(":")[0]))


def _is_module(name: str) -> bool:
    return name.endswith(".py")


def _can_be_committed(name: str) -> bool:
    return name != ".git"  # the link of a submodule or a worktree to its objects


def _compare_below(root: Path, base: Base, found: _Comparison, counts: Callable[[str], bool]) -> None:
    """Compare the files below a folder whose names count, also those behind links.

    Leaves out hidden folders, virtual environments, and folders outside of the repository: an image has none
    of their files.
    """
    pending, visited = [real_path(root)], set[Path]()
    while pending:
        folder = pending.pop()
        if folder in visited or not folder.is_relative_to(base.repository.top):
            continue
        visited.add(folder)
        for path in base.below(folder):
            if counts(path) and not os.path.lexists(folder / path):
                found.add(folder / path, base)
        for parent, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if is_searched(Path(parent, name))]
            for link in (Path(parent, name) for name in folders if Path(parent, name).is_symlink()):
                found.add(link, base)
                pending.append(real_path(link))
            for name in filter(counts, files):
                found.add(Path(parent, name), base)


def _workspace_change(base: Base, here: Path, workspace: Workspace) -> str | None:
    """Why every pipeline may differ: the settings that reconciler.toml gives them; None if they are equal."""
    top = base.repository.top
    if workspace.file is not None and not real_path(workspace.file.parent).is_relative_to(top):
        return f"{workspace.file} is outside of the git repository"
    before = SharedSettings()
    folder = real_path(here)
    for parent in (folder, *folder.parents):
        entry = base.entry(parent / WORKSPACE_FILE)
        if entry is not None:
            text = base.repository.content(entry).decode("utf-8", "replace")
            earlier, _ = reader.read(text, parent / WORKSPACE_FILE)
            if earlier is None or entry.mode == "120000":
                return f"{WORKSPACE_FILE} differs from {base.label}"
            before = earlier.shared()
            break
    now = workspace.shared() if workspace.file is not None else SharedSettings()
    if _settings(before) == _settings(now):
        return None
    return f"the settings of {WORKSPACE_FILE} differ from {base.label}"


def _settings(shared: SharedSettings) -> str:
    """The settings as text, in which 1 and true differ."""
    return repr(replace(shared, file=None, root=None, name=None, lines={}))


def _with_links(place: Path) -> Iterator[Path]:
    """Every link on the way to a file, and the file itself."""
    pending, at = list(reversed(place.parts[1:])), Path(place.anchor)
    links = 0
    while pending:
        name = pending.pop()
        if name == "..":
            at = at.parent
            continue
        path = at / name
        if path.is_symlink() and links < _MOST_LINKS:
            links += 1
            yield path
            target = path.readlink()
            if target.is_absolute():
                at = Path(target.anchor)
                pending += reversed(target.parts[1:])
            else:
                pending += reversed(target.parts)
            continue
        at = path
    yield at


def _relative(path: Path, top: Path) -> str:
    relative = path.relative_to(top).as_posix()
    return "" if relative == "." else relative
