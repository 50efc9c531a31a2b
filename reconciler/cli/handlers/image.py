"""Runs `reconciler image`."""

import sys

from providers.docker.verdicts import ImageWay
from providers.reasons import WayOut
from reconciler.cli import options, stores
from reconciler.cli.documents import print_document
from reconciler.core.diagnostics import UserError
from reconciler.core.events import Note
from reconciler.core.exit_codes import CONFLICT, DONE, UNCHECKED
from reconciler.core.plan import Stack
from reconciler.credentials.target import Target
from reconciler.engine.image_report import find_published_secrets, inspect_image
from reconciler.engine.requests import ReadOptions
from reconciler.engine.session import registries, stack_of, with_older_names
from reconciler.engine.validate import validate
from reconciler.views.reports.image_json import image_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.images import print_image
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView
from reconciler.workspace.discovery import stacks_below


def run(
    name: str | None, where: options.TargetOptions, as_json: bool, secrets: bool, read_options: ReadOptions
) -> int:
    err = console(sys.stderr)
    with ProgressView(err) as progress:
        validated = validate(options.pipeline_folder(name), where.reads(read_options), emit=progress)
    pipeline, _ = validated.require_valid()
    stack: Stack | None = None
    no_state_reason = "none here, so the files that changed are unknown; the next apply records them"
    target: Target | None = None
    try:
        target = where.target()
        stack = stack_of(target, pipeline)
    except UserError as problem:
        no_state_reason = f"not read: {problem.diagnostics[0].summary}"
    named = [name] if name else []
    bump, accept = (
        WayOut(
            label, stack.command("apply", *more) if stack else " ".join(["reconciler apply", *named, *more])
        )
        for label, more in (
            (ImageWay.NEW_VERSION, ["--bump", "patch"]),
            (ImageWay.ACCEPT_FOREIGN, ["--accept-foreign"]),
        )
    )
    with ProgressView(err) as progress, stores.store(progress) as store:
        stored = None
        if target is not None and stack is not None:
            try:
                with with_older_names(target, [pipeline], store, progress, stacks_below) as found_store:
                    stored = found_store.load(str(stack))
            except UserError as problem:
                no_state_reason = f"not read: {problem.diagnostics[0].summary}"
        progress(Note(f"reading {pipeline.config.docker.image_name}"))
        with registries(progress) as pool:
            report = inspect_image(validated, stored, bump, accept, pool)
            found = find_published_secrets(report, pool, progress) if secrets else None
    print_diagnostics(validated.diagnostics, err)
    if as_json:
        print_document(image_text(report, found))
    else:
        print_image(report, console(sys.stdout), no_state_reason=no_state_reason, secrets=found)
    if found is None or not (found.found or found.unread):
        return DONE
    return UNCHECKED if found.unread else CONFLICT
