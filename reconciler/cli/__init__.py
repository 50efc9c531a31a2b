"""The command line: the only place that prints, prompts and exits.

`commands/` declares arguments, options and help, and does not import the engine. The handler of the same name
in `handlers/` does the work, and is imported when the command runs. This keeps `--help` fast.
"""

import gc
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TextIO

import click
from click.shell_completion import CompletionItem

from reconciler.cli.interruption import bounded
from reconciler.cli.mistyped import CommandGroup, unknown_option, wrong_value
from reconciler.cli.options.common import with_common
from reconciler.core.exit_codes import FAILED, INTERRUPTED, code_of

if TYPE_CHECKING:
    from reconciler.core.diagnostics import Diagnostic

COMMANDS = {
    "init": "Create a pipeline.",
    "plan": "Show what apply would change, and why.",
    "apply": "Bring the platform and the registry in line with the files.",
    "deploy": "Build, push and register a pipeline, as pxl-pipeline deploy does.",
    "promote": "Give an environment the images that another one runs.",
    "rollback": "Restore the state of an earlier run.",
    "status": "Show version, image, last apply and drift of each pipeline.",
    "drift": "Report changes made outside of the files.",
    "dashboard": "Write static pages about all pipelines and environments.",
    "adopt": "Write changes made outside of the files into the files.",
    "show": "Show a saved plan, or the results of a run.",
    "graph": "Draw a pipeline's resources, or what pipelines share.",
    "destroy": "Delete a pipeline's resources from the platform.",
    "image": "Show the published image, and compare it with the source.",
    "contract": "Show the inputs of a processing, or what changes for its jobs.",
    "list": "List pipelines with stack, type, version and GPUs.",
    "validate": "Check config.toml, classes and build context, offline.",
    "schema": "Print the JSON Schema of a file or document, for editors and scripts.",
    "completion": "Print the script that completes commands in a shell.",
    "bump": "Write the next version into config.toml.",
    "login": "Save an API token, and use it from now on.",
    "logout": "Remove a saved API token.",
    "switch": "Use another saved login.",
    "whoami": "Show the platform, organization and token in use.",
    "state": "Show, check and repair state.",
    "sandbox": "Run a platform and a registry on your machine.",
    "demo": "Run plan, apply and drift against a sandbox, in a minute.",
}

COMPLETE: Final = "_RECONCILER_COMPLETE"
"""The variable with which the script of a shell asks for completions."""
_UNUSED: Final = ("tornado", "chardet", "charset_normalizer")
"""Modules that libraries import where they are installed, and that no command uses: tenacity for loops of
Tornado, requests to guess encodings. `engine.cluster` needs the first one."""


class _Commands(CommandGroup):
    """Imports each command from the module of its name when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"reconciler.cli.commands.{cmd_name}").command
        return command if isinstance(command, click.Group) else with_common(command)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The commands that start with this, and options. The group of click would import every command."""
        found = [
            CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(None, "--version", "-V", package_name="picsellia-reconciler", prog_name="reconciler")
def group() -> None:
    """Deploy Picsellia pipelines from their folders, and report drift.

    A pipeline is a folder with a config.toml, as init creates it. demo shows what you can do with one, and
    needs no account.

    \b
    Examples:
      reconciler demo
      reconciler init my_pipeline
      reconciler plan my_pipeline --organization my-org --env STAGING
    """
    import logging  # imported here, as it would slow down --help

    # Logs and warnings of libraries repeat text from servers. Without a handler they would go to stderr.
    logging.captureWarnings(True)
    if not logging.root.handlers:
        logging.root.addHandler(logging.NullHandler())


with_common(group)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code. Errors other than bugs print one message, no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # unprintable characters must not end the run
    code = _flushed(run(arguments))
    if code == INTERRUPTED:
        # Pending reads are abandoned. A normal exit would wait for their threads.
        if "reconciler.engine.workers" in sys.modules:
            sys.modules["reconciler.engine.workers"].remove_sockets()
        os._exit(code)
    gc.freeze()  # the end of the interpreter would look for cycles in all that the command made
    sys.exit(code)


def _flushed(code: int) -> int:
    """The exit code once all output is written: Python would exit with 120 if the rest of it cannot be."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError as problem:
            _give_up(stream)
            if code == 0 and stream is sys.stdout and not isinstance(problem, BrokenPipeError):
                problem.filename = "stdout"
                _report_error(problem)
            code = code or FAILED
    return code


def _give_up(stream: TextIO) -> None:
    """Send what is left for this stream, which cannot be written, nowhere."""
    with suppress(OSError):  # a test's stream has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code, which is not 0 if some output could not be written."""
    code = _run(arguments)
    module = sys.modules.get("reconciler.views.terminal.lost_output")
    problem = module.lost.take() if module else None
    if problem is None:
        return code
    with suppress(OSError):
        from reconciler.core.diagnostics import error
        from reconciler.views.terminal.console import console
        from reconciler.views.terminal.messages import print_diagnostics

        detail = f"{problem.strerror}. The command went on without it, to its end."
        summary = f"{problem.filename or 'some output'} cannot be written"
        print_diagnostics([error(summary, detail)], console(sys.stderr))
    return code or FAILED


def _run(arguments: Sequence[str] | None) -> int:
    if COMPLETE in os.environ:
        import_module("reconciler.cli.shells")  # registers the scripts of each shell
    for name in _UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    warnings.filterwarnings("ignore", "Unable to find acceptable character detection")  # by requests
    try:
        with bounded():
            code = group.main(args=arguments, prog_name="reconciler", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as problem:
        with suppress(OSError):
            problem.show()  # its message is the help page, in lines
        return problem.exit_code
    except click.ClickException as problem:
        from providers.hiding import safe_message
        from reconciler.views.safe import in_workflow, one_line, without_workflow_commands

        if isinstance(problem, click.NoSuchOption):
            problem = unknown_option(problem)
        elif isinstance(problem, click.BadParameter):
            wrong_value(problem)

        message = one_line(safe_message(problem.message))  # it quotes the arguments
        problem.message = without_workflow_commands(message) if in_workflow() else message  # type: ignore[misc]
        with suppress(OSError):
            problem.show()
        return problem.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _interrupted()
    except SystemExit as problem:
        # click printed completions, or the reader of the pipe ended (`| head`): nothing more can be printed.
        return problem.code if isinstance(problem.code, int) else FAILED
    except Exception as problem:  # noqa: BLE001 - the last handler, which reports the exception
        if _is_of_interruption(problem):
            return _interrupted()
        from reconciler.views.terminal.lost_output import unstoppable

        with unstoppable():
            return _report_error(problem)
    return code if isinstance(code, int) else 0


def _interrupted() -> int:
    # The terminal has printed ^C at the end of the current line.
    with suppress(OSError):
        print("\ninterrupted" if sys.stderr.isatty() else "interrupted", file=sys.stderr)  # noqa: T201
    return INTERRUPTED


def _is_of_interruption(problem: BaseException) -> bool:
    """Whether Python turned an interruption into another error, as it does when it makes a class."""
    cause = problem.__cause__
    return cause is not None and (isinstance(cause, KeyboardInterrupt) or _is_of_interruption(cause))


def _os_error(problem: OSError) -> "Diagnostic":
    """An error of the operating system, with what it is about: Python names files only."""
    from reconciler.api.errors import unexpected
    from reconciler.core.diagnostics import error

    if problem.filename in ("stdout", "stderr") or _is_of_click(problem):
        return error(f"{problem.filename or 'stdout'} cannot be written", f"{problem.strerror}.")
    try:
        Path.cwd()
    except FileNotFoundError:
        detail = "It was deleted or moved. Change to another folder with cd."
        return error("the current folder does not exist any more", detail)
    return unexpected(problem)


def _is_of_click(problem: OSError) -> bool:
    """Whether click raised it, which writes help and versions to stdout, and opens no file."""
    step = problem.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return step is not None and str(step.tb_frame.f_globals.get("__name__")).startswith("click.")


def _report_error(problem: Exception) -> int:
    """Print an error, unless stderr cannot be written, and return its exit code."""
    from reconciler.api.errors import StateError, diagnostics_of, unexpected
    from reconciler.core.diagnostics import UserError
    from reconciler.views.terminal.console import console
    from reconciler.views.terminal.messages import print_diagnostics

    err = console(sys.stderr)
    if isinstance(problem, UserError | StateError):
        print_diagnostics(diagnostics_of(problem), err)
        return code_of(problem)
    if isinstance(problem, OSError) and problem.strerror:
        print_diagnostics([_os_error(problem)], err)
        return FAILED
    print_diagnostics([unexpected(problem)], err)
    return FAILED
