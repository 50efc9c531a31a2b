"""Types of parameters: what a value on the command line stands for."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from providers.ascii_case import ascii_upper
from reconciler.cli.options import completions
from reconciler.core.values import Address, address_of_option

EVERYWHERE = "*"
STDOUT = Path("-")
"""The destination of an output that goes to stdout."""
T = TypeVar("T")


class ParsedType(click.ParamType[T]):
    """A value that `parse` returns for a text. Its ValueError is the message for a wrong one.

    Args:
        name: the form of the text, for the help.
    """

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]  # a default
        try:
            return self._parse(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class ReportFile(click.Path):
    """The file of one format, which `outputs` checks."""


class WholeNumberType(click.IntRange):
    """A number of 64 bits that is not too low: stores and the platform have no larger ones."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number: int = super().convert(value, param, ctx)
        if number >= 1 << 63:
            self.fail(f"{value} is too large.", param, ctx)
        return number


class NumberType(click.FloatRange):
    """A number in a range. Unlike in click's own type, `nan` is in no range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


LONGEST = 1_000_000
"""Maximum number of seconds in an option. The operating system cannot wait for ten thousand times as long."""


class AddressType(ParsedType[Address]):
    """The address of a resource."""

    def __init__(self) -> None:
        super().__init__("ADDR", address_of_option)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        return completions.addresses(ctx, param, incomplete)


ADDRESS = AddressType()


def as_address(text: str) -> Address | None:
    """The address of a resource of a known kind; None for other text, such as the name of a pipeline."""
    from providers.table import FACTS  # late: not for help

    kind, slash, _ = text.partition("/")
    try:
        return Address.parse(text) if slash and kind in FACTS else None
    except ValueError:
        return None


class WinnerType(click.ParamType[Address | None]):
    """An address, or nothing for every resource. A pipeline's name here gets an error of its own."""

    name = "ADDR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address | None:
        if value == EVERYWHERE:
            return None
        try:
            return address_of_option(value)
        except ValueError as problem:
            is_name = "#" not in value
            words = f"{value!r} is not an address; name pipelines before this option"
            self.fail(words if is_name else str(problem), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        return completions.addresses(ctx, param, incomplete)


class PipelineTypeType(click.ParamType[str]):
    """The type of a pipeline, converted to upper case."""

    name = "TYPE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from providers.enums import PROCESSING_TYPES, TRAINING

        name: str = ascii_upper(value)
        if name not in (TRAINING, *PROCESSING_TYPES):
            from reconciler.pipeline.suggestions import did_you_mean

            types = (TRAINING, *PROCESSING_TYPES)
            self.fail(f"{value!r} is not one of {', '.join(types)}.{did_you_mean(name, types)}", param, ctx)
        return name

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        return completions.pipeline_types(ctx, param, incomplete)


class ClusterType(click.ParamType[str]):
    """The address of a cluster, converted to `HOST:PORT`."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        address: str = value.removeprefix("dask://")
        host, _, port = address.rpartition(":")
        if value == address or not host or "/" in address or "@" in address or not port.isdecimal():
            self.fail(f"{value!r} is not an address such as dask://localhost:8786", param, ctx)
        return address
