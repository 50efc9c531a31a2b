"""Runs `reconciler bump`."""

import sys

from msgspec.structs import replace

from reconciler.api.bumping import VersionBump, bump_version
from reconciler.cli import options
from reconciler.core.diagnostics import UserError
from reconciler.core.exit_codes import DONE, code_of, worst
from reconciler.pipeline.bumps import Bump
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.text import Text


def run(kind: str, selection: options.Selection, dry_run: bool) -> int:
    out, err = console(sys.stdout), console(sys.stderr)
    codes = {DONE}

    def failed(problem: UserError) -> None:
        print_diagnostics(problem.diagnostics, err)
        codes.add(code_of(problem))

    for folder in replace(selection, is_strict=not dry_run).folders(failed):
        try:
            shared = options.workspace().shared()
            out.print(_line(bump_version(folder, Bump(kind), shared, is_written=not dry_run)))
        except UserError as problem:
            failed(problem)
    return worst(codes)


def _line(bumped: VersionBump) -> Text:
    versions = (f"{bumped.before} -> ", ""), (bumped.after, "bold")
    return Text.assemble(f"{bumped.file}  version ", *versions, f", image_tag {bumped.image_tag}")
