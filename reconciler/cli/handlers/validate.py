"""Runs `reconciler validate`."""

import sys

from reconciler.api.requests import ReadOptions
from reconciler.api.validating import declared_twice, unmatched_globs, validated_files
from reconciler.cli import options
from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.core.exit_codes import DONE, FAILED
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics, print_pipeline
from reconciler.views.terminal.progress import ProgressView


def run(selection: options.Selection, read_options: ReadOptions) -> int:
    out, err = console(sys.stdout), console(sys.stderr)
    code, reported = DONE, set[Diagnostic]()

    def failed(problem: UserError) -> None:
        nonlocal code
        code = FAILED
        print_diagnostics(problem.diagnostics, err)

    if selection.request.everything and (unmatched := unmatched_globs(options.workspace())):
        failed(UserError(*unmatched))
    folders = selection.folders(failed)
    for folder in folders:
        with ProgressView(err) as progress:
            found = validated_files(folder, read_options, progress, reported)
        print_diagnostics([*found.problems, *found.secrets], err)
        code = FAILED if FAILED in (code, found.exit_code) else code or found.exit_code
        pipeline, key = found.validated.pipeline, found.validated.key
        if found.exit_code == DONE and pipeline is not None and key is not None:
            print_pipeline(pipeline, key, out)
    if twice := declared_twice(folders, read_options.shared):
        failed(UserError(*twice))
    return code
