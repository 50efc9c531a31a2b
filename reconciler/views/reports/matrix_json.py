"""Pipelines x environments as a JSON document. `reconciler/schemas/matrix.schema.json` describes it."""

from providers.json_value import JSON
from reconciler.drift.matrix import Cell, Matrix
from reconciler.views.phrases import drift_state

FORMAT, VERSION = "reconciler/matrix", 1


def matrix_document(found: Matrix) -> dict[str, JSON]:
    """The matrix for scripts."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "environments": [
            {
                "name": column.name,
                "scope": column.scope,
                "promote_from": column.promote_from or None,
                "problem": column.problem or None,
            }
            for column in found.columns
        ],
        "pipelines": [
            {
                "stack": line.stack,
                "folder": line.folder,
                "cells": [_cell(column.name, line.cells.get(column.scope)) for column in found.columns],
            }
            for line in found.lines
        ],
    }


def _cell(environment: str, cell: Cell | None) -> JSON:
    row = cell.row if cell else None
    applied = row.applied if row else None
    return {
        "environment": environment,
        "version": (cell.version or None) if cell else None,
        "digest": (row.running_digest or row.digest or None) if row else None,
        "files_version": (row.files_version or None) if row else None,
        "behind": cell.behind if cell else None,
        "applied_at": applied.at if applied else None,
        "applied_by": applied.by if applied else None,
        "drift": (drift_state(row.drift) or None) if row else None,
        "drift_code": str(row.drift.code) if row else None,
        "checked": row.checked if row else False,
    }
