"""`reconciler demo`: the main story, played with the real commands against a sandbox of its own."""

import click


@click.command("demo")
def command() -> int:
    """Play plan, apply and drift against a sandbox, in a minute.

    Needs no account and no Docker, and leaves nothing behind: everything happens in a temporary folder.
    """
    from reconciler.cli.handlers.demo import run

    return run()
