"""Prints the contract of a processing, or the changes from one to another."""

from reconciler.core.contract import NamedContract
from reconciler.engine.contract import ContractReport
from reconciler.views.phrases import contract_counts, contract_source
from reconciler.views.terminal.console import Console, columns, indented
from reconciler.views.terminal.plans import contract_rows
from reconciler.views.terminal.text import Text


def print_contract(report: ContractReport, out: Console) -> None:
    """Print the inputs of one contract, or the changes between two."""
    name = (report.pipeline.name, "bold")
    if report.before is None:
        out.print(Text.assemble(name, f"  {contract_source(report.after)}"))
        for line in columns(_inputs(report.after)):
            out.print(indented(line, 2))
        return
    out.print(Text.assemble(name, f"  {contract_source(report.before)} -> {contract_source(report.after)}"))
    for line in columns(contract_rows(report.changes)):
        out.print(indented(line, 2))
    counts = contract_counts(report.changes) if report.changes else "no change of its inputs"
    out.print(Text.assemble(("Contract: ", "bold"), counts, "."))


def _inputs(found: NamedContract) -> list[list[Text]]:
    rows = [[Text(word, "dim") for word in ("INPUT", "TYPE", "", "INFERENCE TYPE", "FRAMEWORK")]]
    for name, fields in found.contract.items():
        required = fields.get("required")
        constraints = (fields.get("inference_type_constraint"), fields.get("framework_constraint"))
        rows.append(
            [
                Text(name, "bold"),
                Text(str(fields.get("input_type", ""))),
                Text("required" if required else "optional"),
                *(
                    Text(str(value) if value is not None else "any", "" if value else "dim")
                    for value in constraints
                ),
            ]
        )
    return rows
