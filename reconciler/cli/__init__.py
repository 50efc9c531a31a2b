"""The command line: the only place that prints, asks and exits.

`commands/` declares arguments, options and help, and imports no engine. Each command has a handler
of its name in `handlers/`, which imports what it needs when the command runs, so that help is quick.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import NoReturn

import click

from reconciler.core.exit_codes import FAILED, INTERRUPTED, code_of

COMMANDS = {
    "plan": "Show what apply would change, and why.",
    "apply": "Make the platform and the registry what the files say.",
    "deploy": "Build, push and register a pipeline, as pxl-pipeline deploy does.",
    "rollback": "Go back to what was applied earlier.",
    "status": "Show each pipeline in each environment: version, age and drift.",
    "drift": "Tell what somebody changed outside of the files.",
    "adopt": "Take over what somebody changed outside, into the files.",
    "show": "Show a plan that was saved in a file.",
    "graph": "Draw what a pipeline is made of, or a plan.",
    "destroy": "Delete what a pipeline has on the platform.",
    "image": "Show what is published of the image, and how it compares with the source.",
    "validate": "Check config.toml, classes and build context, offline.",
    "bump": "Write the next version into config.toml.",
    "login": "Save an API token, and use it from now on.",
    "logout": "Forget a saved API token.",
    "switch": "Use another saved login.",
    "whoami": "Show which platform, organization and token would be used.",
    "state": "Look after the record of what was applied.",
    "sandbox": "Run a platform and a registry on your own machine.",
    "demo": "Play plan, apply and drift against a sandbox, in a minute.",
}


class _Commands(click.Group):
    """Commands that are imported when they are run, each in a module of its own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"reconciler.cli.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="picsellia-reconciler", prog_name="reconciler")
def group() -> None:
    """Plan, apply and watch Picsellia pipelines: what the files say is what the platform has.

    A pipeline is a folder with a config.toml, as pxl-pipeline init makes it. Try it without an account:

        reconciler demo
    """
    import logging  # not for --help, which it would slow down

    # What libraries log or warn of repeats what servers sent, and goes to stderr unless something takes it.
    logging.captureWarnings(True)
    if not logging.root.handlers:
        logging.root.addHandler(logging.NullHandler())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code; every way out that is not a bug of ours is one message."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what cannot be shown is no reason to stop
    code = run(arguments)
    if code == INTERRUPTED:
        # Reads may be under way that nobody waits for any more; Python would, for as long as they may take.
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code."""
    try:
        code = group.main(args=arguments, prog_name="reconciler", standalone_mode=False)
    except click.ClickException as problem:
        from reconciler.views.safe import in_workflow, one_line, without_workflow_commands

        told = one_line(problem.message)  # it repeats what was typed
        problem.message = without_workflow_commands(told) if in_workflow() else told  # type: ignore[misc]
        problem.show()
        return problem.exit_code
    except (click.Abort, KeyboardInterrupt):
        # A terminal has put ^C at the end of whatever line it was on.
        print("\ninterrupted" if sys.stderr.isatty() else "interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output went away (`| head`); nothing is left to say, nor anyone to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as problem:  # noqa: BLE001 - the last handler: what comes here is told and counted
        return _report_error(problem)
    return code if isinstance(code, int) else 0


def _report_error(problem: Exception) -> int:
    """Tell the user what went wrong; the exit code that goes with it."""
    from reconciler.core.diagnostics import UserError, error
    from reconciler.views.terminal.console import console
    from reconciler.views.terminal.messages import diagnosed, print_diagnostics
    from state.errors import StateError

    err = console(sys.stderr)
    if isinstance(problem, UserError | StateError):
        print_diagnostics(diagnosed(problem), err)
        return code_of(problem)
    if isinstance(problem, OSError) and problem.strerror:
        where = f"{problem.filename}: " if problem.filename else ""
        print_diagnostics([error(f"the system does not let us go on: {where}{problem.strerror}")], err)
        return FAILED
    print_diagnostics(
        [
            error(
                f"a bug in reconciler: {type(problem).__name__}: {problem}",
                "Nothing that you did should lead here. Please report it with what follows.\n"
                + traceback.format_exc(),
            )
        ],
        err,
    )
    return FAILED
