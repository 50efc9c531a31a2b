"""`reconciler completion`."""

from typing import Any

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(**arguments: Any) -> int:
    """Print the script that completes commands in a shell.

    The shell then completes commands, options and their values, pipelines, environments and groups, and
    stacks, addresses and versions from the state, if that is on this machine. It contacts nothing.

    \b
    Examples:
      source <(reconciler completion bash)
      reconciler completion fish > ~/.config/fish/completions/reconciler.fish
    """
    from reconciler.cli.handlers.completion import run

    return run(**arguments)
