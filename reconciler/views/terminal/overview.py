"""The table of `status`: pipelines and their environments."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from providers.json_value import JSON
from reconciler.core.plan import with_folder
from reconciler.core.platforms import scope_label
from reconciler.drift.findings import DriftState
from reconciler.drift.status import Row
from reconciler.views.counting import ago
from reconciler.views.phrases import drift_state
from reconciler.views.shown_values import SHORT_DIGEST
from reconciler.views.terminal.console import WIDEST, columns
from reconciler.views.terminal.text import Text

_HEADER = ("pipeline", "environment", "runs", "applied", "files", "image", "drift", "last apply")


def overview_lines(
    rows: Iterable[Row], now: datetime, names: Mapping[str, str] = MappingProxyType({})
) -> list[Text]:
    """The table, sorted by stack. A stack and its folder appear once for all environments.

    Args:
        names: scope -> the name that reconciler.toml has for its environment.
    """
    rows = sorted(rows, key=_order)
    if not rows:
        return []
    lines, above = [[Text(word, "dim") for word in _HEADER]], ""
    for row in rows:
        label = with_folder(row.stack, row.stack, row.folder)
        by = f" by {row.applied.by}" if row.applied and row.applied.by else ""
        lines.append(
            [
                Text(label if label != above else "", "bold"),
                Text(scope_label(row.where, names.get(row.where, ""))),
                Text(row.running_version or ("unknown" if row.running_digest else "-")),
                Text(row.version or "-"),
                Text(row.files_version or "-"),
                Text((row.running_digest or row.digest)[:SHORT_DIGEST] or "-", "dim"),
                _drift(row),
                Text(f"{ago(row.applied.at, now)}{by}" if row.applied else _no_apply(row)),
            ]
        )
        above = label
    labels = max(line[0].cell_len for line in lines)  # of a training, with its stack
    return columns(lines, widest=max(WIDEST, labels))


def overview_document(rows: Iterable[Row]) -> dict[str, JSON]:
    """The table as a document for scripts."""
    return {
        "format": "reconciler/status",
        "version": 1,
        "rows": [
            {
                "pipeline": row.pipeline,
                "stack": row.stack,
                "folder": row.folder,
                "environment": row.where,
                "version": row.version or None,
                "digest": row.digest or None,
                "files_version": row.files_version or None,
                "running_version": row.running_version or None,
                "running_digest": row.running_digest or None,
                "follows": row.follows or None,
                "applied_at": row.applied.at if row.applied else None,
                "applied_by": row.applied.by if row.applied else None,
                "git_commit": row.applied.git_commit if row.applied else None,
                "drift": drift_state(row.drift) or None,
                "drift_code": str(row.drift.code),
                "checked": row.checked,
            }
            for row in sorted(rows, key=_order)
        ],
    }


def _order(row: Row) -> tuple[str, str, str]:
    return row.stack, row.folder, row.where


def _no_apply(row: Row) -> str:
    if row.drift.code is DriftState.NOT_APPLIED:
        return "-"
    return "not in the state" if row.state_is_readable else "unknown"


def _drift(row: Row) -> Text:
    words = drift_state(row.drift)
    if row.drift.code is DriftState.IN_SYNC and row.follows:
        words = f"{words}, follows {row.follows}"
    if row.drift.code is DriftState.IN_SYNC:
        return Text(words, "green")
    return Text(words or "not checked", "yellow" if row.checked else "dim")
