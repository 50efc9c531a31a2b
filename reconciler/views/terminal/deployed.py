"""Prints a pipeline before and after its deploy: the facts in its files, and its live resources."""

from collections.abc import Iterator

from providers.protocol import LiveObject
from providers.table import ancestors
from reconciler.core.values import Address
from reconciler.engine.apply import ApplyResult
from reconciler.pipeline.schema import Config
from reconciler.views.terminal.console import Console, columns, indented
from reconciler.views.terminal.text import Text


def print_details(config: Config, out: Console) -> None:
    """Print the name, type, version and description of the pipeline in config.toml."""
    metadata = config.metadata
    out.print(Text.assemble((metadata.name, "bold"), f"  {metadata.type}  {metadata.version}"))
    if metadata.description:
        out.print(indented(Text(metadata.description, "dim"), 2))


def print_deployed(applied: ApplyResult, out: Console) -> None:
    """Print the live resources of the pipeline with their pages.

    A page is on a line below its resource, as both together are wider than most terminals.
    """
    rows, pages = [], []
    for address, live in _live(applied):
        depth = len(ancestors(address.kind))
        name = Text("  " * depth + address.name[-1])
        facts = applied.planned.kinds[address.kind].facts
        summary = ", ".join(str(part) for part in facts.summary(live) if part)
        rows.append([Text(address.kind, "dim"), name, Text(summary)])
        pages.append(live.outputs.get("page"))
    stack = applied.planned.plan.stack
    out.print(Text.assemble("Deployed to ", (stack.label, "bold"), (f"  {stack.host}", "dim")))
    for line, page in zip(columns(rows), pages, strict=True):
        out.print(indented(line, 2))
        if page:
            out.print(indented(Text(str(page), "blue underline"), 4))


def _live(applied: ApplyResult) -> Iterator[tuple[Address, LiveObject]]:
    """The live object of each resource in the files, parents first, as read back or as read by the plan."""
    planned = applied.planned
    result = applied.result
    written = {o.step.address: o.live for o in result.outcomes if o.live} if result else {}
    for resource in planned.desired:
        live = written.get(resource.address) or planned.remote_state.found.get(resource.address)
        if live is not None:
            yield resource.address, live
