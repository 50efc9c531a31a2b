"""Messages for commands and options that do not exist, with the nearest one that does no harm."""

import re

import click

from reconciler.cli.options.common import with_common

RISKY_OPTIONS = frozenset(
    {
        *("--yes", "--approve", "--override"),
        *("--ours", "--theirs", "--take", "--replace", "--prune"),
        *("--force-bump", "--accept-foreign", "--skip-moved", "--skip-stale"),
        *("--write", "--write-baseline", "--rebuild"),
        *("--all", "--no-gpu"),
    }
)
"""Options that write, delete, decide or select more than the command does without them."""

RISKY_COMMANDS = frozenset(
    {
        *("apply", "deploy", "promote", "rollback", "destroy", "adopt", "bump", "logout"),
        *("forget", "move", "unlock", "copy"),
    }
)
"""Commands that write to the platform, to files or to state."""


class CommandGroup(click.Group):
    """A group whose error for an unknown command suggests a similar one."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        return with_common(found) if found is not None else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name == "help":  # as in git, cargo and others: help, help apply, help state list
            if args[1:]:
                return self.resolve_command(ctx, [*args[1:], "--help"])
            if ctx.resilient_parsing:  # a shell completes what follows
                return None, None, []
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from reconciler.pipeline.suggestions import did_you_mean  # late: help needs no suggestion

            hint = did_you_mean(name, self.list_commands(ctx), RISKY_COMMANDS)
            raise click.UsageError(f"there is no command {name!r}.{hint}", ctx)
        found = super().resolve_command(ctx, args)
        if found[1] is not None and not ctx.resilient_parsing:
            _refuse_empty_values(found[1], found[2], ctx)
        return found


def _refuse_empty_values(command: click.Command, arguments: list[str], parent: click.Context) -> None:
    """Raise BadParameter for an option whose value is empty, as that of a variable that is not set.

    The command would use its default instead, such as another organization.
    """
    context = click.Context(command, parent=parent)
    try:
        given, _, params = command.make_parser(context).parse_args(list(arguments))
    except click.UsageError:
        return  # the command raises it again
    for param in params:
        value = given.get(param.name or "")
        if isinstance(param, click.Option) and (value == "" or (isinstance(value, list) and "" in value)):
            advice = "Give it a value, or leave the option out."
            if param.flag_value is not None:  # its value is optional
                advice = f"Give it a value, or write {max(param.opts, key=len)} without =."
            text = f"the value is empty, as a variable that is not set gives it. {advice}"
            raise click.BadParameter(text, context, param)


def wrong_value(problem: click.BadParameter) -> None:
    """Add the nearest choice to the message about a value that is none of them."""
    from reconciler.pipeline.suggestions import did_you_mean

    typed = re.match(r"'(.*)' is not one of ", problem.message)
    if typed and problem.param is not None and isinstance(problem.param.type, click.Choice):
        choices = [str(choice) for choice in problem.param.type.choices]
        problem.message = f"{problem.message}{did_you_mean(typed[1], choices)}"  # type: ignore[misc]


def unknown_option(problem: click.NoSuchOption) -> click.UsageError:
    """The error for an unknown option, which suggests a similar one of the same command."""
    from reconciler.pipeline.suggestions import did_you_mean

    known = problem.ctx.command.get_params(problem.ctx) if problem.ctx is not None else []
    names = [name for param in known for name in (*param.opts, *param.secondary_opts)]
    # Without the dashes, which would make all options look similar.
    words = [name.removeprefix("--") for name in names if name.startswith("--")]
    risky = [name.removeprefix("--") for name in RISKY_OPTIONS]
    hint = did_you_mean(problem.option_name.lstrip("-"), words, risky).replace("'", "'--", 1)
    return click.UsageError(f"there is no option {problem.option_name}.{hint}", problem.ctx)
