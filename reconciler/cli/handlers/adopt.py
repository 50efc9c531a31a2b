"""What `reconciler adopt` does."""

import os
import stat
import sys
import threading
from pathlib import Path
from typing import IO

from rich.console import Console

from providers.regular_files import real_path
from reconciler.cli import options, prompts, stores
from reconciler.cli.prompts import confirm
from reconciler.core.diagnostics import error
from reconciler.core.exit_codes import DONE, FAILED
from reconciler.drift.adopt import Adoption, adoption, patch, write
from reconciler.drift.adopt_target import AdoptTarget
from reconciler.engine.plan import make_plan
from reconciler.engine.requests import PlanRequest, ReadOptions
from reconciler.engine.session import session
from reconciler.engine.validate import validate
from reconciler.views.safe import has_commands, in_workflow
from reconciler.views.terminal.adopted import print_adopted, print_config
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView


def run(
    name: str,
    wanted: tuple[AdoptTarget, ...],
    where: options.TargetOptions,
    yes: bool,
    read_options: ReadOptions,
) -> int:
    out, err = console(sys.stdout), console(sys.stderr)
    folder = options.pipeline_folder(name)
    checked = validate(folder, where.reads(read_options))
    with (
        ProgressView(err) as watch,
        session(where.target(), stores.store(watch), watch, threading.Event(), verb="apply") as opened,
    ):
        planned = make_plan(opened, checked, PlanRequest())
    adopted = adoption(planned, wanted)
    if adopted.written:
        print_config(adopted, err)
        if not yes and prompts.someone_watches() and not confirm("Write this?", default=False):
            err.print("declined; nothing was written")
            return FAILED
        write(adopted)
    printed = _print_patch(adopted, folder, out, err)
    print_adopted(adopted, planned.plan.stack, err)
    print_diagnostics(adopted.by_hand, err)
    return FAILED if adopted.by_hand or not printed else DONE


def _print_patch(adopted: Adoption, folder: Path, out: Console, err: Console) -> bool:
    """On stdout and nothing else there, so that it can be piped into `patch -p1`."""
    here = Path.cwd()
    base = here if real_path(folder).is_relative_to(real_path(here)) else folder
    texts = [
        patch(real_path(file).relative_to(real_path(base)), before, after)
        for file, (before, after) in adopted.patched.items()
    ]
    if in_workflow() and not _is_file(out.file) and any(map(has_commands, texts)):
        told = (
            "It has lines that GitHub Actions would obey, and a patch cannot be written otherwise.\n"
            "Write it to a file:  reconciler adopt … > adopt.patch"
        )
        print_diagnostics([error("the patch is not printed", told)], err)
        return False
    for text in texts:
        out.file.write(text)
    if adopted.patched:
        err.print(f"apply it with git apply or patch -p1, in {'this folder' if base == here else base}")
    return True


def _is_file(stream: IO[str]) -> bool:
    """Whether what is printed goes to a file, and to no log."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False
