"""Read and validate the three tables of every config.toml: `[metadata]`, `[execution]` and `[docker]`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semver import Version

from providers import enums
from providers.ascii_case import ascii_upper
from providers.image_names import name_problem, normal_name
from providers.patterns import pattern
from providers.text import has_login
from reconciler.pipeline import version
from reconciler.pipeline.schema import Docker, Execution, Metadata
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.toml_reader import TomlReader, described

MOST_CORES = 2**31 - 1
OLDER_SCRIPTS = ("picsellia_pipeline_script", "local_pipeline_script")
"""The names of `pipeline_script` in earlier templates."""
_IMAGE_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_IMAGE_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?"
IMAGE = pattern(rf"(?:{_IMAGE_HOST}/)?{_IMAGE_PART}(?:/{_IMAGE_PART})*")


def read_metadata(reader: TomlReader) -> Metadata | None:
    """`[metadata]`, or None and the errors."""
    table = reader.table("metadata", 'name = "my_pipeline", version = "1.0" and type = "TRAINING"')
    if table is None:
        return None
    name = reader.required_text(table, "metadata", "name", 'for example name = "my_pipeline"')
    if name is not None:
        check_selectable(reader, name, "metadata", "name")
    number = _version(reader, table)
    description = reader.text(table, "metadata", "description", free=True)
    kind = _type(reader, table)
    if name is None or number is None or kind is None:
        return None
    return Metadata(name=name, version=number, description=description, type=kind)


def check_selectable(reader: TomlReader, name: str, *where: str) -> None:
    """Report a name that could not select its pipeline on the command line."""
    if name.startswith("-") or name in (".", ".."):
        reader.error(
            f"{'.'.join(where)} {name!r} looks like an option or a folder on the command line",
            "Start it with a letter or a digit.",
            *where,
        )


def _version(reader: TomlReader, table: Mapping[str, Any]) -> Version | None:
    value = table.get("version")
    if value is None:
        reader.error("metadata.version is missing", 'Add version = "1.0.0" to [metadata].', "metadata")
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        start, end = reader.lines.span["metadata", "version"]
        value = reader.text_of_file[start:end]  # the text of the file: 1.10 means 1.10.0, not 1.1.0
    if not isinstance(value, str):
        summary = f'metadata.version must be text like "1.0.0", not {described(value)}'
        reader.error(summary, 'Write version = "1.0.0".', "metadata", "version")
        return None
    try:
        return version.parse(value)
    except ValueError as problem:
        reader.error("metadata.version cannot be read", f"{problem}.", "metadata", "version")
        return None


def _type(reader: TomlReader, table: Mapping[str, Any]) -> str | None:
    allowed = (enums.TRAINING, *enums.PROCESSING_TYPES)
    value = reader.required_text(table, "metadata", "type", f"one of {', '.join(allowed)}")
    if value is None:
        return None
    if ascii_upper(value) not in allowed:
        reader.error(
            f"metadata.type {value!r} is not a pipeline type",
            f"Allowed: {', '.join(allowed)}.{did_you_mean(value, allowed)}",
            "metadata",
            "type",
        )
        return None
    return ascii_upper(value)


def read_execution(reader: TomlReader) -> Execution | None:
    """`[execution]`, or None and the errors."""
    table = reader.table("execution", 'pipeline_script = "pipeline.py" and parameters_class')
    if table is None:
        return None
    scripts = {key: _path(reader, table, key) for key in ("pipeline_script", *OLDER_SCRIPTS)}
    script = next((script for script in scripts.values() if script), None)
    for key in [key for key, value in scripts.items() if value == "" and script is None]:
        reader.error(
            f"execution.{key} is empty",
            f'Name the file, for example {key} = "pipeline.py".',
            "execution",
            key,
        )
    return Execution(
        pipeline_script=script,
        requirements_file=_path(reader, table, "requirements_file") or None,
        parameters_class=_class(reader, table, "parameters_class"),
        inputs_class=_class(reader, table, "inputs_class"),
    )


def _path(reader: TomlReader, table: Mapping[str, Any], key: str) -> str | None:
    """The path of a file in the folder; None if it is missing, and if it is not one."""
    value = reader.text(table, "execution", key)
    if value and Path(value).is_absolute():
        reader.error(
            f"execution.{key} {value!r} is not relative to the pipeline's folder",
            "No other machine, and no image, has the file at this path. Name a file in the folder.",
            "execution",
            key,
        )
        return None
    return value


def _class(reader: TomlReader, table: Mapping[str, Any], key: str) -> str | None:
    """`file.py:ClassName`; empty means no class, as in the official tool."""
    value = reader.text(table, "execution", key)
    if not value:
        return None
    file, _, name = value.partition(":")
    if not file.endswith(".py") or Path(file).is_absolute() or not name.isidentifier():
        reader.error(
            f"execution.{key} {value!r} does not name a class",
            f'Write the file and the class, for example {key} = "utils/{key.partition("_")[0]}.py:MyClass".',
            "execution",
            key,
        )
        return None
    return value


def read_docker(reader: TomlReader) -> Docker | None:
    """`[docker]`, or None and the errors."""
    table = reader.table("docker", 'image_name = "" and image_tag = ""')
    if table is None:
        return None
    return Docker(
        image_name=_image_name(reader, table),
        image_tag=reader.text(table, "docker", "image_tag") or "",
        cpu=_count(reader, table, "cpu"),
        gpu=_count(reader, table, "gpu"),
    )


def _image_name(reader: TomlReader, table: Mapping[str, Any]) -> str:
    value = reader.text(table, "docker", "image_name") or ""
    if value and (not IMAGE.fullmatch(value) or name_problem(value)):
        last = value.rpartition("/")[2]
        if has_login(value):
            advice = "Leave the login out, and log in with docker login."
        elif "://" in value:
            advice = "Leave the scheme out."
        elif IMAGE.fullmatch(value):
            advice = name_problem(value)
        elif "@" in last or ":" in last:
            advice = "Leave the tag out: it follows from metadata.version."
        else:
            advice = (
                "Use lower-case letters, digits and single '.', '_', '-', after an optional registry host."
            )
        reader.error(
            f"docker.image_name {value!r} is not an image name",
            f'{advice} Write for example "user/app" or "registry.example.com/team/app".',
            "docker",
            "image_name",
        )
    return normal_name(value)


def _count(reader: TomlReader, table: Mapping[str, Any], key: str) -> int | None:
    """A whole number from 0; the official tool writes it as text or as a number."""
    value = table.get(key)
    if value is None:
        return None
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,20}\s*", value, re.ASCII):
        number = int(value)
    if number is None or not 0 <= number <= MOST_CORES:
        quantity = "the number of CPU cores" if key == "cpu" else "the number of GPUs"
        reader.error(
            f"docker.{key} must be a whole number from 0, not {described(value)}",
            f"It is {quantity} a job gets by default. Write for example {key} = {4 if key == 'cpu' else 0}.",
            "docker",
            key,
        )
        return None
    return number
