"""Finds features of a Dockerfile that need BuildKit, and missing sources, before a build.

Works on text: the instructions, their options and heredocs.
"""

import json
import posixpath
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from providers.docker.source.dockerfile_lines import has_heredoc, instructions, split, split_word, unquoted
from providers.patterns import pattern

_OPTION = pattern(r"\s--([a-z][a-z-]*)(?==|\s|$)")
_OPTIONS = {
    "RUN": {"mount", "network", "security", "device"},
    "COPY": {"link", "chmod", "parents", "exclude"},
    "ADD": {"link", "chmod", "checksum", "keep-git-dir", "exclude", "unpack"},
}


class Feature(NamedTuple):
    """The use of a feature in a Dockerfile.

    Attributes:
        line: line of the instruction.
        text: "RUN --mount".
    """

    line: int
    text: str


def needs_buildkit(text: str) -> list[Feature]:
    """Each feature that the legacy builder lacks, such as RUN --mount.

    A source with more ".." than folders is one: BuildKit drops the rest of them, the legacy builder refuses
    it.
    """
    found = []
    escape = split(text).escape
    for number, instruction in instructions(text):
        word, rest = split_word(instruction)
        if word == "ONBUILD":
            word, rest = split_word(rest)
        if word not in _OPTIONS:
            continue
        used = _OPTION.findall(f" {_split_options(rest)[0].strip()}")
        texts = [f"--{option}" for option in used if option in _OPTIONS[word]]
        if has_heredoc(instruction):
            texts.append("with a heredoc")
        texts += [source for source in _copied(word, rest, escape) if _is_outside(source)]
        found += [Feature(number, f"{word} {text}") for text in texts]
    return found


class MissingSource(NamedTuple):
    """A source of COPY, ADD or RUN --mount that is missing from the build context.

    Attributes:
        line: line of the instruction.
        source: the source as written in the Dockerfile, without quotes.
        outside: whether it leads out of the context, which no builder can read.
        certain: whether the build fails; False for a stage that may not be built.
        mounted: whether it is one of RUN --mount.
    """

    line: int
    source: str
    outside: bool
    certain: bool
    mounted: bool = False


def missing_sources(
    text: str, files: Collection[str], is_link: Callable[[str], bool], target: str | None = None
) -> list[MissingSource]:
    """The sources of COPY, ADD and RUN --mount that a context with these files does not have.

    As for BuildKit, the context is the root of each source: a ".." above it has no effect. Of a source with a
    wildcard, only its folder has to be there. Skips sources with a variable.

    Args:
        files: relative path of every file, link and empty folder of the context. A folder is also empty if
            .dockerignore excludes its content.
        is_link: whether a path is a link. A source behind a link is never reported.
        target: the stage to build; None for the last one.
    """
    found: list[tuple[int, MissingSource]] = []
    stages: list[str] = []
    known, escape = sorted(files), split(text).escape
    for number, instruction in instructions(text):
        word, rest = split_word(instruction)
        if word == "FROM":
            named = re.search(r"\sAS\s+(\S+)\s*$", rest, re.IGNORECASE)
            stages.append(named[1].lower() if named else "")
        sources = _copied(word, rest, escape) if word != "RUN" else _mounted(rest, escape)
        for source in sources:
            required = source if word == "RUN" else _WILDCARD.split(source, maxsplit=1)[0]
            if not _is_there(required, known, is_link):
                missing = MissingSource(number, source, _is_outside(source), True, word == "RUN")
                found.append((len(stages), missing))
    last = len(stages)
    if target is not None and target.lower() in stages:
        last = stages.index(target.lower()) + 1
    return [one._replace(certain=stage == last) for stage, one in found]


# A URL, or a git repository as `ssh` writes it: https://github.com/moby/buildkit/tree/master/util/sshutil
_REMOTE = pattern(r"[a-zA-Z0-9]+://|[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:")
_WILDCARD = pattern(r"(?<![^/])[^/*?\[\\]*+[*?\[\\]")


def _split_options(rest: str) -> tuple[str, str]:
    """The options at the start of the arguments, and the other arguments."""
    head = re.match(r"(?:\s*--\S+(?:\s+|$))*", rest)
    end = head.end() if head else 0
    return rest[:end], rest[end:].strip()


def _copied(word: str, rest: str, escape: str) -> list[str]:
    """The sources of a COPY or ADD from the context, without those that only the builder can resolve."""
    options, rest = _split_options(rest)
    if word not in ("COPY", "ADD") or "--from" in options or has_heredoc(f"{word} {rest}"):
        return []
    try:
        words = json.loads(rest) if rest.startswith("[") else rest.split()
    except ValueError:
        words = rest.split()
    literals = [source for source in words[:-1] if isinstance(source, str) and _is_literal(source)]
    sources = [unquoted(source, escape) for source in literals]
    return [source for source in sources if not (word == "ADD" and _REMOTE.match(source))]


def _mounted(rest: str, escape: str) -> Iterator[str]:
    """The sources that a RUN mounts from the context, without those that only the builder can resolve."""
    for option in _split_options(rest)[0].split():
        name, _, value = option.partition("=")
        if name != "--mount" or not _is_literal(value):
            continue
        fields = (field.partition("=") for field in unquoted(value, escape).split(","))
        settings = {key.lower(): text for key, _, text in fields}
        source = settings.get("source", settings.get("src"))
        if source and settings.get("type", "bind") == "bind" and "from" not in settings:
            yield source


def _is_literal(word: str) -> bool:
    """Whether a word has no variable, and all its quotes end."""
    return "$" not in word and "`" not in word and not any(word.count(quote) % 2 for quote in "\"'")


def _is_outside(source: str) -> bool:
    """Whether the source leads out of the build context."""
    return posixpath.normpath(f"./{source}").split("/")[0] == ".."


def _is_there(source: str, known: list[str], is_link: Callable[[str], bool]) -> bool:
    """Whether one of the sorted paths is the source, is below it, or is a link above it."""
    path = posixpath.normpath(f"/{source}").strip("/")
    if not path:
        return True
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        part = "/".join(parts[:depth])
        at = bisect_left(known, part)
        if at < len(known) and known[at] == part and (part == path or is_link(part)):
            return True
    below = bisect_left(known, f"{path}/")
    return below < len(known) and known[below].startswith(f"{path}/")
