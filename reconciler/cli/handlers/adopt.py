"""Runs `reconciler adopt`."""

import os
import stat
import sys
from pathlib import Path
from typing import IO

from providers.regular_files import real_path
from reconciler.api.adopting import Adoption, adoption, patch, plan_to_adopt, write
from reconciler.api.requests import AdoptTarget, ReadOptions
from reconciler.cli import options, prompts
from reconciler.cli.prompts import Question, confirm
from reconciler.core.diagnostics import error
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED
from reconciler.core.values import Address
from reconciler.views.safe import has_commands, in_workflow
from reconciler.views.terminal.adopted import print_adopted, print_config, print_remaining
from reconciler.views.terminal.console import Console, console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.plans import print_refusals
from reconciler.views.terminal.progress import ProgressView

_NOTHING_WRITTEN = "Nothing was written."


def run(
    name: str | None,
    targets: tuple[AdoptTarget, ...],
    where: options.TargetOptions,
    take: tuple[Address, ...],
    dry_run: bool,
    yes: bool,
    read_options: ReadOptions,
) -> int:
    out, err = console(sys.stdout), console(sys.stderr)
    if name is not None and options.is_in_pipeline() and options.as_address(name.partition("#")[0]):
        targets, name = (AdoptTarget.parse(name), *targets), None
    folder = options.pipeline_folder(name, where)
    with ProgressView(err) as progress:
        planned = plan_to_adopt(folder, where.named(), options.state_url(), read_options, progress, take=take)
    if planned.plan.claimed:
        print_refusals(planned.plan, err)
        return CONFLICT
    with ProgressView(err) as progress:
        adopted = adoption(planned, targets, progress)
    if adopted.written:
        print_config(adopted, err)
    print_remaining(adopted, planned.plan.stack, err)  # before the question
    print_diagnostics([*adopted.remarks, *adopted.by_hand], err)
    if adopted.written and not dry_run:
        if not yes and prompts.is_interactive() and not confirm(Question.WRITE):
            err.print(_NOTHING_WRITTEN)
            return FAILED
        write(adopted)
    printed = _print_patch(adopted, folder, out, err)
    print_adopted(adopted, planned.plan.stack, err, is_written=not dry_run)
    if dry_run and (adopted.written or adopted.patched):
        err.print(_NOTHING_WRITTEN)
    return FAILED if adopted.by_hand or not printed else DONE


def _print_patch(adopted: Adoption, folder: Path, out: Console, err: Console) -> bool:
    """Print the patch alone on stdout, for a pipe into `patch -p1`. False if it could not be printed."""
    here = Path.cwd()
    base = here if real_path(folder).is_relative_to(real_path(here)) else folder
    texts = [
        patch(real_path(file).relative_to(real_path(base)), before, after)
        for file, (before, after) in adopted.patched.items()
    ]
    if in_workflow() and not _is_file(out.file) and any(map(has_commands, texts)):
        detail = (
            "GitHub Actions would run lines of it as workflow commands, and a patch cannot escape them.\n"
            "Write it to a file:  reconciler adopt … > adopt.patch"
        )
        print_diagnostics([error("the patch is not printed", detail)], err)
        return False
    for text in texts:
        out.file.write(text)
    if adopted.patched:
        err.print(f"apply the patch with git apply or patch -p1 in {'this folder' if base == here else base}")
    return True


def _is_file(stream: IO[str]) -> bool:
    """Whether the stream is a regular file, which no workflow reads."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False
