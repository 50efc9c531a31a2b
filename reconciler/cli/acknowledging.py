"""`drift --baseline` and `--write-baseline`: which findings somebody knows of already."""

import functools
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from providers.leftovers import BASELINE
from reconciler.cli.options import Command

DAYS = 30
"""How long an acknowledgement lasts when nobody says otherwise."""


class _BaselineType(click.ParamType[Path]):
    name = "FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        if path.suffix != ".toml":
            self.fail(f"{value!r} is no .toml file; name pipelines before this option", param, ctx)
        if not path.parent.is_dir():  # told before anything is asked
            self.fail(f"there is no folder {path.parent}", param, ctx)
        return path


@dataclass(frozen=True, slots=True)
class BaselineOptions:
    """What the options say of acknowledgements.

    Attributes:
        file: read; None for drift-baseline.toml in the current folder where there is one.
        written: gets a rule for every finding; None for none.
        owner, reason, expires: of the rules that are written.
    """

    file: Path | None
    written: Path | None
    owner: str | None
    reason: str | None
    expires: date | None


def acknowledging(command: Command) -> Command:
    """What is known already, as `known`."""

    @click.option(
        "--baseline",
        "file",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"What is acknowledged; {BASELINE} in the current folder when there is one.",
    )
    @click.option(
        "--write-baseline",
        "written",
        type=_BaselineType(),
        is_flag=False,
        flag_value=BASELINE,
        metavar="[FILE]",
        help=f"Acknowledge all drift that is found, in {BASELINE} or FILE.",
    )
    @click.option("--owner", help="Who is asked about what --write-baseline acknowledges; you.")
    @click.option("--reason", help="Why it is left as it is.")
    @click.option(
        "--expires",
        type=click.DateTime(["%Y-%m-%d"]),
        metavar="DATE",
        help=f"Last day on which it is; {DAYS} days from now.",
    )
    @functools.wraps(command)
    def with_known(
        file: Path | None,
        written: Path | None,
        owner: str | None,
        reason: str | None,
        expires: Any,
        **rest: Any,
    ) -> int:
        if written is None and (owner or reason or expires):
            raise click.UsageError("--owner, --reason and --expires go with --write-baseline")
        if expires and expires.date() < datetime.now(UTC).date():
            raise click.UsageError(
                f"--expires {expires.date()} is over already: nothing would be acknowledged"
            )
        known = BaselineOptions(file, written, owner, reason, expires.date() if expires else None)
        return command(known=known, **rest)

    return with_known
