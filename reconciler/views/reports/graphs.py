"""Drawings of the resources of a pipeline, a plan or a drift report."""

from collections.abc import Iterable, Mapping

from reconciler.core.graph import Graph, ordered
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.values import Address
from reconciler.drift.findings import StackReport
from reconciler.views.phrases import TONES, Audience, reason, state
from reconciler.views.reports.drawing import Drawing, Node


def of_files(title: str, graph: Graph) -> Drawing:
    """The resources in the files."""
    needs = {resource.address: resource.depends_on for resource in graph}
    return _sorted(title, {address: Node(str(address)) for address in needs}, _edges(needs))


def of_plan(plan: Plan) -> Drawing:
    """The resources of a plan with their actions."""
    return _with_actions(plan, {step.address: _of_step(step) for step in plan.steps})


def of_report(stack: StackReport) -> Drawing:
    """The resources of a stack with their findings. The worst finding gives the tone."""
    unread = {Address.parse(problem.address) for problem in stack.unchecked if "/" in problem.address}
    checked = {step.address for step in stack.plan.steps} - unread
    return _with_actions(
        stack.plan,
        {address: _of_findings(address, stack) for address in checked}
        | {address: Node(str(address), "unknown", ("not checked",)) for address in unread},
    )


def _of_step(step: Step) -> Node:
    word = "unchanged" if step.action is Action.NOOP else step.action.word
    stopped = "refused" if step.refusal else "conflict" if step.conflicts else ""
    tone = "bad" if stopped else TONES[step.action.word]
    return Node(str(step.address), tone, (f"{word}, {stopped}".strip(", "),))


def _of_findings(address: Address, stack: StackReport) -> Node:
    own = [finding for finding in stack.findings if finding.address == address]
    if not own:
        fields = [
            path for one, _, path in (text.partition("#") for text in stack.ignored) if one == str(address)
        ]
        if fields:
            return Node(str(address), TONES["acknowledged"], (f"ignored: {', '.join(fields)}",))
        return Node(str(address), TONES["in-sync"], ("in sync",))
    first, others = own[0], len(own) - 1
    more = f" and {others} more" if others else ""
    subject = first.change.path or reason(first.change.reason, Audience.DRIFT)
    return Node(str(address), TONES[state(first)], (f"{state(first)}: {subject}{more}",))


def _edges(needs: Mapping[Address, Iterable[Address]]) -> list[tuple[Address, Address]]:
    """The edges between drawn resources, from a dependency to its dependant."""
    return [(above, below) for below, many in needs.items() for above in many if above in needs]


def _with_actions(plan: Plan, nodes: Mapping[Address, Node]) -> Drawing:
    """The drawing of a plan. Edges lead from a resource to its children, even if these are deleted first."""
    edges = []
    for above, below in _edges({step.address: step.depends_on for step in plan.steps}):
        first = plan.step(above)
        goes = first is not None and first.action in (Action.DELETE, Action.FORGET)
        edges.append((below, above) if goes and below.name == above.name[:-1] else (above, below))
    return _sorted(plan.stack.label, nodes, edges)


def _sorted(title: str, nodes: Mapping[Address, Node], edges: list[tuple[Address, Address]]) -> Drawing:
    """A drawing with each node after those it depends on."""
    needs = {address: [above for above, below in edges if below == address] for address in nodes}
    return Drawing(
        title,
        tuple(nodes[address] for address in ordered(needs)),
        tuple((str(above), str(below)) for above, below in edges),
    )
