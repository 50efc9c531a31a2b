"""What `reconciler whoami` does."""

import sys
import threading

from reconciler.cli import options, stores
from reconciler.cli.documents import print_document
from reconciler.core.exit_codes import DONE
from reconciler.credentials import saved
from reconciler.credentials.saved import Login
from reconciler.engine.session import session
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_pairs
from reconciler.views.terminal.progress import ProgressView


def run(where: options.TargetOptions, as_json: bool) -> int:
    target = where.target()
    with (
        ProgressView(console(sys.stderr)) as watch,
        session(target, stores.store(watch), watch, threading.Event()) as opened,
    ):
        user = opened.platform.username
    values = {
        "user": user,
        "organization": target.organization,
        "environment": target.environment.name,
        "host": target.host,
        "token_from": target.token_from,
    }
    places = {
        "organization": target.organization_from,
        "environment": target.environment_from,
        "host": target.host_from,
    }
    used = Login(target.organization, target.environment.name)
    others = [str(login) for login in saved.logins() if login != used]
    if as_json:
        origins = {f"{name}_from": place for name, place in places.items()}
        print_document(json_text({**values, **origins, "other_logins": others}))
        return DONE
    facts = {
        name.replace("_", " "): f"{value}  ({places[name]})" if places.get(name) else value
        for name, value in values.items()
    }
    if others:
        facts["also saved"] = ", ".join(others)
    print_pairs(facts, console(sys.stdout))
    return DONE
