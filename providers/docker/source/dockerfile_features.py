"""Finds features of a Dockerfile that need BuildKit, and missing sources, before a build.

Works on text: the instructions, their options and heredocs.
"""

import json
import posixpath
import re
from bisect import bisect_left
from collections.abc import Callable, Collection
from typing import NamedTuple

from providers.docker.source.dockerfile_lines import has_heredoc, instructions, split_word

_OPTION = re.compile(r"\s--([a-z][a-z-]*)(?==|\s|$)")
_OPTIONS = {
    "RUN": {"mount", "network", "security", "device"},
    "COPY": {"link", "chmod", "parents", "exclude"},
    "ADD": {"link", "chmod", "checksum", "keep-git-dir", "exclude", "unpack"},
}


def needs_buildkit(text: str) -> list[str]:
    """Each feature that the legacy builder lacks, such as "line 3: RUN --mount"."""
    found = []
    for number, instruction in instructions(text):
        word, rest = split_word(instruction)
        if word == "ONBUILD":
            word, rest = split_word(rest)
        if word not in _OPTIONS:
            continue
        head = re.match(r"(?:\s*--\S+)*", rest)
        used = _OPTION.findall(f" {head.group().strip()}" if head else "")
        found += [f"line {number}: {word} --{option}" for option in used if option in _OPTIONS[word]]
        if has_heredoc(instruction):
            found.append(f"line {number}: {word} with a heredoc")
    return found


class MissingSource(NamedTuple):
    """A source of COPY or ADD that is missing from the build context.

    Attributes:
        line: line of the instruction.
        source: the source as written in the Dockerfile.
        outside: whether it is above the context, which no builder can read.
        certain: whether the build fails; False for a stage that may not be built.
    """

    line: int
    source: str
    outside: bool
    certain: bool


def missing_sources(
    text: str, files: Collection[str], is_link: Callable[[str], bool], target: str | None = None
) -> list[MissingSource]:
    """The sources of COPY and ADD that a context with these files does not have.

    Skips sources with a variable or a wildcard, which only the builder can resolve.

    Args:
        files: relative path of every file, link and empty folder of the context. A folder is also empty if
            .dockerignore excludes its content.
        is_link: whether a path is a link. A source behind a link is never reported.
        target: the stage to build; None for the last one.
    """
    found: list[tuple[int, MissingSource]] = []
    stages: list[str] = []
    known = sorted(files)
    for number, instruction in instructions(text):
        word, rest = split_word(instruction)
        if word == "FROM":
            named = re.search(r"\sAS\s+(\S+)\s*$", rest, re.IGNORECASE)
            stages.append(named[1].lower() if named else "")
        if word in ("COPY", "ADD"):
            for source in _sources(word, rest):
                outside = posixpath.normpath(source).split("/")[0] == ".."
                if outside or not _is_there(source, known, is_link):
                    found.append((len(stages), MissingSource(number, source, outside, True)))
    last = len(stages)
    if target is not None and target.lower() in stages:
        last = stages.index(target.lower()) + 1
    return [one._replace(certain=stage == last) for stage, one in found]


# A URL, or a git repository as `ssh` writes it: https://github.com/moby/buildkit/tree/master/util/sshutil
_REMOTE = re.compile(r"[a-zA-Z0-9]+://|[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:")


def _sources(word: str, rest: str) -> list[str]:
    """The literal sources of a COPY or ADD from the context."""
    head = re.match(r"(?:--\S+\s+)*", rest)
    options = head.group() if head else ""
    rest = rest[len(options) :].strip()
    if "--from" in options or has_heredoc(f"{word} {rest}"):
        return []
    try:
        words = json.loads(rest) if rest.startswith("[") else rest.split()
    except ValueError:
        words = rest.split()
    return [
        source
        for source in words[:-1]
        if isinstance(source, str)
        and not set("$*?[\\\"'`") & set(source)
        and not (word == "ADD" and _REMOTE.match(source))
    ]


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
