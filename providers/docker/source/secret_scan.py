"""Searches the source of an image for secrets: its settings, its Dockerfile and every file of the context.

A user who can pull an image can read all of its layers, including files that a later layer deletes.
`secret_rules` defines secrets. A secret is never shown, only its kind and its place.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import chain, islice, starmap

from msgspec import Struct

from providers.docker.source.dockerfile_lines import Heredoc, split, variables
from providers.docker.source.key import (
    Announce,
    Announcer,
    Entry,
    ImageSource,
    announce_nothing,
    dockerfile,
    file_paths,
)
from providers.docker.source.reading import CHUNK, first_piece, read_file
from providers.errors import RefusedError
from providers.secret_rules import (
    LARGEST,
    Sieve,
    find,
    kind_by_content,
    kind_by_name,
    kind_of_value,
    needs_content,
)

_PER_FILE = 10  # reported findings per file
_KEPT = 1 << 16  # bytes of a Dockerfile above which its secrets are not kept


class Secret(Struct, frozen=True):
    """A secret in an image or in its source.

    Attributes:
        path: path of the file, relative to the build context.
        kind: the kind of secret, for messages: "a GitHub token".
        line: counted from 1; None if the file has no lines, or is secret as a whole.
        setting: the setting with the secret: "build_args.NAME", "env.NAME", "entrypoint"; "" if it is not in
            a setting.
    """

    path: str
    kind: str
    line: int | None = None
    setting: str = ""


class SecretError(RefusedError):
    """The image would contain secrets.

    Args:
        secrets: at least one.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self.secrets = tuple(secrets)
        first, more = self.secrets[0], len(self.secrets) - 1
        place = f"{first.path}:{first.line}" if first.line else first.path
        super().__init__(
            f"the image would hold {first.kind} ({place}){f' and {more} more secrets' if more else ''}",
            hint="name the file in .dockerignore; a build gets secrets with `secrets` in [reconciler.image]",
        )


def refuse_secrets(
    source: ImageSource, entries: Iterable[Entry], announce: Announce = announce_nothing
) -> None:
    """Refuse a source whose image would contain a secret that is not accepted today.

    Files that were found to be clean when the expected key was computed are not read again.

    Args:
        announce: called every `SLOW` seconds while it takes longer than that.

    Raises:
        SecretError: the image would contain one.
        RefusedError: a file cannot be read.
    """
    paths = [entry.path for entry in entries if entry.kind == "file"]
    suspects = None
    if source.expected is not None and source.expected.suspects is not None:
        # The packed files are compared with the ones that were searched.
        named = {*source.expected.suspects, *source.replaced}
        suspects = [path for path in paths if path in named]
    secrets = secrets_of(source, paths, suspects, announce)
    found = [secret for secret in secrets if not is_accepted(secret, source)]
    if found:
        raise SecretError(found)


def is_accepted(secret: Secret, source: ImageSource) -> bool:
    """Whether the settings accept it today."""
    until = source.accepted_secrets.get(secret.path)
    return until is not None and today() <= until


def today() -> date:
    """The day in UTC, the same on every machine. The last days of baselines are in UTC, too."""
    return datetime.now(UTC).date()


def secrets_of(
    source: ImageSource,
    paths: Iterable[str] | None = None,
    suspects: Iterable[str] | None = None,
    announce: Announce = announce_nothing,
    recipe: bytes | None = None,
) -> Iterator[Secret]:
    """Every secret that an image of this source would contain: in settings, the Dockerfile and the files.

    Args:
        paths: the files of its context; None to read them.
        suspects: those that were not clean when the source was hashed; then no other file is read.
        announce: as for `refuse_secrets`.
        recipe: the content of the Dockerfile; None to read it, if there is one.

    Raises:
        RefusedError: a file cannot be read.
    """
    config = next(iter(source.replaced), "config.toml")
    for setting, kind in _settings(source):
        if kind:
            yield Secret(config, kind, setting=setting)
    # The builder refuses a missing Dockerfile.
    if recipe is None and (source.folder / source.dockerfile).exists():
        recipe = dockerfile(source)
    if recipe is not None:  # its instructions are in the image's history, even if it is ignored
        yield from _secrets_of_dockerfile(source.dockerfile, recipe)
    root, reading = f"{source.folder}/", Announcer(source, announce)
    if suspects is None:
        suspects = _suspects(source, root, file_paths(source) if paths is None else list(paths), reading)
    for path in suspects:
        if recipe is None or path != source.dockerfile:
            yield from secrets_of_file(path, _Content(root, path, source.replaced.get(path), reading))


def _settings(source: ImageSource) -> Iterator[tuple[str, str | None]]:
    """Each setting that an image, its statements or a report on it has, and the kind of secret in it."""
    for setting, values in (("build_args", source.build_args), ("env", source.env)):
        for name, value in values.items():
            yield f"{setting}.{name}", kind_of_value(name, value)
    yield "entrypoint", kind_of_instruction(" ".join(("ENTRYPOINT", *(source.entrypoint or ()))))
    others = {
        "base": source.base,
        "workdir": source.workdir,
        "platform": source.platform,
        "dockerfile": source.dockerfile,
        "target": source.target,
        "secrets": "\n".join(chain.from_iterable(source.secrets.items())),
        "cache_from": "\n".join(source.cache_from),
        "cache_to": "\n".join(source.cache_to),
        "sbom_generator": source.sbom_generator,
    }
    for setting, text in others.items():
        if text:
            yield setting, kind_of_value("", text)


def _suspects(source: ImageSource, root: str, paths: Sequence[str], reading: Announcer) -> list[str]:
    """Those of the files that are large, replaced in the image, or not clean."""
    sieve = Sieve()
    for path in paths:
        piece, is_whole = (b"", False) if path in source.replaced else first_piece(root, path)
        reading(path, len(piece) if is_whole else 0)
        if is_whole:
            sieve.add(path, piece)
        else:
            sieve.suspects.append(path)
    sieve.end()
    suspects = set(sieve.suspects)
    return [path for path in paths if path in suspects]


class _Content:
    """The content of a file of the context. Each iteration starts at its beginning."""

    def __init__(
        self, root: str, path: str, replaced: bytes | None = None, reading: Announcer | None = None
    ) -> None:
        self._root = root
        self._path = path
        self._replaced = replaced
        self._reading = reading

    def __iter__(self) -> Iterator[bytes]:
        for piece in read_file(self._root, self._path) if self._replaced is None else (self._replaced,):
            if self._reading is not None:
                self._reading(self._path, len(piece))
            yield piece


def secrets_of_file(path: str, content: Iterable[bytes]) -> Iterator[Secret]:
    """The secrets of a file: the whole file by its name, or parts of its content.

    Args:
        content: in pieces; iterated again to find a line, unless it is an iterator.
    """
    pieces = iter(content)
    kind = kind_by_name(path)
    if kind is None and needs_content(path):
        whole = b"".join(islice(pieces, LARGEST // CHUNK))
        pieces = chain((whole,), pieces)
        if found := kind_by_content(path, whole):
            yield Secret(path, found.kind, _line(content, found.offset))
            return
    if kind is not None:
        first = next(filter(None, pieces), None)
        if first is not None:
            found = next(find(chain((first,), pieces)), None)
            yield Secret(path, kind, _line(content, found.offset) if found else None)
        return
    for found in islice(find(pieces), _PER_FILE):
        yield Secret(path, found.kind, _line(content, found.offset))


def _line(content: Iterable[bytes], offset: int) -> int | None:
    """The line at this offset; None for a binary file, or if the content cannot be read again."""
    if isinstance(content, Iterator):
        return None
    line = 1
    for piece in content:
        if b"\0" in piece:
            return None
        line += piece.count(b"\n", 0, offset)
        offset -= len(piece)
        if offset <= 0:
            break
    return line


def _secrets_of_dockerfile(path: str, recipe: bytes) -> Sequence[Secret]:
    if len(recipe) > _KEPT:
        return tuple(_searched_dockerfile(path, recipe))
    return _kept_dockerfile(path, recipe)


@lru_cache(maxsize=64)  # pipelines have equal ones
def _kept_dockerfile(path: str, recipe: bytes) -> Sequence[Secret]:
    return tuple(_searched_dockerfile(path, recipe))


def _searched_dockerfile(path: str, recipe: bytes) -> Iterator[Secret]:
    found = [*secrets_of_file(path, _Content("", path, recipe))]
    yield from found
    file = split(recipe.decode("utf-8", "replace"))
    ends = [*(line for line, _ in file.found[1:]), sys.maxsize]
    for (line, instruction), end in zip(file.found, ends, strict=False):
        kind = kind_of_instruction(instruction, file.escape)
        seen = {secret.kind for secret in found if secret.line and line <= secret.line < end}
        if kind and kind not in seen:
            yield Secret(path, kind, line)
    places = {(secret.kind, secret.line) for secret in found}
    for heredoc in file.heredocs:
        for kind, line in _secrets_of_heredoc(heredoc, file.escape):
            if (kind, line) not in places:
                yield Secret(path, kind, line)


def _secrets_of_heredoc(heredoc: Heredoc, escape: str) -> Iterator[tuple[str, int]]:
    """The secrets in what an instruction runs, or in the file that it makes, each with its line."""
    if not heredoc.place:
        for number, line in enumerate(heredoc.lines, heredoc.line):
            if kind := kind_of_instruction(f"RUN {line}", escape):
                yield kind, number
        return
    content = "\n".join(heredoc.lines).encode("utf-8", "replace")
    for secret in secrets_of_file(heredoc.place, _Content("", heredoc.place, content)):
        yield secret.kind, heredoc.line + max(secret.line or 1, 1) - 1


def kind_of_instruction(instruction: str, escape: str = "\\") -> str | None:
    """What the first secret in an instruction of a Dockerfile is: everyone reads it in the image's history.

    Args:
        escape: as for `Instructions`.
    """
    values = chain((("", instruction),), variables(instruction, escape))
    return next(filter(None, starmap(kind_of_value, values)), None)
