"""Load a pipeline folder as one value, config.toml with the values of its classes; `compile` takes it."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from semver import Version

from providers.regular_files import real_path
from providers.table import FACTS
from reconciler.core.contract import Contract, contract_of
from reconciler.core.diagnostics import Diagnostic, error, has_errors, in_order
from reconciler.pipeline.classes.declarations import Inputs, Parameters, Place
from reconciler.pipeline.classes.evaluate import TIMEOUT, evaluate
from reconciler.pipeline.config import LoadedConfig, edited_config, load
from reconciler.pipeline.schema import Config
from reconciler.pipeline.shared import SharedSettings
from reconciler.pipeline.toml.edits import Edits
from reconciler.pipeline.version import channel_tag, edits_of


class Pipeline(Struct, frozen=True, dict=True):
    """A pipeline without errors.

    Attributes:
        folder: the pipeline's folder.
        name: metadata.name.
        config: the content of config.toml.
        loaded: the same with its text and line numbers, to point at a key.
        inputs: the declared inputs; None if inputs are not managed.
        parameters: default parameters; None if parameters are not managed.
        places: parameter -> the file and line of its class that set it; without those that are unknown.
    """

    folder: Path
    name: str
    config: Config
    loaded: LoadedConfig
    inputs: Inputs | None
    parameters: Parameters | None
    places: Mapping[str, Place] = {}

    @cached_property
    def real_folder(self) -> Path:
        """The pipeline's folder without links."""
        return real_path(self.folder)

    @property
    def is_training(self) -> bool:
        return self.config.is_training

    @property
    def contract(self) -> Contract | None:
        """The inputs as jobs of the processing get them; None if the files do not manage them."""
        if self.inputs is None:
            return None
        return contract_of({each.name: each.fields for each in self.inputs}, FACTS["input"].rules)

    @property
    def declared_channel(self) -> str | None:
        """The channel tag that reconciler.toml declares for the environment."""
        return self.loaded.channel

    @property
    def channel(self) -> str:
        """The tag that moves with each deploy to the environment."""
        return self.declared_channel or channel_tag(self.config.metadata.version)

    @property
    def is_pinned(self) -> bool:
        """Whether the platform gets the tag of the version, which never moves, instead of the channel.

        The first of these counts: `[reconciler] pin`, `pin` of the environment in reconciler.toml, and
        `[defaults] pin`.
        """
        declared = self.loaded.shared.pins.get(self.loaded.environment or "")
        own = self.loaded.lines.place(("reconciler", "pin")) in self.loaded.lines.line
        return (self.config.reconciler.pin if own or declared is None else declared) == "version"

    def at(self, version: Version) -> "Pipeline":
        """The pipeline after it is published as this version."""
        metadata = replace(self.config.metadata, version=version)
        config = replace(self.config, metadata=metadata)
        edits = edits_of(version, self.declared_channel)
        return replace(self, config=config, loaded=edited_config(self.loaded, edits))


def load_pipeline(
    folder: Path,
    *,
    python: Path | None = None,
    static_only: bool = False,
    timeout: float = TIMEOUT,
    edits: Edits | None = None,
    environment: str | None = None,
    shared: SharedSettings | None = None,
) -> tuple[Pipeline | None, tuple[Diagnostic, ...]]:
    """Read a pipeline folder. Never raises for its content.

    Args:
        folder: a folder with a config.toml.
        python, static_only, timeout: see `evaluate`.
        edits: values to read as if they were in config.toml; a deploy writes them there.
        environment: the environment whose overlay applies; None for the values that all share.
        shared: the settings of the workspace.

    Returns:
        The pipeline, or None if there are errors; and every diagnostic, errors first. Classes are evaluated
        only if config.toml itself has no errors. A pipeline without the name of an image is returned,
        because `deploy` prompts for one.
    """
    loaded = load(folder, edits, environment, shared)
    if loaded.config is None:
        unnamed = () if loaded.names_image else (unnamed_image(loaded),)
        return None, tuple(in_order((*loaded.diagnostics, *unnamed)))
    classes = evaluate(loaded, python=python, static_only=static_only, timeout=timeout)
    diagnostics = tuple(in_order((*loaded.diagnostics, *classes.diagnostics)))
    if has_errors(diagnostics):
        return None, diagnostics
    name = loaded.config.metadata.name
    found = Pipeline(folder, name, loaded.config, loaded, classes.inputs, classes.parameters, classes.places)
    return found, diagnostics


def unnamed_image(loaded: LoadedConfig) -> Diagnostic:
    """The error for a pipeline without an image name."""
    return error(
        "docker.image_name is empty",
        'Name the image in config.toml, for example image_name = "user/my_pipeline".',
        file=loaded.path,
        line=loaded.line_of("docker", "image_name"),
    )
