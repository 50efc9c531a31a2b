"""Every command with its help, for the command reference, the man pages and tests."""

from collections.abc import Iterator

import click

from reconciler.cli import group


def every_command() -> Iterator[click.Context]:
    """The context of each command, groups before their commands, in the order of `--help`."""
    yield from _below("reconciler", group, None)


def _below(name: str, command: click.Command, parent: click.Context | None) -> Iterator[click.Context]:
    settings = command.context_settings if parent is None else {}  # a command keeps its first help option
    context = click.Context(command, parent, info_name=name, **{**settings, "max_content_width": 10_000})
    yield context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from _below(below, found, context)
            if (parent, below) == (None, "drift"):
                from reconciler.cli.commands.drift_merge import command as merge

                yield from _below("drift merge", merge, context)


def options_of(context: click.Context) -> list[tuple[str, str]]:
    """Each option of a command with its meaning."""
    records = [param.get_help_record(context) for param in context.command.params]
    return [record for record in records if record and record[1]]
