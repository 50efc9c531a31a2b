"""What `reconciler demo` does."""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from reconciler import cli
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE, FAILED
from reconciler.views.terminal.console import console

PIPELINE = "dataset_cleanup"


def run() -> int:
    from providers.sandbox import Sandbox

    out = console(sys.stdout)
    with tempfile.TemporaryDirectory(prefix="reconciler-demo-") as home, Sandbox() as sandbox:
        folder = Path(home) / PIPELINE
        shutil.copytree(example(), folder)
        config = folder / "config.toml"
        config.write_text(config.read_text().replace("localhost:8000", sandbox.registry))
        play = _DemoRun(Path(home), sandbox.url, sandbox.token, sandbox.organization, out)

        play.say("A pipeline folder, and a platform that has never heard of it. What would happen?")
        play.run("plan", PIPELINE)
        play.say("Do it: build and push the image (without Docker), register the processing and its inputs.")
        play.run("apply", PIPELINE, "--yes")
        play.say("Again: there is nothing to do, and so nothing is done.")
        play.run("plan", PIPELINE, "--exit-code", expect=0)
        play.say("Now somebody edits the processing on the platform, and deletes an input …")
        sandbox.platform.edit_processing(PIPELINE, description="edited in a hurry", default_cpu=64)
        sandbox.platform.delete_input(PIPELINE, sandbox.platform.inputs(PIPELINE)[0]["name"])
        play.say("… and the plan says what, field by field. It exits with 11, which is drift.")
        play.run("plan", PIPELINE, "--exit-code", expect=11)
        play.say("Put it back as the files say.")
        play.run("apply", PIPELINE, "--yes")
        play.run("plan", PIPELINE, "--exit-code", expect=0)
        play.say("The plan is empty: the platform is what the files say.")
    return DONE if play.went_well else FAILED


def example() -> Path:
    """The example that is played: in the package when installed, in the repository else."""
    package = Path(__file__).parents[2]
    for place in (package / "examples" / PIPELINE, package.parent / "examples" / PIPELINE):
        if place.is_dir():
            return place
    raise UserError(error("the demo's example is not there", "Install picsellia-reconciler again."))


class _DemoRun:
    """Runs commands as a user would, in a home of their own."""

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
        self.went_well = True

    def say(self, text: str) -> None:
        self._out.print()
        self._out.print(Text(text, "bold cyan"))

    def run(self, *arguments: str, expect: int = 0) -> None:
        """Run it in this process and show what it shows; remembers when it did not end as it should."""
        self._out.print()
        self._out.print(Text.assemble(("$ ", "dim"), ("reconciler " + " ".join(arguments), "bold")))
        with contextlib.chdir(self._home):
            code = cli.run(arguments)
        if code != expect:
            self._out.print(Text(f"exit {code}, expected {expect}", "bold red"))
            self.went_well = False
