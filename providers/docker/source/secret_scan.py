"""Secrets in what an image is made from: its settings, its Dockerfile and every file of the context.

Everyone who can pull an image can read all of its layers, also the files that a later layer deletes.
`secret_rules` has what counts as a secret. Nothing that is found is ever shown, only its kind and its place.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, islice

from providers.docker.source.dockerfile_features import instructions
from providers.docker.source.key import (
    CHUNK,
    Entry,
    ImageSource,
    dockerfile,
    file_paths,
    first_piece,
    read_file,
)
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

_PER_FILE = 10  # findings that are reported of one file
_DECLARED = re.compile(r"""([A-Za-z_][A-Za-z0-9_]*)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)""")


@dataclass(frozen=True, slots=True)
class Secret:
    """Something in an image, or on its way into one, that nobody else may read.

    Attributes:
        path: of the file, relative to the build context.
        kind: what it is, for people: "a GitHub token".
        line: counted from 1; None where the file has no lines, or is a secret as a whole.
        setting: of the file, where it is there: "build_args.NAME", "env.NAME".
    """

    path: str
    kind: str
    line: int | None = None
    setting: str = ""


class SecretError(RefusedError):
    """The image would hold secrets.

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


def refuse_secrets(source: ImageSource, entries: Iterable[Entry]) -> None:
    """Refuse a source whose image would hold a secret that is not accepted today.

    Raises:
        SecretError: it would.
        RefusedError: a file cannot be read.
    """
    today = date.today()
    paths = [entry.path for entry in entries if entry.kind == "file"]
    found = [secret for secret in secrets_of(source, paths) if not is_accepted(secret, source, today)]
    if found:
        raise SecretError(found)


def is_accepted(secret: Secret, source: ImageSource, today: date) -> bool:
    """Whether the settings accept it on this day."""
    until = source.accepted_secrets.get(secret.path)
    return until is not None and today <= until


def secrets_of(
    source: ImageSource, paths: Iterable[str] | None = None, suspects: Iterable[str] | None = None
) -> Iterator[Secret]:
    """Every secret that an image of this source would hold, in its settings, its Dockerfile and its files.

    Args:
        paths: of the files of its context; read when not given.
        suspects: those of them that were not clean when the source was hashed; no other file is read then.

    Raises:
        RefusedError: a file cannot be read.
    """
    config = next(iter(source.replaced), "config.toml")
    for setting, values in (("build_args", source.build_args), ("env", source.env)):
        for name, value in values.items():
            if kind := kind_of_value(name, value):
                yield Secret(config, kind, setting=f"{setting}.{name}")
    # A missing one is for the builder to refuse.
    recipe = dockerfile(source) if (source.folder / source.dockerfile).exists() else None
    if recipe is not None:  # its instructions are in the image's history, whatever .dockerignore says
        yield from _secrets_of_dockerfile(source.dockerfile, recipe)
    root = f"{source.folder}/"
    if suspects is None:
        suspects = _suspects(source, root, file_paths(source) if paths is None else list(paths))
    for path in suspects:
        if recipe is None or path != source.dockerfile:
            yield from secrets_of_file(path, _Content(root, path, source.replaced.get(path)))


def _suspects(source: ImageSource, root: str, paths: Sequence[str]) -> list[str]:
    """Those of the files that are large, replaced in the image, or not clean."""
    sieve = Sieve()
    for path in paths:
        piece, is_whole = (b"", False) if path in source.replaced else first_piece(root, path)
        if is_whole:
            sieve.add(path, piece)
        else:
            sieve.suspects.append(path)
    sieve.end()
    suspects = set(sieve.suspects)
    return [path for path in paths if path in suspects]


class _Content:
    """What a file of the context has, from its beginning, each time it is iterated."""

    def __init__(self, root: str, path: str, replaced: bytes | None = None) -> None:
        self._root = root
        self._path = path
        self._replaced = replaced

    def __iter__(self) -> Iterator[bytes]:
        return read_file(self._root, self._path) if self._replaced is None else iter((self._replaced,))


def secrets_of_file(path: str, content: Iterable[bytes]) -> Iterator[Secret]:
    """What of a file is secret: all of it by its name, or what is in it.

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
    """The line at this offset; None where there are no lines, or the content cannot be read again."""
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


def _secrets_of_dockerfile(path: str, recipe: bytes) -> Iterator[Secret]:
    found = [*secrets_of_file(path, _Content("", path, recipe))]
    yield from found
    lines = {secret.line for secret in found}
    for line, instruction in instructions(recipe.decode("utf-8", "replace")):
        word, _, rest = instruction.partition(" ")
        if word.upper() not in ("ENV", "ARG") or line in lines:
            continue
        kinds = (kind_of_value(*pair) for pair in declared(rest))
        if kind := next(filter(None, kinds), None):
            yield Secret(path, kind, line)


def declared(text: str) -> Iterator[tuple[str, str]]:
    """What the text of an instruction gives to which variable: `A=b C="d"`, or the older `A b`."""
    found = [(match[1], match[2].strip("\"'")) for match in _DECLARED.finditer(text)]
    name, _, value = text.strip().partition(" ")
    yield from found or ([(name, value.strip())] if value else [])
