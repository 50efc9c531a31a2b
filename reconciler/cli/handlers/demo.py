"""Runs `reconciler demo`."""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import cli
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE, FAILED
from reconciler.views.terminal.console import Console, console
from reconciler.views.terminal.text import Text

if TYPE_CHECKING:
    from providers.sandbox import Sandbox

PIPELINE = "dataset_cleanup"
_NEEDS = "It needs a few MB in the folder for temporary files; TMPDIR names another one."


class _StoppedError(Exception):
    """A command ended in another way than the demo says."""


def run() -> int:
    out = console(sys.stdout)
    with contextlib.ExitStack() as opened:
        home, sandbox = _prepared(opened)
        play = _DemoRun(home, sandbox.url, sandbox.token, sandbox.organization, out)
        try:
            _play(play, sandbox)
        except _StoppedError:
            return FAILED
    return DONE


def _prepared(opened: contextlib.ExitStack) -> "tuple[Path, Sandbox]":
    """A folder with the pipeline, and a sandbox. Raises UserError: there is no room for them."""
    from providers.sandbox import Sandbox

    source = example()
    try:
        home = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="reconciler-demo-")))
        sandbox = opened.enter_context(Sandbox())
        shutil.copytree(source, home / PIPELINE)
        config = home / PIPELINE / "config.toml"
        config.write_bytes(config.read_bytes().replace(b"localhost:8000", sandbox.registry.encode()))
    except OSError as problem:
        reason = problem.args[0][0][-1] if isinstance(problem, shutil.Error) else problem.strerror or problem
        raise UserError(error(f"the demo cannot start: {reason}", _NEEDS)) from None
    return home, sandbox


def _play(play: "_DemoRun", sandbox: "Sandbox") -> None:
    from providers.sandbox import SandboxError

    play.say("A pipeline folder and an empty platform: the plan creates everything.")
    play.run("plan", PIPELINE)
    play.say("Apply builds and pushes the image without Docker, and creates the processing and its inputs.")
    play.run("apply", PIPELINE, "--yes")
    play.say("After that, the plan is empty.")
    play.run("plan", PIPELINE, "--exit-code", expect=0)
    play.say("A user edits the processing on the platform and deletes an input.")
    try:
        sandbox.platform.edit_processing(PIPELINE, description="edited on the platform", default_cpu=64)
        sandbox.platform.delete_input(PIPELINE, sandbox.platform.inputs(PIPELINE)[0]["name"])
    except SandboxError as problem:
        raise UserError(error(f"the sandbox of the demo failed: {problem}", _NEEDS)) from None
    play.say("The plan shows each changed field, and exits with 11: drift.")
    play.run("plan", PIPELINE, "--exit-code", expect=11)
    play.say("Apply restores the values of the files.")
    play.run("apply", PIPELINE, "--yes")
    play.run("plan", PIPELINE, "--exit-code", expect=0)
    play.say("The platform is in sync with the files again.")


def example() -> Path:
    """The folder of the demo's pipeline: in the installed package, else in the repository."""
    package = Path(__file__).parents[2]
    for place in (package / "examples" / PIPELINE, package.parent / "examples" / PIPELINE):
        if place.is_dir():
            return place
    raise UserError(error("the demo's example is missing", "Install picsellia-reconciler again."))


class _DemoRun:
    """Runs commands as a user does, with a temporary home folder."""

    def __init__(self, home: Path, url: str, token: str, organization: str, out: Console) -> None:
        self._home = home
        self._out = out
        for name in [name for name in os.environ if name.startswith("PICSELLIA_")]:
            del os.environ[name]
        os.environ |= {
            "HOME": str(home),
            "PICSELLIA_TOKEN": token,
            "PICSELLIA_ORGANIZATION": organization,
            "PICSELLIA_ENV": "CUSTOM",
            "PICSELLIA_CUSTOM_ENV": url,
            "RECONCILER_STATE": str(home / "state.db"),
        }

    def say(self, text: str) -> None:
        self._out.print()
        self._out.print(Text(text, "bold cyan"))

    def run(self, *arguments: str, expect: int = 0) -> None:
        """Run a command in this process and show its output. Raises _StoppedError for another exit code."""
        self._out.print()
        self._out.print(Text.assemble(("$ ", "dim"), ("reconciler " + " ".join(arguments), "bold")))
        with contextlib.chdir(self._home):
            code = cli.run(arguments)
        if code != expect:
            self._out.print(Text(f"exit {code}, expected {expect}", "bold red"))
            raise _StoppedError
