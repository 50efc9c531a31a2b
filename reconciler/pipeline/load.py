"""A pipeline folder as one value: config.toml plus what its classes say. What `compile` starts from."""

from dataclasses import dataclass, field
from pathlib import Path

from reconciler.diagnostics import Diagnostic, has_errors, in_order
from reconciler.pipeline.classes import Inputs, Parameters
from reconciler.pipeline.config import LoadedConfig, load
from reconciler.pipeline.evaluate import TIMEOUT, evaluate
from reconciler.pipeline.schema import Config


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


def load_pipeline(
    folder: Path,
    *,
    python: Path | None = None,
    static_only: bool = False,
    timeout: float = TIMEOUT,
) -> tuple[Pipeline | None, tuple[Diagnostic, ...]]:
    """Read a pipeline folder. Never raises for what is in it.

    Args:
        folder: a folder with a config.toml.
        python, static_only, timeout: see `evaluate`.

    Returns:
        The pipeline, or None when there are errors; and everything there is to tell, errors first. Classes
        are looked at only when config.toml itself has no errors.
    """
    loaded = load(folder)
    if loaded.config is None:
        return None, loaded.diagnostics
    said = evaluate(loaded, python=python, static_only=static_only, timeout=timeout)
    found = tuple(in_order((*loaded.diagnostics, *said.diagnostics)))
    if has_errors(found):
        return None, found
    name = loaded.config.metadata.name
    return Pipeline(folder, name, loaded.config, loaded, said.inputs, said.parameters), found
