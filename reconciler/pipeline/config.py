"""config.toml, read and checked: the first step from a folder to what should exist.

Every problem of the file is found in one go, each with its line. Nothing here runs code, asks a platform or
writes. A key that the file does not have is None (not managed); an empty one is "" (cleared).
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from providers.regular_files import read_regular
from reconciler.core.diagnostics import Diagnostic, error, has_errors, in_order
from reconciler.pipeline.enums import TRAINING
from reconciler.pipeline.schema import Config
from reconciler.pipeline.sections import read_docker, read_execution, read_metadata
from reconciler.pipeline.settings import read_settings
from reconciler.pipeline.targets import read_targets
from reconciler.pipeline.toml.overlays import check_overlays, overlaid, overlays
from reconciler.pipeline.toml.toml_edits import Edits, edited
from reconciler.pipeline.toml.toml_positions import TomlPositions, lines_of
from reconciler.pipeline.toml.toml_reader import TomlReader
from reconciler.pipeline.toml.typos import check_spelling

FILE_NAME: Final = "config.toml"

_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A config.toml as far as it could be read.

    Attributes:
        path: the file.
        text: what was read, with its own line ends; "" when it could not be.
        edits: values that `text` has and the file does not have yet, by their path in it.
        on_disk: the file's content.
        environment: whose overlay it was read with; None for what all of them share.
        overlays: the environments that it has an overlay for.
        config: what it says; None when there are errors.
        diagnostics: every problem of the file, errors first.
        lines: where everything stands.
        document: as `tomllib` gave it, with the overlays of all environments.
    """

    path: Path
    text: str
    config: Config | None
    diagnostics: tuple[Diagnostic, ...]
    lines: TomlPositions = field(repr=False, default_factory=TomlPositions)
    edits: Edits = field(default_factory=dict)
    on_disk: str = ""
    environment: str | None = None
    overlays: tuple[str, ...] = ()
    document: Mapping[str, Any] = field(repr=False, default_factory=dict)

    def line_of(self, *path: str | int) -> int | None:
        """The line of a key, for example `("docker", "cpu")`, or of the nearest table around it."""
        return self.lines.of(*path)


def load(folder: Path, edits: Edits | None = None, environment: str | None = None) -> LoadedConfig:
    """Read `folder/config.toml` for one environment, as if it had these edits already.

    Never raises for what the file holds or lacks: that is in `.diagnostics`.
    """
    path = folder / FILE_NAME
    try:
        text = read_regular(path).decode()
    except OSError as problem:
        return LoadedConfig(path, "", None, (_unreadable(path, problem),))
    except UnicodeDecodeError as problem:
        found = error(
            "config.toml is not UTF-8 text",
            f"Byte {problem.object[problem.start]:#04x} cannot be read as UTF-8. Save the file as UTF-8.",
            file=path,
            line=problem.object.count(b"\n", 0, problem.start) + 1,
        )
        return LoadedConfig(path, "", None, (found,))
    loaded = read(text, path, environment)
    return edited_config(loaded, edits) if edits and loaded.config is not None else loaded


def edited_config(loaded: LoadedConfig, edits: Edits) -> LoadedConfig:
    """The same with these values in the text, where the environment that it was read for has them."""
    placed = {loaded.lines.place(path): value for path, value in edits.items()}
    changed = read(edited(loaded.text, placed), loaded.path, loaded.environment)
    return replace(changed, on_disk=loaded.on_disk, edits={**loaded.edits, **placed})


def read(text: str, path: Path, environment: str | None = None) -> LoadedConfig:
    """What this text of a config.toml says to one environment; None for what all of them share.

    `path` is only named in the diagnostics.
    """
    content = text.removeprefix("\ufeff")
    try:
        document = tomllib.loads(content)
        lines = lines_of(text)  # takes less nesting than tomllib
    except (ValueError, RecursionError) as problem:
        return LoadedConfig(path, text, None, (_malformed(path, content, problem),), on_disk=text)
    view = overlaid(document, environment)
    lines.places = view.places
    reader = TomlReader(view.document, lines, text, path)
    check_overlays(reader)
    check_spelling(reader)
    config = _config(reader)
    found = tuple(in_order(reader.diagnostics))
    return LoadedConfig(
        path,
        text,
        None if has_errors(found) else config,
        found,
        reader.lines,
        on_disk=text,
        environment=environment,
        overlays=tuple(overlays(document)),
        document=document,
    )


def _config(reader: TomlReader) -> Config | None:
    """The whole file; None when a part is missing (then there is an error as well)."""
    metadata = read_metadata(reader)
    execution = read_execution(reader)
    docker = read_docker(reader)
    kind = metadata.type if metadata is not None else None
    targets = read_targets(reader, kind)
    settings = read_settings(reader)
    if kind == TRAINING and execution is not None and execution.inputs_class:
        reader.warn(
            "inputs_class is not used: a training pipeline has no inputs",
            "Only processing pipelines have them. Remove the line, or change metadata.type.",
            "execution",
            "inputs_class",
        )
    if metadata is None or execution is None or docker is None or settings is None:
        return None
    return Config(metadata=metadata, execution=execution, docker=docker, targets=targets, reconciler=settings)


def _unreadable(path: Path, problem: OSError) -> Diagnostic:
    if isinstance(problem, FileNotFoundError | NotADirectoryError):
        return error(
            "no config.toml here",
            f"A pipeline is a folder with a config.toml, and {path.parent} has none. "
            "Give the folder of a pipeline, or make one with `pxl-pipeline init`.",
            file=path,
        )
    if isinstance(problem, IsADirectoryError):
        return error(
            "config.toml is a folder, not a file", "Rename the folder; a file is expected.", file=path
        )
    way_out = (
        "Check its permissions."
        if isinstance(problem, PermissionError)
        else "A regular file is expected there."
    )
    return error(f"config.toml cannot be read: {problem.strerror}", way_out, file=path)


def _malformed(path: Path, text: str, problem: Exception) -> Diagnostic:
    reason = "it is nested too deeply" if isinstance(problem, RecursionError) else str(problem)
    line, column = text.count("\n") + 1, None
    place = _SYNTAX_PLACE.search(reason)
    if place is not None:
        reason = reason[: place.start()]
        if place[1] is not None:
            line, column = int(place[1]), int(place[2])
    where = f"line {line}, column {column}" if column is not None else f"line {line}"
    return error(
        "config.toml is not valid TOML",
        f"{where}: {reason}. Nothing else of the file was checked.",
        file=path,
        line=line,
    )
