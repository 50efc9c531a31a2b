"""`image --verify`: compares a published image with the source in the commit that its provenance names.

Reads the registry and git objects. The commit is written to a temporary folder, never to the user's tree, and
no code in it is run. Works without a network except for the registry.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath
from shutil import copyfile
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from providers.docker.builders.append import base_client, container_settings
from providers.docker.labels import REVISION, SOURCE_KEY
from providers.docker.origin import Revision
from providers.docker.provenance import Statement, statements
from providers.docker.registry.appended_files import appended_files
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.logins import push_login
from providers.docker.registry.manifests import PublishedImage
from providers.docker.registry.reference import parse_image
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import MAX_COUNTED, ImageSource, SourceKey, file_paths
from providers.docker.source.source_diff import differences
from providers.errors import ProviderError
from providers.leftovers import scratch_folder
from providers.regular_files import read_regular, real_path
from reconciler.core.diagnostics import CannotCheckError, UserError, error
from reconciler.core.events import Emit, Note
from reconciler.core.exit_codes import CONFLICT, DONE, UNCHECKED
from reconciler.engine.image_report import ImageReport
from reconciler.engine.problems import provider_diagnostic
from reconciler.pipeline.config import load
from reconciler.pipeline.image_source import counted_content, image_source
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.shared import SharedSettings
from reconciler.system.checkout import Checkout, check_out
from reconciler.system.git import GitError, MissingCommitError, Repository, repository_of

WORKSPACE_FILE = "reconciler.toml"

SettingsOf = Callable[[Path, Path], SharedSettings]
"""Returns the settings of the workspace around a folder, from the files below the second one."""


class Verification(StrEnum):
    """The outcome of a verification; `result` in `image --verify --json`."""

    VERIFIED = "verified"
    FOREIGN = "foreign"  # no source key, or that of the image that it was made from
    CONTRADICTED = "contradicted"  # the statements name another source than the image
    DIFFERENT = "different"  # the commit is another source
    ALTERED = "altered"  # the image does not have the files or settings of its source; `differing`
    NOTHING_PUBLISHED = "nothing-published"
    NO_STATEMENT = "no-statement"
    NO_COMMIT = "no-commit"  # the source was in no repository
    NO_REPOSITORY = "no-repository"  # the folder is in none
    UNKNOWN_COMMIT = "unknown-commit"  # not in this clone
    INCOMPLETE = "incomplete"  # this clone lacks files of the commit; `missing`
    UNREADABLE = "unreadable"  # the commit has no such pipeline; `problem`
    DIRTY = "dirty"  # the commit is another source, and files differed from it
    BASE_UNREADABLE = "base-unreadable"  # `problem`


_WRONG = frozenset(
    {Verification.FOREIGN, Verification.CONTRADICTED, Verification.DIFFERENT, Verification.ALTERED}
)


class ImageVerification(Struct, frozen=True):
    """A published image compared with the source in a commit.

    Attributes:
        result: the outcome.
        statement: the statement that was used; None without one.
        source_key: the source key of the image; "" without one.
        commit_key: the source key of the commit; "" if it is unknown.
        files_compared: whether its files and settings were compared; only `append` makes that possible.
        differing: differences between the image and its source, a line each.
        missing: what this clone lacks: paths of submodules and of files in Git LFS.
        problem: the reason why something could not be read.
    """

    result: Verification
    statement: Statement | None = None
    source_key: str = ""
    commit_key: str = ""
    files_compared: bool = False
    differing: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    problem: str = ""

    @property
    def exit_code(self) -> int:
        if self.result is Verification.VERIFIED:
            return DONE
        return CONFLICT if self.result in _WRONG else UNCHECKED


def verify_image(
    report: ImageReport, settings_of: SettingsOf, pool: ConnectionPool, emit: Emit
) -> ImageVerification:
    """Verify the published image of a report.

    Raises:
        CannotCheckError: the registry cannot be read.
        UserError: git cannot read the repository.
    """
    image = report.image
    if image is None:
        return ImageVerification(Verification.NOTHING_PUBLISHED)
    if SOURCE_KEY not in image.labels:
        return ImageVerification(Verification.FOREIGN)
    emit(Note(f"reading the provenance of {report.repository}"))
    try:
        with RegistryClient(report.repository, look_up=push_login, pool=pool) as registry:
            return _Verifier(report, image, registry, settings_of, emit).outcome()
    except ProviderError as problem:
        summary = f"the provenance of {report.repository} could not be read"
        raise CannotCheckError(provider_diagnostic(problem, summary)) from None
    except (GitError, OSError) as problem:
        folder = report.pipeline.folder
        raise UserError(error("the commit could not be read", f"{problem}.", file=folder)) from None


class _Verifier(Struct, frozen=True):
    """Verifies one published image. The methods raise ProviderError, GitError and OSError."""

    report: ImageReport
    image: PublishedImage
    registry: RegistryClient
    settings_of: SettingsOf
    emit: Emit

    def outcome(self) -> ImageVerification:
        key = self.image.labels[SOURCE_KEY]
        found = list(statements(self.registry, self.image.digest))
        fitting = [statement for statement in found if _fits(statement, self.image)]
        if fitting:
            return replace(self._of_statement(fitting[0]), statement=fitting[0], source_key=key)
        if found:
            return ImageVerification(Verification.CONTRADICTED, found[0], key)
        return ImageVerification(Verification.NO_STATEMENT, source_key=key)

    def _of_statement(self, statement: Statement) -> ImageVerification:
        """Compare the image with the source in the commit of a statement, in a temporary folder."""
        if statement.revision is None:
            return ImageVerification(Verification.NO_COMMIT)
        repository = repository_of(self.report.pipeline.folder)
        if repository is None:
            return ImageVerification(Verification.NO_REPOSITORY)
        if repository.commit(statement.revision.commit) is None:
            return ImageVerification(Verification.UNKNOWN_COMMIT)
        self.emit(Note(f"reading the commit {statement.revision.commit[:12]}"))
        with scratch_folder("verify") as folder:
            top = real_path(folder)
            try:
                pipeline, source, checkout = _source(
                    statement, repository, top, self.report, self.settings_of
                )
                key = _matching_key(source, checkout, self.image.labels[SOURCE_KEY], self.emit)
            except MissingCommitError as problem:
                submodule = problem.repository.top.relative_to(repository.top).as_posix()
                return ImageVerification(Verification.INCOMPLETE, missing=(submodule,))
            except (ProviderError, UserError) as problem:
                text = problem.reason if isinstance(problem, UserError) else problem.message
                return ImageVerification(Verification.UNREADABLE, problem=text)
            found = self._of_key(statement, statement.revision, pipeline, source, checkout, key)
            return replace(found, commit_key=key.key)

    def _of_key(
        self,
        statement: Statement,
        revision: Revision,
        pipeline: Pipeline,
        source: ImageSource,
        checkout: Checkout,
        key: SourceKey,
    ) -> ImageVerification:
        if key.is_same(statement.source_key):
            if not statement.base:
                return ImageVerification(Verification.VERIFIED)
            self.emit(Note(f"comparing the files in {self.report.repository}"))
            return self._of_files(statement.base, pipeline, source, key)
        absent = [path for path, content in checkout.pointers.items() if not content.is_file()]
        if absent or checkout.submodules:
            return ImageVerification(Verification.INCOMPLETE, missing=(*checkout.submodules, *absent))
        return ImageVerification(Verification.DIRTY if revision.is_dirty else Verification.DIFFERENT)

    def _of_files(
        self, base_digest: str, pipeline: Pipeline, source: ImageSource, key: SourceKey
    ) -> ImageVerification:
        """Compare the appended files and the settings with the source, and the layers below with the base."""
        if source.base is None:
            return ImageVerification(Verification.CONTRADICTED)
        name = f"{parse_image(source.base)[0]}@{base_digest}"
        try:
            with base_client(replace(source, base=name), self.registry.pool) as client:
                base = client.image(base_digest, source.platform)
        except ProviderError as problem:
            return ImageVerification(Verification.BASE_UNREADABLE, problem=problem.message)
        if base is None:
            return ImageVerification(Verification.BASE_UNREADABLE, problem=f"{name} does not exist any more")
        below, appended = self.image.layers[: len(base.layers)], self.image.layers[len(base.layers) :]
        if below != base.layers or not appended:
            line = f"the layers below the folder are not those of {name}"
            return ImageVerification(Verification.ALTERED, differing=(line,))
        counted = counted_content(pipeline)
        settings = container_settings(source, base)
        there = appended_files(
            map(self.registry.read_blob, appended),
            str(settings["WorkingDir"]),
            lambda path, size: (
                counted if path in source.keyed and size <= MAX_COUNTED else source.counted_part(path, size)
            ),
        )
        here = dict(key.files)
        if source.dockerfile not in file_paths(source):
            here.pop(source.dockerfile, None)  # it counts as source, and is not in the image
        lines = (*_changed_settings(settings, self.image), *differences(here, there, {}, {}))
        result = Verification.ALTERED if lines else Verification.VERIFIED
        return ImageVerification(result, files_compared=True, differing=lines)


def _changed_settings(expected: Mapping[str, Any], image: PublishedImage) -> Iterator[str]:
    """A line for each setting of the image that differs. Values may be secret."""
    settings = image.config.get("config") or {}
    for name in sorted({*expected, *settings} - {"Labels"}):
        if (settings.get(name) or None) != (expected.get(name) or None):
            yield f"{name} of the image changed"


def _fits(statement: Statement, image: PublishedImage) -> bool:
    """Whether a statement names this image, and the source in its labels."""
    revision = Revision.parse(image.labels.get(REVISION, ""))
    named = (statement.subject, statement.source_key, statement.revision)
    return named == (image.digest, image.labels[SOURCE_KEY], revision)


def _source(
    statement: Statement, repository: Repository, top: Path, report: ImageReport, settings_of: SettingsOf
) -> tuple[Pipeline, ImageSource, Checkout]:
    """Write the source that a statement names below `top`, and read its settings.

    The settings, which are written first, tell which files the source has.

    Raises:
        UserError: the commit has no such pipeline, or its files have errors.
        ProviderError: the build context has errors.
    """
    assert statement.revision is not None
    commit, path = statement.revision.commit, PurePosixPath(statement.path)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(error(f"{statement.path} is not a folder of the repository"))
    current = report.pipeline.loaded.shared
    outside = current.file is not None and not real_path(current.file).is_relative_to(repository.top)

    def read(below: Iterable[str], name: str) -> tuple[Pipeline, ImageSource, Checkout]:
        checkout = check_out(repository, commit, below, top / name)
        folder = checkout.folder / path
        shared = current if outside else settings_of(folder, checkout.folder)
        loaded = load(folder, environment=statement.environment or None, shared=shared)
        if loaded.config is None:
            raise UserError(*loaded.diagnostics)
        pipeline = Pipeline(folder, loaded.config.metadata.name, loaded.config, loaded, None, None)
        return pipeline, image_source(pipeline), checkout

    settings = [(path / "config.toml").as_posix()]
    settings += [(parent / WORKSPACE_FILE).as_posix() for parent in (path, *path.parents)]
    try:
        _, source, checkout = read(settings, "settings")
        context = source.real_folder
        if not context.is_relative_to(checkout.folder):
            raise UserError(error("the build context of the pipeline is outside of the repository"))
        below = context.relative_to(checkout.folder).as_posix()
    except UserError:  # config.toml may be a link
        return read([""], "all")
    return read(["" if below == "." else below, *settings], "files")


def _matching_key(source: ImageSource, checkout: Checkout, wanted: str, emit: Emit) -> SourceKey:
    """The key of a source. Files in Git LFS count with their content, or else as pointers.

    A checkout with Git LFS has the one, and one without it the other. Both are the commit.
    """
    pointers = {path: read_regular(checkout.folder / path) for path in checkout.pointers}
    for path, content in checkout.pointers.items():
        if content.is_file():
            copyfile(content, checkout.folder / path)
    key = fingerprint(source, announce=emit)
    if key.is_same(wanted) or not pointers:
        return key
    for path, pointer in pointers.items():
        (checkout.folder / path).write_bytes(pointer)
    other = fingerprint(source, announce=emit)
    return other if other.is_same(wanted) else key
