"""The documents of `list`: one for scripts, and a matrix for GitHub Actions."""

import json
from collections.abc import Iterable
from typing import Final

from providers.json_value import JSON
from reconciler.system.files import display_path
from reconciler.views.safe import json_text
from reconciler.workspace.config_file import PipelineSummary

MOST_JOBS: Final = 256
"""Jobs of a matrix.

https://docs.github.com/en/actions/reference/limits#existing-system-limits
"""

Rows = Iterable[tuple[PipelineSummary, tuple[str, ...]]]
"""The pipelines, each with the reasons why it is selected."""


def pipelines_text(rows: Rows) -> str:
    """The document of these pipelines. A value that config.toml lacks is null."""
    return json_text(
        {
            "format": "reconciler/list",
            "version": 1,
            "pipelines": [{**_values(summary), "why": list(why)} for summary, why in rows],
        }
    )


def matrix_text(rows: Rows) -> str:
    """`{"include": [...]}` on one line, with a job for each pipeline. ASCII only, for a variable."""
    return json.dumps({"include": [_values(summary) for summary, _ in rows]}) + "\n"


def _values(summary: PipelineSummary) -> dict[str, JSON]:
    return {
        "folder": display_path(summary.folder),
        "name": summary.name or None,
        "stack": summary.stack or None,
        "type": summary.type or None,
        "version": summary.version or None,
        "gpu": summary.gpu,
    }
