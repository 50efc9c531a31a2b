"""Runs `reconciler image`."""

import sys
from pathlib import Path

from providers.json_value import JSON
from reconciler.api.errors import StateError, diagnostics_of
from reconciler.api.images import Images
from reconciler.api.requests import ReadOptions
from reconciler.cli import options
from reconciler.cli.documents import write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.core.exit_codes import DONE, code_of, worst
from reconciler.views.reports.image_json import image_document, images_text
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.images import print_image
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView


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
    images = Images(where.named(), options.state_url(), read_options)
    if (remark := images.remark) is not None:
        print_diagnostics([remark], err)
    for folder in selection.folders(failed):
        try:
            with ProgressView(err) as progress:
                inspected = images.inspect(folder, progress, secrets=secrets, verify=verify)
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
