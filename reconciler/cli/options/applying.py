"""The options for applying plans, of one pipeline and of many side by side."""

import functools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from reconciler.api.requests import BUILDS, JOBS, ApplyOptions, Consent, FleetOptions
from reconciler.cli.options.command import Command
from reconciler.cli.options.param_types import LONGEST, ClusterType, NumberType, ParsedType
from reconciler.cli.options.targets import workspace

if TYPE_CHECKING:
    from reconciler.core.waves import FailureLimit, Waves


def _waves(text: str) -> "Waves":
    from reconciler.core.waves import Waves  # late: few commands have waves

    return Waves.parse(text)


def _failure_limit(text: str) -> "FailureLimit":
    from reconciler.core.waves import FailureLimit

    return FailureLimit.parse(text)


def approval(yes: str) -> Callable[[Command], Command]:
    """`--yes`, `--approve` and `--override`, passed as `consent`.

    Args:
        yes: the help of `--yes`.
    """

    def decorated(command: Command) -> Command:
        @click.option("--yes", "-y", is_flag=True, help=yes)
        @click.option(
            "--approve",
            "digest",
            metavar="DIGEST",
            help="Apply without a question if the plan has this digest, which plan shows; else refuse it.",
        )
        @click.option(
            "--override",
            metavar="REASON",
            default="",
            help="Apply although promote_from or review of reconciler.toml forbids it. The history keeps "
            "the reason.",
        )
        @functools.wraps(command)
        def with_approval(yes: bool, digest: str | None, override: str, **rest: Any) -> int:
            consent = Consent(yes, digest, _one_line(override))
            if consent.override:
                _check_override()
            return command(consent=consent, **rest)

        return with_approval

    return decorated


LONGEST_REASON = 300
"""Characters of the reason of --override, which each save of the run keeps."""
_SHORTEST_VALUE = 8
"""Characters of the shortest value of a variable that a reason may not have: others are parts of words."""


def _check_override() -> None:
    """Raise UserError if the workspace has no rule that could be overridden."""
    from reconciler.core.diagnostics import UserError, error

    here = workspace()
    shared = here.shared()
    if not (shared.promotes_from or set(shared.reviews.values()) - {"never"}):
        place = f"{here.file} has" if here.file else "There is no reconciler.toml, so there is"
        detail = f"{place} no promote_from and no review. Run the command without --override."
        raise UserError(error("--override has nothing to override", detail))


def _one_line(reason: str) -> str:
    """The reason on one line, without hidden characters.

    Raises UsageError for a blank one, a very long one, and for a secret: the history would keep it.
    """
    from providers.text import visible  # late: few commands are given one

    text = visible(" ".join(reason.split()))
    if reason and not text:
        raise click.UsageError("--override needs a reason")
    if len(text) > LONGEST_REASON:
        raise click.UsageError(
            f"the reason of --override has {len(text):,} characters; use at most {LONGEST_REASON}"
        )
    if text and (kind := _secret_in(text)):
        raise click.UsageError(f"the reason of --override contains {kind}, and the history would keep it")
    return text


def _secret_in(text: str) -> str | None:
    """What the first secret in a text is: by its shape, or as the value of a variable for secrets."""
    from providers.secret_rules import find, is_secret_value  # late: its expressions take a while
    from providers.text import has_login

    if found := next(find((text.encode("utf-8", "surrogateescape"),)), None):
        return found.kind
    held = (
        name
        for name, value in os.environ.items()
        if len(value) >= _SHORTEST_VALUE and value in text and is_secret_value(name, value)
    )
    if has_login(text):
        return "an address with a login"
    return next((f"the value of {name}" for name in held), None)


dry_run = click.option("--dry-run", is_flag=True, help="Show the plan, as plan does, and apply nothing.")


def fleet(command: Command) -> Command:
    """`--rps`, passed as `rps`."""

    @click.option(
        "--rps",
        type=NumberType(min=0.001),
        metavar="N",
        help="Maximum number of requests per second.",
    )
    @functools.wraps(command)
    def unchanged(**rest: Any) -> int:
        return command(**rest)

    return unchanged


executor = click.option(
    "--executor",
    type=ClusterType(),
    metavar="dask://HOST:PORT",
    help="Spread the pipelines over the workers of this Dask cluster.",
)


def side_by_side(command: Command) -> Command:
    """The options for applying many pipelines, passed as `fleet_options`."""

    @click.option(
        "--jobs",
        type=click.IntRange(1, 256),
        metavar="N",
        default=JOBS,
        show_default=True,
        help="Maximum number of pipelines at once.",
    )
    @click.option(
        "--builds",
        type=click.IntRange(1, 256),
        metavar="N",
        default=BUILDS,
        show_default=True,
        help="Maximum number of pipelines at once that publish an image.",
    )
    @click.option(
        "--waves",
        type=ParsedType("SIZES", _waves),
        help="Sizes of consecutive waves, such as 1,10%,100%. The last one is repeated. A wave "
        "starts when the one before has ended without more failures than --max-failures (default: none).",
    )
    @click.option(
        "--max-failures",
        type=ParsedType("N|P%", _failure_limit),
        help="After more failures than this, start nothing new: a number for the run, or a percentage "
        "of each wave. Failures while planning count, too.",
    )
    @fleet
    @executor
    @functools.wraps(command)
    def with_fleet_options(
        jobs: int,
        builds: int,
        waves: "Waves | None",
        max_failures: "FailureLimit | None",
        rps: float | None,
        executor: str | None,
        **rest: Any,
    ) -> int:
        how = FleetOptions(jobs, builds, waves, max_failures, rps, executor)
        return command(fleet_options=how, **rest)

    return with_fleet_options


lock_timeout = click.option(
    "--lock-timeout",
    type=NumberType(0, LONGEST),
    default=0.0,
    metavar="SECONDS",
    show_default=True,
    help="Seconds to wait for another run's lock.",
)


def applying(command: Command) -> Command:
    """The options for applying a plan, passed as `apply_options`."""

    @click.option(
        "--parallel",
        type=click.IntRange(1, 64),
        metavar="N",
        default=8,
        show_default=True,
        help="Maximum number of concurrent steps of one pipeline.",
    )
    @lock_timeout
    @functools.wraps(command)
    def with_apply_options(parallel: int, lock_timeout: float, **rest: Any) -> int:
        return command(apply_options=ApplyOptions(parallel, lock_timeout, command_line()), **rest)

    return with_apply_options


def command_line() -> list[str]:
    """The command and its arguments, for the history. No option takes a secret."""
    return ["reconciler", *sys.argv[1:]]
