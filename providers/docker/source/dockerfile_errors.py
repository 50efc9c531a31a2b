"""Finds what no builder accepts in a Dockerfile, before a build. Reports only what is certain.

Works on text, and knows the grammar of Docker's own syntax. A file with another syntax is not judged.
"""

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from msgspec import Struct

from providers.docker.source.dockerfile_lines import split, split_word
from providers.patterns import pattern

INSTRUCTIONS = (
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
    *("MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)
"""The instructions of Docker's syntax."""

_MAY_BE_BARE = ("CMD", "ENTRYPOINT", "RUN")
_BUILT_IN = pattern(
    r"(?:TARGET|BUILD)(?:PLATFORM|OS|OSVERSION|ARCH|VARIANT|STAGE)|BUILDKIT_\w+|\w+_(?i:proxy)"
)
_VARIABLE = pattern(r"\$(?:\{(\w+)\}|(\w+))")
_STAGE_NAME = pattern(r"[a-z][a-z0-9._-]*")


class DockerfileError(NamedTuple):
    """One error of a Dockerfile.

    Attributes:
        line: line of the instruction.
        summary: what is wrong.
        detail: what to do.
        unknown: the word that stands where an instruction should be, or "".
    """

    line: int
    summary: str
    detail: str
    unknown: str = ""


def dockerfile_errors(
    text: str, build_args: Mapping[str, str] = MappingProxyType({}), target: str | None = None
) -> list[DockerfileError]:
    """What no builder accepts, in the order of the file.

    Args:
        build_args: the build arguments that the builder gets.
        target: the stage to build; None for the last one.
    """
    file = split(text)
    if not file.certain or "BUILDKIT_SYNTAX" in build_args:
        return []
    found = _of_directives(file.directives)
    if found:  # the lines are split by them
        return found
    words = [(line, *split_word(instruction)) for line, instruction in file.found]
    stages = [_stage_name(rest) for _, word, rest in words if word == "FROM"]
    reader = _Reader(stages, dict(build_args), set(), [], found)
    for one in words:
        reader.add(*one)
    if file.open_heredoc:
        line, name = file.open_heredoc
        found.append(DockerfileError(line, f"the heredoc {name} has no end", f"Add a line with only {name}."))
    elif not stages and not found:
        found.append(DockerfileError(1, "the Dockerfile has no FROM", "Start it with FROM and a base image."))
    elif target is not None and target.lower() not in stages and not target.isdecimal() and not found:
        named = ", ".join(dict.fromkeys(name for name in stages if name))
        detail = f"Its stages are: {named}." if named else "None has a name: write FROM IMAGE AS NAME."
        found.append(DockerfileError(1, f"the Dockerfile has no stage {target}", detail))
    return found


def _stage_name(rest: str) -> str:
    """The name that a FROM gives its stage, in lower case, or ""."""
    words = rest.split()
    return words[-1].lower() if len(words) > 2 and words[-2].upper() == "AS" else ""


def _of_directives(directives: tuple[tuple[str, str, int], ...]) -> list[DockerfileError]:
    seen: set[str] = set()
    for name, value, line in directives:
        if name in seen:
            detail = "A parser directive can be used once. Remove one of them."
            return [DockerfileError(line, f"the Dockerfile has two directives {name}", detail)]
        seen.add(name)
        if name == "escape" and value not in ("\\", "`"):
            return [DockerfileError(line, f"the escape character {value} is not allowed", "Use \\ or `.")]
    return []


class _Reader(Struct):
    """Checks instructions one by one, as some depend on earlier ones."""

    all_stages: list[str]
    arguments: dict[str, str]
    defined: set[str]
    stages: list[str]
    found: list[DockerfileError]
    in_other_text: bool = False
    is_started: bool = False

    def add(self, line: int, word: str, rest: str) -> None:
        """Check the next instruction."""

        def report(summary: str, detail: str, unknown: str = "") -> None:
            self.found.append(DockerfileError(line, summary, detail, unknown))

        if word not in INSTRUCTIONS:
            if not self.in_other_text:
                report(f"the Dockerfile has the unknown instruction {word}", "Correct it.", word)
            self.in_other_text = self.is_started = True  # its next lines are no separate errors
            return
        self.in_other_text = False
        if word == "FROM":
            self._stage(rest, report)
            return
        if not (self.stages or self.is_started) and word != "ARG":
            self.is_started = True  # what follows has the same cause
            report(f"{word} is before the first FROM", "Only ARG can be. Start with FROM and a base image.")
        if not rest and word not in _MAY_BE_BARE:
            report(f"{word} has no argument", "Add its arguments, or remove it.")
        elif word in ("COPY", "ADD"):
            self._copy(word, rest, report)
        elif word in ("ENV", "LABEL") and len(rest.split()) == 1 and "=" not in rest:
            report(f"{word} {rest} has no value", f"Write {word} {rest}=VALUE.")
        elif word == "ONBUILD" and (trigger := split_word(rest)[0]) in ("ONBUILD", "FROM", "MAINTAINER"):
            report(f"ONBUILD cannot have {trigger}", "Remove it, or write it without ONBUILD.")
        elif word == "ARG" and not self.stages:
            self._arguments(rest)

    def _arguments(self, rest: str) -> None:
        for part in rest.split():
            name, equals, value = part.partition("=")
            self.defined.add(name)
            if equals and value.strip("'\""):
                self.arguments.setdefault(name, value)

    def _stage(self, rest: str, report: Callable[..., None]) -> None:
        words = [word for word in rest.split() if not word.startswith("--")]
        named = len(words) == 3 and words[1].upper() == "AS"
        if len(words) != 1 and not named:
            self.stages.append("")
            report(f"FROM {rest}".rstrip() + " is incomplete", "Write FROM IMAGE, or FROM IMAGE AS NAME.")
            return
        base, name = words[0], words[2].lower() if named else ""
        if variable := _VARIABLE.fullmatch(base):
            key = variable[1] or variable[2]
            value = self.arguments.get(key, "") if key in self.defined else ""
            if not value and not _BUILT_IN.fullmatch(key):
                detail = f"Set it before the first FROM: ARG {key}=IMAGE"
                if key in self.defined:
                    detail += (
                        f', or in config.toml: build_args = {{ {key} = "IMAGE" }} below [reconciler.image]'
                    )
                report(f"FROM {base} has no image, as {key} has no value", f"{detail}.")
        elif base.lower() not in self.stages:
            self._image(f"FROM {base}", base, self.stages, report)
        if name and not _STAGE_NAME.fullmatch(name):
            detail = "It starts with a letter, and has letters, digits, and . _ - only."
            report(f"{words[2]} is not a name for a stage", detail)
        self.stages.append(name)

    def _copy(self, word: str, rest: str, report: Callable[..., None]) -> None:
        options = re.match(r"(?:--\S+(?:\s+|$))*", rest)
        head = options.group() if options else ""
        if len(_copied(rest[len(head) :].strip())) < 2:
            report(f"{word} has no destination", f"Write {word} SOURCE DESTINATION.")
        source = re.search(r"--from=(\S+)", head)
        if source is None or "$" in source[1] or set("\\\"'") & set(source[1]):
            return
        where, name = f"{word} --from={source[1]}", source[1]
        if name.isascii() and name.isdecimal():
            if int(name) >= len(self.all_stages):
                report(
                    f"{where} is not a stage", f"The last stage has the number {len(self.all_stages) - 1}."
                )
        elif name.lower() not in self.all_stages:
            self._image(where, name, self.all_stages, report)

    def _image(self, where: str, name: str, stages: list[str], report: Callable[..., None]) -> None:
        """Reports a name that is no stage and cannot be an image of a registry."""
        bare = re.split("[:@]", name)[0]
        if bare.lower() != bare and re.fullmatch(r"[A-Za-z0-9._-]+", bare) and "/" not in name:
            detail = "The name of an image is in lower case."
            if defined := ", ".join(dict.fromkeys(stage for stage in stages if stage)):
                detail += f" The stages are: {defined}."
            report(f"{where} is neither a stage nor an image", detail)


def _copied(rest: str) -> list[str]:
    """The sources and the destination of a COPY."""
    try:
        words = json.loads(rest) if rest.startswith("[") else rest.split()
    except ValueError:
        words = rest.split()
    return words if isinstance(words, list) else rest.split()
