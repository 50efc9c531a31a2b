"""`[reconciler.env.PROD.docker] cpu = 8`: what a config.toml says for one environment only.

An overlay has the tables of a config.toml, and its values stand in the place of theirs. A list and
`[[model_versions]]` are replaced as a whole. Pure: reads what `tomllib` gave, and points at where it stands.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.pipeline.enums import did_you_mean
from reconciler.pipeline.toml.toml_positions import Path
from reconciler.pipeline.toml.toml_reader import TomlReader, below, named

ENVIRONMENTS: Final = ("PROD", "STAGING", "LOCAL", "CUSTOM")
TABLES: Final = ("metadata", "execution", "docker", "model_version", "model_versions", "reconciler")
_PLACE: Final = ("reconciler", "env")
_TARGETS: Final = frozenset(["model_version", "model_versions"])


@dataclass(frozen=True, slots=True)
class OverlaidDocument:
    """A document as one environment sees it.

    Attributes:
        document: with the overlay's values.
        places: where a value stands that the overlay gives: (`docker`, `cpu`) -> (`reconciler`, `env`, …).
    """

    document: dict[str, Any]
    places: Mapping[Path, Path] = field(default_factory=dict)


def overlaid(document: dict[str, Any], environment: str | None) -> OverlaidDocument:
    """The document as this environment sees it; None for what all of them share."""
    overlay = overlays(document).get(environment or "")
    if overlay is None:
        return OverlaidDocument(document)
    places: dict[Path, Path] = {}
    start: Path = (*_PLACE, str(environment))
    if _TARGETS & overlay.keys():  # one of the two says where to deploy, and now it is the overlay's
        document = {key: value for key, value in document.items() if key not in _TARGETS - overlay.keys()}
    return OverlaidDocument(_merged(document, overlay, (), start, places), places)


def overlays(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each environment's overlay; what has not the shape of one is left out."""
    found: Any = document
    for key in _PLACE:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return {}
    return {name: table for name, table in found.items() if isinstance(table, dict)}


def check_overlays(reader: TomlReader) -> None:
    """Note what is no overlay: a misspelt environment or table must not pass in silence."""
    for path, problem, advice in _problems(reader.document):
        reader.error(problem, advice, *path)


def _problems(document: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    ours = document.get("reconciler")
    found = ours.get("env", {}) if isinstance(ours, dict) else {}
    if not isinstance(found, dict):
        yield (
            _PLACE,
            f"reconciler.env must be a table, not {named(found)}",
            below("reconciler.env.PROD.docker"),
        )
        return
    for name, overlay in found.items():
        path: Path = (*_PLACE, name)
        if name not in ENVIRONMENTS:
            hint = did_you_mean(name.upper(), ENVIRONMENTS)
            yield path, f"{name!r} is not an environment", f"There are {', '.join(ENVIRONMENTS)}.{hint}"
        elif not isinstance(overlay, dict):
            told = below(f"reconciler.env.{name}.docker")
            yield path, f"reconciler.env.{name} must hold tables, not {named(overlay)}", told
        else:
            for table, value in overlay.items():
                yield from _table_problems((*path, table), table, value)


def _table_problems(path: Path, table: str, value: Any) -> Iterator[tuple[Path, str, str]]:
    if table not in TABLES:
        hint = did_you_mean(table, TABLES)
        told = f"An overlay has the tables of a config.toml: {', '.join(TABLES)}.{hint}"
        yield path, f"{table!r} is no table of a config.toml", told
    elif table == "reconciler" and isinstance(value, dict) and "env" in value:
        yield (*path, "env"), "an overlay cannot have overlays of its own", "Remove the table."
    elif not isinstance(value, dict) and table != "model_versions":
        yield path, f"{table} must be a table, not {named(value)}", below(".".join(map(str, path)))


def _merged(
    base: dict[str, Any], over: Mapping[str, Any], path: Path, place: Path, places: dict[Path, Path]
) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merged(base[key], value, (*path, key), (*place, key), places)
        else:
            merged[key] = value
            places[(*path, key)] = (*place, key)
    return merged
