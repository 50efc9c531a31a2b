"""`reconciler adopt`."""

from typing import Any

import click

from reconciler.api.requests import AdoptTarget
from reconciler.cli import options


class _AdoptTargetType(click.ParamType[AdoptTarget]):
    name = "ADDR[#FIELD]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> AdoptTarget:
        try:
            return value if isinstance(value, AdoptTarget) else AdoptTarget.parse(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


@click.command("adopt", cls=options.SectionedCommand)
@options.pipeline
@click.argument("targets", metavar="[ADDR[#FIELD]]...", type=_AdoptTargetType(), nargs=-1)
@options.where
@options.take
@click.option("--dry-run", is_flag=True, help="Show the changes of the files, and write nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for approval.")
@options.classes
def command(**arguments: Any) -> int:
    """Write changes made outside of the files into the files, so that apply keeps them.

    adopt writes values into config.toml, and prints changes to a class as a patch for `git apply` or
    `patch -p1`. Without ADDR, it adopts every change that the files can hold. It writes nothing to the
    platform. It exits with 1 if you have to edit something by hand.

    \b
    Examples:
      reconciler adopt my_pipeline
      reconciler adopt my_pipeline processing/my_pipeline#default_cpu
    """
    from reconciler.cli.handlers.adopt import run

    return run(**arguments)
