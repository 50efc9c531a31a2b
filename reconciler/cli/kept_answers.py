"""Answers that config.toml does not have yet: suggestions for the next run after one that failed.

They are a convenience: a file that cannot be read or written only means that nothing is suggested.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from providers.regular_files import read_regular, real_path
from reconciler.core.diagnostics import UserError
from reconciler.pipeline.toml.edits import Edits, Value
from reconciler.pipeline.toml.toml_positions import Path as KeyPath
from reconciler.system.files import locked, replace_file


def read(config: Path) -> dict[KeyPath, Value]:
    """The answers for this config.toml; empty if there are none."""
    found = _all().get(_key(config))
    if not isinstance(found, dict):
        return {}
    return {tuple(name.split(".")): value for name, value in found.items() if isinstance(value, str | int)}


def keep(config: Path, answers: Edits) -> None:
    """Keep these answers for this config.toml, instead of earlier ones."""
    _write(config, {".".join(map(str, path)): value for path, value in answers.items()})


def forget(config: Path) -> None:
    """Remove the answers for this config.toml, which has them now."""
    if _key(config) in _all():
        _write(config, {})


def _write(config: Path, answers: Mapping[str, Value]) -> None:
    file = _file()
    with suppress(OSError, UserError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file, timeout=1.0):
            others = {key: value for key, value in _all().items() if key != _key(config)}
            everything = {**others, **({_key(config): answers} if answers else {})}
            replace_file(file, json.dumps(everything, indent=1).encode())


def _all() -> dict[str, object]:
    try:
        document = json.loads(read_regular(_file()))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _file() -> Path:
    from platformdirs import user_state_path

    return user_state_path("reconciler") / "answers.json"


def _key(config: Path) -> str:
    return str(real_path(config))
