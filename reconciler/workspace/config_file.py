"""What a config.toml says about its pipeline without being loaded, also if it has errors."""

import tomllib
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec import Struct

from providers.ascii_case import ascii_upper
from providers.patterns import pattern
from providers.regular_files import read_regular
from providers.text import without_logins
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.stacks import stack_in, stacks_of, text_at, unknown_stack
from reconciler.pipeline.toml.overlays import TABLES, overlaid

_SECTIONS = frozenset({"metadata", "execution", "docker"})
_OWN_TABLES = frozenset(TABLES)
_HEADER = pattern(rb"(?m)^[ \t]*\[[ \t]*(?:metadata|execution|docker)[ \t]*\]")


class Declaration(Struct, frozen=True):
    """What the config.toml of a folder declares.

    Attributes:
        stacks: as `pipeline.stacks.stacks_of`.
        problem: why a stack cannot be known, although the file is there in some form: `it is empty`; or "".
        is_gone: whether there is no such file.
    """

    stacks: Mapping[str | None, str] = {}
    problem: str = ""
    is_gone: bool = False

    def declares(self, name: str, environment: str | None) -> bool:
        """Whether this is the name of the stack in an environment; in any, if that is None."""
        if environment is None:
            return name in self.stacks.values()
        return name == self.stacks.get(environment, self.stacks.get(None))


class DeclaredStacks:
    """Finds the folders that declare a stack, however many there are.

    Args:
        declared: folder -> what its config.toml declares.
    """

    def __init__(self, declared: Mapping[Path, Declaration]) -> None:
        self._by_name = defaultdict[str, list[tuple[Path, Declaration]]](list)
        for folder, one in declared.items():
            for name in {*one.stacks.values()}:
                self._by_name[name].append((folder, one))

    def folders(self, name: str, environment: str | None) -> list[Path]:
        """The folders whose stack has this name in an environment; in any, if that is None."""
        return [folder for folder, one in self._by_name.get(name, ()) if one.declares(name, environment)]


class ConfigFile:
    """A config.toml, read once, and parsed only if its content matters: a run reads each one again.

    Attributes:
        content: its bytes; None if it cannot be read.
        problem: why it cannot be read; None if it can.
    """

    def __init__(self, folder: Path) -> None:
        self.content: bytes | None = None
        self.problem: OSError | None = None
        try:
            self.content = read_regular(folder / FILE_NAME)
        except OSError as problem:
            self.problem = problem

    @cached_property
    def document(self) -> dict[str, Any] | None:
        """The content; None if it cannot be read or is not TOML."""
        try:
            return None if self.content is None else tomllib.loads(self.content.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return None

    @property
    def is_of_pipeline(self) -> bool:
        """Whether it has a table of a pipeline. One with errors counts, so that they are reported."""
        content = self.content or b""
        # Without strings of several lines, a line that looks like a header is one.
        if _HEADER.search(content) and not (b'"""' in content or b"'''" in content):
            return True
        return self.document is None or not _SECTIONS.isdisjoint(self.document)

    @property
    def is_unclear(self) -> bool:
        """Whether it may be what is left of a pipeline's: it has no table that another tool may have."""
        return self.document is not None and self.document.keys() <= _OWN_TABLES

    @property
    def declaration(self) -> Declaration:
        """What it declares: a file that cannot be read is not gone."""
        if self.problem is not None:
            return Declaration(problem=_in_words(self.problem))
        if problem := unknown_stack(self.document):
            return Declaration(problem=problem)
        return Declaration(stacks_of(self.document))


class PipelineSummary(Struct, frozen=True):
    """The values of a config.toml that describe a pipeline; "" and None for missing and invalid ones.

    Attributes:
        name: metadata.name.
        stack: the name of its stack.
        type: metadata.type, in capitals.
        version: metadata.version, as the file has it.
        gpu: docker.gpu, the GPUs of a job.
        is_readable: whether the file is TOML that can be read, with something of a pipeline.
    """

    folder: Path
    name: str
    stack: str
    type: str
    version: str
    gpu: int | None
    is_readable: bool


def summarize(folder: Path, environment: str | None) -> PipelineSummary:
    """The summary of a pipeline in this environment; with None, of the values that all share."""
    file = ConfigFile(folder)
    tables: Mapping[str, Any] = overlaid(file.document or {}, environment).document
    docker = tables.get("docker")
    gpu = docker.get("gpu") if isinstance(docker, dict) else None
    return PipelineSummary(
        folder,
        name=without_logins(text_at(tables, "metadata", "name")),
        stack=without_logins(stack_in(tables)),
        type=without_logins(ascii_upper(text_at(tables, "metadata", "type"))),
        version=without_logins(text_at(tables, "metadata", "version")),
        gpu=gpu if isinstance(gpu, int) and not isinstance(gpu, bool) else None,
        is_readable=file.document is not None and file.is_of_pipeline,
    )


def declaration(folder: Path) -> Declaration:
    """What the config.toml of a folder declares."""
    try:
        (folder / FILE_NAME).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Declaration(is_gone=True)
    except OSError as problem:
        return Declaration(problem=_in_words(problem))
    return ConfigFile(folder).declaration


def stacks_in(folder: Path) -> set[str]:
    """The name of the pipeline's stack in each environment, also if its config.toml has errors."""
    return set(stacks_of(ConfigFile(folder).document).values())


def _in_words(problem: OSError) -> str:
    return f"it cannot be read: {problem.strerror}"
