"""`reconciler demo`: the main story, played with the real commands against a sandbox of its own."""

import click


@click.command("demo")
def command() -> int:
    """Run plan, apply and drift against a sandbox, in a minute.

    Needs neither an account nor Docker. Uses a temporary folder and removes it at the end.

    \b
    Example:
      reconciler demo
    """
    from reconciler.cli.handlers.demo import run

    return run()
