"""A key of all files that a plan of a pipeline depends on, to compare two checkouts. Sends no request."""

import hashlib
from pathlib import Path

from providers.docker.source.fingerprint import fingerprint
from providers.errors import ProviderError
from providers.regular_files import read_regular
from reconciler.core.events import Emit
from reconciler.engine.requests import ReadOptions
from reconciler.pipeline.config import load
from reconciler.pipeline.image_source import image_source
from reconciler.pipeline.load import Pipeline


def files_key(folder: Path, read_options: ReadOptions, emit: Emit) -> str:
    """The key of the files in this checkout; "" if they have errors that prevent it.

    Args:
        emit: called with the progress of hashing a large build context.
    """
    loaded = load(folder, environment=read_options.environment, shared=read_options.shared)
    if loaded.config is None:
        return ""
    pipeline = Pipeline(folder, loaded.config.metadata.name, loaded.config, loaded, None, None)
    try:
        return key_of(pipeline, fingerprint(image_source(pipeline), announce=emit, cached=True).key)
    except ProviderError:
        return ""


def key_of(pipeline: Pipeline, source_key: str) -> str:
    """The key of a pipeline: sha256 over config.toml, the source key of its image and its class files."""
    digest = hashlib.sha256(source_key.encode())
    execution = pipeline.config.execution
    classes = [c.partition(":")[0] for c in (execution.inputs_class, execution.parameters_class) if c]
    for content in (pipeline.loaded.on_disk.encode(), *(_read(pipeline.folder / name) for name in classes)):
        digest.update(b"%d:%s" % (len(content), content))
    return digest.hexdigest()[:16]


def _read(file: Path) -> bytes:
    """The content of a class file; nothing if it cannot be read, which reading the class reports."""
    try:
        return read_regular(file)
    except OSError:
        return b""
