"""The options for the model that a training pipeline trains."""

import functools
from typing import Any

import click

from providers.ascii_case import ascii_upper
from reconciler.cli.options import completions
from reconciler.cli.options.command import Command

_KEYS = {
    "model": "origin_name",
    "model_version": "name",
    "framework": "framework",
    "inference_type": "inference_type",
}
"""The parameter of each option, and its key in `[model_version]`."""
ENUMS = frozenset({"framework", "inference_type"})
"""The keys whose values are names in capitals."""


def model(command: Command) -> Command:
    """`--model`, `--model-version`, `--framework` and `--inference-type`, passed as `model`: key -> value."""

    @click.option("--model", metavar="NAME", help="Model to train. Saved in config.toml.")
    @click.option("--model-version", metavar="NAME", help="Version of the model. Saved in config.toml.")
    @click.option(
        "--framework",
        metavar="NAME",
        shell_complete=completions.frameworks,
        help="Framework of the model version, such as ONNX. Saved in config.toml.",
    )
    @click.option(
        "--inference-type",
        metavar="TYPE",
        shell_complete=completions.inference_types,
        help="Inference type of the model version, such as OBJECT_DETECTION. Saved in config.toml.",
    )
    @functools.wraps(command)
    def with_model(**arguments: Any) -> int:
        given = {key: arguments.pop(name) for name, key in _KEYS.items()}
        values = {key: value for key, value in given.items() if value is not None}
        for key in ENUMS & values.keys():
            values[key] = ascii_upper(values[key])  # as the official tool needs them
        return command(model=values, **arguments)

    return with_model
