"""`[reconciler.env.PROD.docker] cpu = 8`: values of a config.toml for one environment only.

An overlay has the tables of a config.toml, and its values replace theirs. Lists and `[[model_versions]]` are
replaced as a whole. Below both are the defaults that a reconciler.toml has for `[reconciler]`. Pure:
works on the output of `tomllib`, and keeps the position of each value.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, field

from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.toml_positions import Path
from reconciler.pipeline.toml.toml_reader import TomlReader, described, table_advice

TABLES: Final = ("metadata", "execution", "docker", "model_version", "model_versions", "reconciler")
_PLACE: Final = ("reconciler", "env")
_TARGETS: Final = frozenset(["model_version", "model_versions"])


class OverlaidDocument(Struct, frozen=True):
    """A document with the overlay of one environment applied.

    Attributes:
        document: the tables with the values of the overlay.
        places: the path in the file of each value from the overlay: (`docker`, `cpu`) -> (`reconciler`,
            `env`, …).
    """

    document: dict[str, Any]
    places: Mapping[Path, Path] = field(default_factory=dict)


def overlaid(document: dict[str, Any], environment: str | None) -> OverlaidDocument:
    """The document for this environment; with None, without any overlay."""
    overlay = overlays(document).get(environment or "")
    if overlay is None:
        return OverlaidDocument(document)
    places: dict[Path, Path] = {}
    start: Path = (*_PLACE, str(environment))
    if _TARGETS & overlay.keys():  # only one of the two tables may be set: the overlay's
        document = {key: value for key, value in document.items() if key not in _TARGETS - overlay.keys()}
    return OverlaidDocument(_merged(document, overlay, (), start, places), places)


def with_defaults(
    document: dict[str, Any], defaults: Mapping[str, Any]
) -> tuple[dict[str, Any], frozenset[Path]]:
    """The document with these defaults below its `[reconciler]`, and the paths that come from them."""
    own = document.get("reconciler", {})
    if not defaults or not isinstance(own, dict):
        return document, frozenset()
    inherited: set[Path] = set()
    return {**document, "reconciler": _below(own, defaults, ("reconciler",), inherited)}, frozenset(inherited)


def overlays(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each environment's overlay; values that are not tables are left out."""
    environments: Any = document
    for key in _PLACE:
        environments = environments.get(key) if isinstance(environments, dict) else None
    if not isinstance(environments, dict):
        return {}
    return {name: table for name, table in environments.items() if isinstance(table, dict)}


def check_overlays(
    reader: TomlReader, environments: Sequence[str], known: Mapping[str, Sequence[str]]
) -> None:
    """Report every invalid overlay, so that a misspelt environment, table or key is not ignored silently.

    Args:
        known: the keys of each table whose keys are not checked with the values.
    """
    for path, problem, advice in _problems(reader.document, environments, known):
        reader.error(problem, advice, *path)


def _problems(
    document: Mapping[str, Any], names: Sequence[str], known: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Path, str, str]]:
    settings = document.get("reconciler")
    environments = settings.get("env", {}) if isinstance(settings, dict) else {}
    if not isinstance(environments, dict):
        yield (
            _PLACE,
            f"reconciler.env must be a table, not {described(environments)}",
            table_advice("reconciler.env.PROD.docker"),
        )
        return
    for name, overlay in environments.items():
        path: Path = (*_PLACE, name)
        if name not in names:
            hint = did_you_mean(name.upper(), names)
            yield path, f"{name!r} is not an environment", f"Use one of {', '.join(names)}.{hint}"
        elif not isinstance(overlay, dict):
            advice = table_advice(f"reconciler.env.{name}.docker")
            yield path, f"reconciler.env.{name} must hold tables, not {described(overlay)}", advice
        else:
            for table, value in overlay.items():
                yield from _table_problems((*path, table), table, value)
                rows = value if isinstance(value, list) else [value]
                for number, row in enumerate(rows):
                    inside = (*path, table, number) if row is not value else (*path, table)
                    yield from _key_problems(inside, table, row, known)


def _table_problems(path: Path, table: str, value: Any) -> Iterator[tuple[Path, str, str]]:
    if table not in TABLES:
        hint = did_you_mean(table, TABLES)
        advice = f"An overlay has the tables of a config.toml: {', '.join(TABLES)}.{hint}"
        yield path, f"{table!r} is not a table of config.toml", advice
    elif table == "reconciler" and isinstance(value, dict) and "env" in value:
        yield (*path, "env"), "an overlay cannot have overlays of its own", "Remove the table."
    elif not isinstance(value, dict) and table != "model_versions":
        yield path, f"{table} must be a table, not {described(value)}", table_advice(".".join(map(str, path)))


def _key_problems(
    path: Path, table: str, row: object, known: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Path, str, str]]:
    for key in row if isinstance(row, dict) and table in known else ():
        if key not in known[table]:
            advice = f"[{table}] has {', '.join(known[table])}.{did_you_mean(key, known[table])}"
            yield (*path, key), f"{'.'.join(map(str, (*path, key)))} is not a key of config.toml", advice


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


def _below(
    own: Mapping[str, Any], defaults: Mapping[str, Any], path: Path, inherited: set[Path]
) -> dict[str, Any]:
    merged = dict(own)
    for key, value in defaults.items():
        if key not in own:
            merged[key] = value
            inherited.add((*path, key))
        elif isinstance(value, dict) and isinstance(own[key], dict):
            merged[key] = _below(own[key], value, (*path, key), inherited)
    return merged
