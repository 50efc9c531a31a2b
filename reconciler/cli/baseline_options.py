"""`drift --baseline` and `--write-baseline`: which findings are acknowledged."""

import functools
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from providers.leftovers import BASELINE
from reconciler.cli.options import Command
from reconciler.cli.output_places import baseline_file

DAYS = 30
"""Default duration of an acknowledgement."""


class _BaselineType(click.ParamType[Path]):
    name = "FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        if path.suffix != ".toml":
            self.fail(f"{value!r} is not a .toml file; name pipelines before this option", param, ctx)
        if not path.parent.is_dir():  # refused before any request is sent
            self.fail(f"there is no folder {path.parent}", param, ctx)
        if ctx is not None and not ctx.resilient_parsing:
            baseline_file(path)
        return path


class BaselineOptions(Struct, frozen=True):
    """The options for acknowledgements.

    Attributes:
        file: the baseline to read; None for drift-baseline.toml in the current folder, if it exists.
        write_to: the file that gets a rule for every finding; None for no file.
        owner, reason, expires: values of the new rules.
    """

    file: Path | None
    write_to: Path | None
    owner: str | None
    reason: str | None
    expires: date | None


def baseline_options(command: Command) -> Command:
    """The options for acknowledgements, passed as `baseline`."""

    @click.option(
        "--baseline",
        "file",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"File with acknowledged drift. Default: {BASELINE} in the current folder, if it exists.",
    )
    @click.option(
        "--write-baseline",
        "write_to",
        type=_BaselineType(),
        is_flag=False,
        flag_value=BASELINE,
        metavar="[FILE]",
        help=f"Acknowledge all drift of this run, in {BASELINE} or FILE.",
    )
    @click.option("--owner", help="Contact for the new acknowledgements. Default: your user name.")
    @click.option("--reason", help="Reason for the new acknowledgements.")
    @click.option(
        "--expires",
        type=click.DateTime(["%Y-%m-%d"]),
        metavar="DATE",
        help=f"Last day of the new acknowledgements. Default: {DAYS} days from now.",
    )
    @functools.wraps(command)
    def with_baseline(
        file: Path | None,
        write_to: Path | None,
        owner: str | None,
        reason: str | None,
        expires: Any,
        **rest: Any,
    ) -> int:
        if write_to is None and (owner or reason or expires):
            raise click.UsageError("--owner, --reason and --expires need --write-baseline")
        if expires and expires.date() < datetime.now(UTC).date():
            raise click.UsageError(
                f"--expires {expires.date()} is in the past, so nothing would be acknowledged"
            )
        baseline = BaselineOptions(file, write_to, owner, reason, expires.date() if expires else None)
        return command(baseline=baseline, **rest)

    return with_baseline
