"""Read and validate config.toml: the first step from a folder to the desired resources.

One pass reports every problem of the file, each with its line. Nothing here runs code, contacts a platform or
writes. A missing key is None (not managed); an empty value is "" (cleared).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from providers.enums import TRAINING
from providers.regular_files import read_regular
from reconciler.core.diagnostics import Diagnostic, UserError, error, has_errors, in_order
from reconciler.core.values import Address
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.objects import read_objects
from reconciler.pipeline.schema import Config
from reconciler.pipeline.sections import read_docker, read_execution, read_metadata
from reconciler.pipeline.settings import read_settings
from reconciler.pipeline.shared import SharedSettings
from reconciler.pipeline.targets import read_targets, target_keys
from reconciler.pipeline.toml.edits import EditError, Edits
from reconciler.pipeline.toml.overlays import check_overlays, overlaid, overlays, with_defaults
from reconciler.pipeline.toml.toml_file import parse, read_text, unreadable
from reconciler.pipeline.toml.toml_positions import Path as KeyPath
from reconciler.pipeline.toml.toml_positions import TomlPositions
from reconciler.pipeline.toml.toml_reader import TomlReader
from reconciler.pipeline.toml.typos import check_spelling, known_keys


class LoadedConfig(Struct, frozen=True):
    """The result of reading a config.toml, with or without errors.

    Attributes:
        path: the file.
        text: its text with `edits` applied and its own line endings; "" if the file cannot be read.
        edits: values in `text` that are not in the file yet, by their path in it.
        on_disk: the content of the file.
        environment: the environment whose overlay is applied; None for the values that all share.
        overlays: the environments that have an overlay.
        config: the validated content; None if there are errors.
        diagnostics: every problem of the file, errors first.
        lines: the position of every key and value.
        document: the output of `tomllib`, with the overlays of all environments and without defaults.
        shared: the settings of the workspace.
        inherited: the path of each value that comes from its defaults.
        names_image: whether `[docker] image_name` has a value, also if the file has errors.
    """

    path: Path
    text: str
    config: Config | None
    diagnostics: tuple[Diagnostic, ...]
    lines: TomlPositions = field(default_factory=TomlPositions)
    edits: Edits = field(default_factory=dict)
    on_disk: str = ""
    environment: str | None = None
    overlays: tuple[str, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)
    shared: SharedSettings = field(default_factory=SharedSettings)
    inherited: frozenset[KeyPath] = field(default_factory=frozenset)
    names_image: bool = True

    @property
    def channel(self) -> str | None:
        """The channel tag that reconciler.toml declares for the environment."""
        return self.shared.channels.get(self.environment or "")

    def line_of(self, *path: str | int) -> int | None:
        """The line of a key, for example `("docker", "cpu")`, or of the nearest table around it."""
        return self.lines.line_of(*path)

    def place_of(self, *path: str | int) -> tuple[Path, int | None]:
        """The file and line of a key, which may be a default of the workspace."""
        if self.is_inherited(*path):
            assert self.shared.file is not None
            return self.shared.file, self.shared.line_of("defaults", *path[1:])
        return self.path, self.line_of(*path)

    def is_inherited(self, *path: str | int) -> bool:
        """Whether the value at this path is a default of the workspace."""
        starts = [path[:end] for end in range(len(path), 0, -1)]
        return any(start in self.inherited for start in starts) and not any(
            start in self.lines.places for start in starts
        )


def load(
    folder: Path,
    edits: Edits | None = None,
    environment: str | None = None,
    shared: SharedSettings | None = None,
) -> LoadedConfig:
    """Read `folder/config.toml` for one environment, as if these edits were already in it.

    Never raises for the content of the file, nor if it is missing: problems are in `.diagnostics`.
    """
    path = folder / FILE_NAME
    try:
        text = read_text(path)
    except OSError as problem:
        return LoadedConfig(path, "", None, (_unreadable(path, problem),))
    except UserError as problem:
        return LoadedConfig(path, "", None, problem.diagnostics)
    loaded = read(text, path, environment, shared)
    if not edits or not loaded.document:
        return loaded
    edited = edited_config(loaded, edits)
    # The answer to a question may be what the file lacks. Other errors have the lines of the file.
    return loaded if edited.config is None and loaded.config is None else edited


def edited_config(loaded: LoadedConfig, edits: Edits) -> LoadedConfig:
    """`loaded` with these values in its text; values from its environment's overlay change in the overlay.

    Raises:
        UserError: the text has a form in which a value cannot be changed alone.
    """
    from reconciler.pipeline.toml.toml_edits import apply_edits  # tomlkit takes long to import

    placed = {loaded.lines.place(path): value for path, value in edits.items()}
    try:
        text = apply_edits(loaded.text, placed)
    except EditError as problem:
        detail = f"{problem}. Nothing was written. Change it by hand first."
        line = loaded.lines.line_of(*problem.path)
        raise UserError(
            error("config.toml needs an edit by hand", detail, file=loaded.path, line=line)
        ) from None
    changed = read(text, loaded.path, loaded.environment, loaded.shared)
    return replace(changed, on_disk=loaded.on_disk, edits={**loaded.edits, **placed})


def read(
    text: str, path: Path, environment: str | None = None, shared: SharedSettings | None = None
) -> LoadedConfig:
    """Read the text of a config.toml for one environment, or with None the values that all share.

    `path` is only used in the diagnostics.
    """
    try:
        document, lines = parse(text, path)
    except UserError as problem:
        return LoadedConfig(path, text, None, problem.diagnostics, on_disk=text)
    shared = shared or SharedSettings()
    complete, inherited = with_defaults(document, shared.defaults)
    view = overlaid(complete, environment)
    lines.places = view.places
    reader = TomlReader(view.document, lines, text, path)
    check_overlays(reader, shared.environments, _keys_of_overlays() if overlays(complete) else {})
    check_spelling(reader)
    config = _config(reader)
    found = tuple(in_order(reader.diagnostics))
    docker = view.document.get("docker")
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
        shared=shared,
        inherited=inherited,
        names_image=not isinstance(docker, dict) or docker.get("image_name", "") != "",
    )


def _keys_of_overlays() -> dict[str, tuple[str, ...]]:
    """The keys of each table of an overlay whose keys are not checked with the values."""
    return {**known_keys(), **dict.fromkeys(("model_version", "model_versions"), target_keys())}


def _config(reader: TomlReader) -> Config | None:
    """The content of all tables; None if a required table is missing or invalid, which adds an error."""
    metadata = read_metadata(reader)
    execution = read_execution(reader)
    docker = read_docker(reader)
    kind = metadata.type if metadata is not None else None
    targets = read_targets(reader, kind)
    settings = read_settings(reader)
    if kind == TRAINING and execution is not None and execution.inputs_class:
        reader.warn(
            "inputs_class is not used: a training pipeline has no inputs",
            "Only processing pipelines have inputs. Remove the line, or change metadata.type.",
            "execution",
            "inputs_class",
        )
    models = {Address.of("model", target.origin_name) for target in targets}
    versions = {Address.of("model-version", target.origin_name, target.name) for target in targets}
    processing = set() if metadata is None or kind == TRAINING else {Address.of("processing", metadata.name)}
    objects = read_objects(reader, models | versions | processing)
    if metadata is None or execution is None or docker is None or settings is None:
        return None
    return Config(
        metadata=metadata,
        execution=execution,
        docker=docker,
        targets=targets,
        reconciler=settings,
        objects=objects,
    )


def _unreadable(path: Path, problem: OSError) -> Diagnostic:
    if isinstance(problem, FileNotFoundError | NotADirectoryError):
        return error(
            "no config.toml here",
            f"A pipeline is a folder with a config.toml, and {path.parent} has none. "
            "Give the folder of a pipeline, or create one:  reconciler init",
            file=path,
        )
    return unreadable(path, problem)


def is_unchanged(path: Path, content: str) -> bool:
    """Whether config.toml still has the content that was read. False if it cannot be read now."""
    try:
        return read_regular(path) == content.encode()
    except OSError:
        return False
