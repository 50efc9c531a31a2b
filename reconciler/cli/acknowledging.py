"""`drift --baseline` and `--write-baseline`: which findings somebody knows of already."""

import functools
import getpass
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from providers.regular_files import read_regular
from reconciler.cli.options import Command
from reconciler.drift.baseline import DAYS, FILE_NAME, Rule, acknowledged_report, read_rules, rewritten
from reconciler.drift.findings import Acknowledgement, Report
from reconciler.system.files import replace_file
from reconciler.views.counting import plural


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

    def rules(self, err: Console) -> tuple[Rule, ...]:
        """What was acknowledged before. Raises UserError for a file that is not as it should be."""
        path = self.file or self.written or Path(FILE_NAME)
        if self.file is None and not path.exists():
            return ()
        rules = read_rules(path)
        if self.file is None and self.written is None:
            err.print(f"acknowledgements are read from {path}")
        return rules

    def with_acknowledgements(self, report: Report, rules: tuple[Rule, ...], err: Console) -> Report:
        """The report with what was acknowledged, now or before."""
        today = report.at.date()
        if self.written is not None:
            rules = self._write(self.written, report, rules, today, err)
        return acknowledged_report(report, rules, today)

    def _write(
        self, path: Path, report: Report, rules: tuple[Rule, ...], today: date, err: Console
    ) -> tuple[Rule, ...]:
        source = self.file or path
        before = read_regular(source).decode() if source.exists() else ""
        known = Acknowledgement(
            self.owner or getpass.getuser(),
            self.reason or f"known on {today}; nobody said why",
            (self.expires or today + timedelta(days=DAYS)).isoformat(),
        )
        after = rewritten(before, rules, report, known, today)
        pending = sum(finding.is_pending for finding in report.findings)
        if pending:
            told = "not applied yet: no drift, so it is not acknowledged"
            err.print(f"{plural(pending, 'change')} of the files {told}")
        if after == before and source == path:
            err.print(f"{path} acknowledges all of the drift already")
            return rules
        replace_file(path, after.encode(), mode=None if path.exists() else 0o644)
        written = read_rules(path)
        err.print(f"{path}: {plural(len(report.findings) - pending, 'finding')} acknowledged")
        return written


def acknowledging(command: Command) -> Command:
    """What is known already, as `known`."""

    @click.option(
        "--baseline",
        "file",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"What is acknowledged; {FILE_NAME} in the current folder when there is one.",
    )
    @click.option(
        "--write-baseline",
        "written",
        type=_BaselineType(),
        is_flag=False,
        flag_value=FILE_NAME,
        metavar="[FILE]",
        help=f"Acknowledge all drift that is found, in {FILE_NAME} or FILE.",
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
