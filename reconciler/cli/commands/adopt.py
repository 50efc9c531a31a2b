"""`reconciler adopt`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.drift.adopt_target import AdoptTarget


class _AdoptTargetType(click.ParamType[AdoptTarget]):
    name = "ADDR[#FIELD]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> AdoptTarget:
        try:
            return value if isinstance(value, AdoptTarget) else AdoptTarget.parse(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


@click.command("adopt")
@click.argument("name", metavar="PIPELINE")
@click.argument("wanted", metavar="[ADDR[#FIELD]]...", type=_AdoptTargetType(), nargs=-1)
@options.where
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.classes
def command(**given: Any) -> int:
    """Take over what somebody changed outside: write it into the files, so that apply leaves it.

    Values of config.toml are written there. What a class says is printed as a patch for `git apply` or
    `patch -p1`. Without ADDR all that changed outside is taken over, as far as a file says it. Nothing is
    written on the platform. Exits with 1 when something needs an edit by hand.
    """
    from reconciler.cli.handlers.adopt import run

    return run(**given)
