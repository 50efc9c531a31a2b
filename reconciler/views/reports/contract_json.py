"""The contract of a processing, or the changes from one to another, as a JSON document."""

from providers.json_value import JSON
from reconciler.core.contract import NamedContract
from reconciler.engine.contract import ContractReport
from reconciler.views.reports.plan_json import contract_to_document

FORMAT, VERSION = "reconciler/contract", 1


def contract_document(report: ContractReport) -> dict[str, JSON]:
    """The report for scripts. `before` is null for a report of one contract."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "pipeline": report.pipeline.name,
        "before": _named(report.before) if report.before else None,
        "after": _named(report.after),
        "changes": contract_to_document(report.changes),
    }


def _named(found: NamedContract) -> dict[str, JSON]:
    return {
        "version": found.version or None,
        "source": found.source,
        "reference": found.reference or None,
        "inputs": {name: dict(fields) for name, fields in found.contract.items()},
    }
