"""Runs `reconciler image`."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from providers.docker.builders.select import Probes
from providers.json_value import JSON
from reconciler.api.errors import StateError, diagnostics_of
from reconciler.api.requests import ReadOptions
from reconciler.api.validating import validate
from reconciler.cli import options, stores
from reconciler.cli.documents import write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.core.events import Note
from reconciler.core.exit_codes import CONFLICT, DONE, UNCHECKED, code_of, worst
from reconciler.core.plan import Stack
from reconciler.credentials.target import Target
from reconciler.engine.image_report import (
    ImageReport,
    PublishedSecrets,
    find_published_secrets,
    inspect_image,
)
from reconciler.engine.image_verify import ImageVerification, verify_image
from reconciler.engine.session import registries, stack_of, with_older_names
from reconciler.pipeline.shared import SharedSettings
from reconciler.system.files import display_path
from reconciler.views.reports.image_json import image_document, images_text
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.images import print_image
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView
from reconciler.workspace.discovery import stacks_below
from reconciler.workspace.reader import find_workspace


@dataclass(frozen=True, slots=True)
class _Inspected:
    """The report on one image.

    Attributes:
        secrets: the result of a search for secrets; None without a search.
        verification: the result of a verification; None without one.
        no_state_reason: why the report uses no state; "" if it uses it.
        remarks: about the files of the pipeline.
    """

    report: ImageReport
    secrets: PublishedSecrets | None
    verification: ImageVerification | None
    no_state_reason: str
    remarks: tuple[Diagnostic, ...]

    @property
    def exit_code(self) -> int:
        codes = [DONE if self.verification is None else self.verification.exit_code]
        if self.secrets is not None and (self.secrets.found or self.secrets.unread):
            codes.append(UNCHECKED if self.secrets.unread else CONFLICT)
        return worst(codes)


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    json_place: Path | None,
    secrets: bool,
    verify: bool,
    read_options: ReadOptions,
) -> int:
    out, err = console(sys.stdout), console(sys.stderr)
    errors: list[Diagnostic] = []
    codes = {DONE}

    def failed(problem: UserError | StateError) -> None:
        errors.extend(diagnostics_of(problem))
        codes.add(code_of(problem))
        print_diagnostics(diagnostics_of(problem), err)

    documents: list[JSON] = []
    probes = Probes()
    for folder in selection.folders(failed):
        try:
            inspected = _inspect(folder, where, secrets, verify, read_options, probes, err)
        except (UserError, StateError) as problem:
            failed(problem)
            continue
        codes.add(inspected.exit_code)
        print_diagnostics(inspected.remarks, err)
        if documents and json_place != STDOUT:
            out.print()
        documents.append(image_document(inspected.report, inspected.secrets, inspected.verification))
        if json_place != STDOUT:
            print_image(
                inspected.report,
                out,
                no_state_reason=inspected.no_state_reason,
                secrets=inspected.secrets,
                verification=inspected.verification,
            )
    if json_place is not None and documents and selection.request.is_of_one:
        write_document(json_place, json_text(documents[0]))
    elif json_place is not None and not selection.request.is_of_one:
        write_document(json_place, images_text(documents, errors))
    return worst(codes)


def _inspect(
    folder: Path,
    where: options.TargetOptions,
    secrets: bool,
    verify: bool,
    read_options: ReadOptions,
    probes: Probes,
    err: Console,
) -> _Inspected:
    """Compare the published image of one pipeline with its source. Raises UserError or StateError."""
    with ProgressView(err) as progress:
        validated = validate(folder, where.reads(read_options), emit=progress)
    pipeline, _ = validated.require_valid()
    stack: Stack | None = None
    no_state_reason = "none here, so the files that changed are unknown; the next apply records them"
    target: Target | None = None
    try:
        target = where.target()
        stack = stack_of(target, pipeline)
    except UserError as problem:
        no_state_reason = f"not read: {problem.diagnostics[0].summary}"
    named = ("reconciler", "apply", display_path(folder), *where.arguments("apply"))
    apply_command = stack.command("apply") if stack is not None else shlex.join(named)
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
            report = inspect_image(validated, stored, apply_command, pool, probes)
            found = find_published_secrets(report, pool, progress) if secrets else None
            verified = verify_image(report, _settings_of, pool, progress) if verify else None
    return _Inspected(report, found, verified, no_state_reason, validated.diagnostics)


def _settings_of(folder: Path, top: Path) -> SharedSettings:
    """The settings of the workspace around a folder, from the files below `top`. Raises UserError."""
    workspace = find_workspace(folder)
    is_inside = workspace.file is not None and workspace.file.is_relative_to(top)
    return workspace.shared() if is_inside else SharedSettings()
