"""Runs `reconciler demo`."""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from reconciler import cli
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE, FAILED
from reconciler.views.terminal.console import Console, console
from reconciler.views.terminal.text import Text

PIPELINE = "dataset_cleanup"


def run() -> int:
    from providers.sandbox import Sandbox

    out = console(sys.stdout)
    with tempfile.TemporaryDirectory(prefix="reconciler-demo-") as home, Sandbox() as sandbox:
        folder = Path(home) / PIPELINE
        shutil.copytree(example(), folder)
        config = folder / "config.toml"
        config.write_bytes(config.read_bytes().replace(b"localhost:8000", sandbox.registry.encode()))
        play = _DemoRun(Path(home), sandbox.url, sandbox.token, sandbox.organization, out)

        play.say("A pipeline folder and an empty platform: the plan creates everything.")
        play.run("plan", PIPELINE)
        play.say(
            "Apply builds and pushes the image without Docker, and creates the processing and its inputs."
        )
        play.run("apply", PIPELINE, "--yes")
        play.say("After that, the plan is empty.")
        play.run("plan", PIPELINE, "--exit-code", expect=0)
        play.say("A user edits the processing on the platform and deletes an input.")
        sandbox.platform.edit_processing(PIPELINE, description="edited on the platform", default_cpu=64)
        sandbox.platform.delete_input(PIPELINE, sandbox.platform.inputs(PIPELINE)[0]["name"])
        play.say("The plan shows each changed field, and exits with 11: drift.")
        play.run("plan", PIPELINE, "--exit-code", expect=11)
        play.say("Apply restores the values of the files.")
        play.run("apply", PIPELINE, "--yes")
        play.run("plan", PIPELINE, "--exit-code", expect=0)
        play.say("The platform is in sync with the files again.")
    return DONE if play.succeeded else FAILED


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
        self.succeeded = True

    def say(self, text: str) -> None:
        self._out.print()
        self._out.print(Text(text, "bold cyan"))

    def run(self, *arguments: str, expect: int = 0) -> None:
        """Run a command in this process and show its output. Sets `succeeded` for an unexpected exit code."""
        self._out.print()
        self._out.print(Text.assemble(("$ ", "dim"), ("reconciler " + " ".join(arguments), "bold")))
        with contextlib.chdir(self._home):
            code = cli.run(arguments)
        if code != expect:
            self._out.print(Text(f"exit {code}, expected {expect}", "bold red"))
            self.succeeded = False
