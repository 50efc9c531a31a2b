"""A pipeline folder as one value: config.toml plus what its classes say. What `compile` starts from."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from semver import Version

from reconciler.core.diagnostics import Diagnostic, has_errors, in_order
from reconciler.pipeline.classes.declarations import Inputs, Parameters
from reconciler.pipeline.classes.evaluate import TIMEOUT, evaluate
from reconciler.pipeline.config import LoadedConfig, edited_config, load
from reconciler.pipeline.schema import Config
from reconciler.pipeline.toml.toml_edits import Edits
from reconciler.pipeline.version import edits_of


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline without errors.

    Attributes:
        folder: where it lives.
        name: metadata.name.
        config: what config.toml says.
        loaded: the same with its text and lines, to point at a key.
        inputs: the declared inputs; None means that inputs are not managed.
        parameters: default parameters; None means that they are not managed.
    """

    folder: Path
    name: str
    config: Config
    loaded: LoadedConfig = field(repr=False)
    inputs: Inputs | None
    parameters: Parameters | None

    @property
    def is_training(self) -> bool:
        return self.config.is_training

    def at(self, version: Version) -> "Pipeline":
        """The pipeline as it will be once it is published as this version."""
        metadata = self.config.metadata.model_copy(update={"version": version})
        config = self.config.model_copy(update={"metadata": metadata})
        return replace(self, config=config, loaded=edited_config(self.loaded, edits_of(version)))


def load_pipeline(
    folder: Path,
    *,
    python: Path | None = None,
    static_only: bool = False,
    timeout: float = TIMEOUT,
    edits: Edits | None = None,
    environment: str | None = None,
) -> tuple[Pipeline | None, tuple[Diagnostic, ...]]:
    """Read a pipeline folder. Never raises for what is in it.

    Args:
        folder: a folder with a config.toml.
        python, static_only, timeout: see `evaluate`.
        edits: values that config.toml is read with, and gets once they are deployed.
        environment: whose overlay counts; None for what all of them share.

    Returns:
        The pipeline, or None when there are errors; and everything there is to tell, errors first. Classes
        are looked at only when config.toml itself has no errors.
    """
    loaded = load(folder, edits, environment)
    if loaded.config is None:
        return None, loaded.diagnostics
    said = evaluate(loaded, python=python, static_only=static_only, timeout=timeout)
    found = tuple(in_order((*loaded.diagnostics, *said.diagnostics)))
    if has_errors(found):
        return None, found
    name = loaded.config.metadata.name
    return Pipeline(folder, name, loaded.config, loaded, said.inputs, said.parameters), found
