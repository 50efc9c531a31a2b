"""The files of a new pipeline, in the form that `pxl-pipeline init` gives one, and the folder with them."""

import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from providers.enums import PROCESSING_TYPES, TRAINING
from providers.leftovers import sweep, temporary_folder

TYPES: Final[Mapping[str, str]] = {
    "DATASET_VERSION_CREATION": "makes a dataset version from another one",
    "PRE_ANNOTATION": "annotates a dataset version with a model",
    "AUTO_ANNOTATION": "annotates a dataset version by itself",
    "DATA_AUGMENTATION": "adds images to a dataset version",
    "AUTO_TAGGING": "tags images",
    "DATA_AUTO_TAGGING": "tags the data of a datalake",
    "MODEL_CONVERSION": "converts a model version",
    "MODEL_COMPRESSION": "compresses a model version",
    TRAINING: "trains a model version",
}
"""Each type of pipeline, and what pipelines of it do."""
assert {*TYPES} == {*PROCESSING_TYPES, TRAINING}

_FAMILIES: Final = {
    **dict.fromkeys(("AUTO_TAGGING", "DATA_AUTO_TAGGING"), "datalake"),
    **dict.fromkeys(("MODEL_CONVERSION", "MODEL_COMPRESSION"), "model"),
}
"""The context that picsellia-cv-engine gives a job, if it is not that of a dataset version."""

_DEVICES: Final = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))]
)
"""What no folder can be called on Windows, where the repository may be checked out, too."""

_SUFFIX: Final = ".jinja"


class NewPipeline(Struct, frozen=True):
    """The values of a new pipeline.

    Attributes:
        name: `name_problem` finds nothing wrong with it.
        type: one of `TYPES`.
        base: the base image of the builder `append`; "" for a build with the Dockerfile.
    """

    name: str
    type: str
    base: str = ""


def name_problem(name: str) -> str | None:
    """Why this cannot be the name of a pipeline: "must …"; None if it can be."""
    if keyword.iskeyword(name):
        return f"must not be a word of Python itself, as Python imports it: {name.lower()}_pipeline can be"
    if name.upper() in _DEVICES:
        return f"must not be the name of a device of Windows: {name.lower()}_pipeline can be"
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return None
    usable = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    usable = f"pipeline_{usable}" if usable[:1].isdecimal() else usable
    better = f", such as {usable}" if usable else ""
    return f"must consist of letters, digits and _, and not begin with a digit{better}: Python imports it"


def files_of(new: NewPipeline) -> dict[str, str]:
    """The text of each file, by its path below the folder of the pipeline.

    config.toml names neither the image nor the model of a training: those keys are empty.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("reconciler.pipeline", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["toml"] = _in_toml
    is_training = new.type == TRAINING
    values = {
        "name": new.name,
        "type": new.type,
        "base": new.base,
        "training": is_training,
        "family": _FAMILIES.get(new.type, "dataset"),
    }
    found = {}
    for shelf in ("common/", "training/" if is_training else "processing/"):
        for template in environment.list_templates():
            if template.startswith(shelf) and template.endswith(_SUFFIX):
                path = template.removeprefix(shelf).removesuffix(_SUFFIX)
                found[path] = environment.get_template(template).render(values)
    return found


def _in_toml(text: str) -> str:
    import tomlkit

    return tomlkit.item(text).as_string()


def create(folder: Path, files: Mapping[str, str]) -> None:
    """Make a folder with these files. It appears complete, or not at all if the run is interrupted.

    Args:
        folder: must not exist; its parent must.

    Raises:
        FileExistsError: it exists by now. It is unchanged.
        OSError: it cannot be written. Nothing is left.
    """
    sweep(folder.parent)
    with temporary_folder(folder) as staged:
        for path, text in files.items():
            place = staged / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8", newline="\n")
        if folder.exists() or folder.is_symlink():
            raise FileExistsError(f"{folder} exists")
        staged.rename(folder)
