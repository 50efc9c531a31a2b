"""The options of a plan."""

import functools
from collections.abc import Callable
from typing import Any

import click
from msgspec.structs import replace as replaced

from reconciler.api.requests import Bump, PlanRequest
from reconciler.cli.options.command import Command
from reconciler.cli.options.param_types import ADDRESS, EVERYWHERE, WinnerType
from reconciler.core.plan_options import PlanOptions
from reconciler.core.values import Address


def planning(command: Command) -> Command:
    """The options of a plan, passed as `request`."""
    return versions(resolving(command))


def resolving(command: Command) -> Command:
    """As `planning`, without the options for the image's version."""

    @click.option(
        "--target",
        "targets",
        type=ADDRESS,
        multiple=True,
        help="Plan only this resource and its dependencies.",
    )
    @click.option(
        "--prune",
        is_flag=True,
        help="Delete resources that left the files. Default: only remove them from the state.",
    )
    @deciding("the files")
    @functools.wraps(command)
    def with_request(
        targets: tuple[Address, ...],
        prune: bool,
        decisions: PlanOptions,
        version: PlanRequest | None = None,
        **rest: Any,
    ) -> int:
        options = replaced(decisions, prune=prune)
        return command(request=replaced(version or PlanRequest(), options=options, targets=targets), **rest)

    return with_request


def deciding(desired: str) -> Callable[[Command], Command]:
    """The options that decide what a plan may do, passed as `decisions`.

    Args:
        desired: what has the desired values, for the help.
    """
    winner: dict[str, Any] = {
        "type": WinnerType(),
        "multiple": True,
        "is_flag": False,
        "flag_value": EVERYWHERE,
        "metavar": "[ADDR]",
    }

    def decorated(command: Command) -> Command:
        @take
        @click.option(
            "--replace",
            type=ADDRESS,
            multiple=True,
            help="Allow this resource to be deleted and created again.",
        )
        @click.option(
            "--ours",
            help=f"Resolve conflicts with the values of {desired}, for ADDR or all resources.",
            **winner,
        )
        @click.option(
            "--theirs", help="Resolve conflicts with the live values, for ADDR or all resources.", **winner
        )
        @functools.wraps(command)
        def with_decisions(
            replace: tuple[Address, ...],
            take: tuple[Address, ...],
            ours: tuple[Address | None, ...],
            theirs: tuple[Address | None, ...],
            **rest: Any,
        ) -> int:
            if set(ours) & set(theirs):
                raise click.UsageError("--ours and --theirs contradict each other")
            decisions = PlanOptions(ours=_winners(ours), theirs=_winners(theirs), replace=replace, take=take)
            return command(decisions=decisions, **rest)

        return with_decisions

    return decorated


take = click.option(
    "--take",
    type=ADDRESS,
    multiple=True,
    help="Take over this resource, although another stack claims it.",
)


def versions(command: Command) -> Command:
    """The options for the image's version, passed as `version`."""

    @click.option(
        "--bump",
        type=click.Choice([kind.value for kind in Bump]),
        help="Publish as the next version if the published version has another source.",
    )
    @click.option(
        "--force-bump",
        is_flag=True,
        help="With --bump, for one pipeline: publish even if this source is already published.",
    )
    @click.option(
        "--accept-foreign",
        is_flag=True,
        help="Trust that a version which another tool published was made from these files.",
    )
    @functools.wraps(command)
    def with_version(bump: str | None, force_bump: bool, accept_foreign: bool, **rest: Any) -> int:
        if force_bump and bump is None:
            raise click.UsageError("--force-bump needs --bump KIND")
        version = PlanRequest(Bump(bump) if bump else None, force_bump, accept_foreign)
        return command(version=version, **rest)

    return with_version


def _winners(addresses: tuple[Address | None, ...]) -> tuple[Address, ...] | None:
    return None if None in addresses else tuple(address for address in addresses if address is not None)
