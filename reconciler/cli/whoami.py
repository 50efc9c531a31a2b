"""`reconciler whoami`."""

import sys
import threading

import click

from reconciler.cli import options
from reconciler.cli.exits import DONE
from reconciler.session import session, username
from reconciler.views.documents import written
from reconciler.views.lines import console
from reconciler.views.reports import print_pairs
from reconciler.views.watch import Watch


@click.command("whoami")
@options.where
@click.option("--json", "as_json", is_flag=True, help="Print it as a JSON document.")
def command(where: options.Where, as_json: bool) -> int:
    """Show which platform, organization and token would be used, and whether they work."""
    target = where.target()
    with (
        Watch(console(sys.stderr)) as watch,
        session(target, options.store(), watch, threading.Event()) as opened,
    ):
        user = username(opened)
    facts = {
        "user": user,
        "organization": target.organization,
        "environment": target.environment.value,
        "host": target.host,
        "token from": target.token_from,
    }
    if as_json:
        sys.stdout.write(written({key.replace(" ", "_"): value for key, value in facts.items()}))
    else:
        print_pairs(facts, console(sys.stdout))
    return DONE
