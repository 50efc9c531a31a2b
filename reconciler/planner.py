"""(desired graph, record, live world, kinds' facts, options) -> steps. No I/O, no clock, no environment.

Every decision carries its reason, doing nothing included. Nothing here is undone or repeated while applying.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from providers.protocol import KindFacts, Live, Verb
from providers.rules import UNSET
from reconciler.diagnostics import Diagnostic, warning
from reconciler.diff import Change, ChangeClass, compare, normalised
from reconciler.graph import Graph, Resource, ordered
from reconciler.plan import Action, Refusal, Step
from reconciler.values import ABSENT, JSON, MISSING, Address
from reconciler.world import World, parent_of
from state.snapshot import RecordedResource


@dataclass(frozen=True, slots=True)
class Options:
    """What the user allows.

    Attributes:
        ours: addresses where the files win a conflict; None for everywhere.
        theirs: addresses where the live value is kept in a conflict; None for everywhere.
        replace: addresses that may be deleted and made anew, with all that hangs on them.
        prune: delete what left the files, where it would be forgotten otherwise.
        destroy: nothing is desired any more; delete what is this pipeline's own.
        ignored: fields that are left as they are on an existing object.
        protected: addresses that are neither deleted nor replaced, whatever else is said.
        pipeline: as the user names it, for the commands that a refusal suggests.
    """

    ours: Collection[Address] | None = ()
    theirs: Collection[Address] | None = ()
    replace: Collection[Address] = ()
    prune: bool = False
    destroy: bool = False
    ignored: Mapping[Address, Collection[str]] = field(default_factory=dict)
    protected: Collection[Address] = ()
    pipeline: str = ""


def plan_steps(
    desired: Graph,
    recorded: Mapping[Address, RecordedResource],
    world: World,
    facts: Mapping[str, KindFacts],
    options: Options = Options(),
) -> tuple[tuple[Step, ...], tuple[Diagnostic, ...]]:
    """One step for every resource that is desired, recorded, or alive in a list that the files own."""
    diagnostics: list[Diagnostic] = []
    steps: dict[Address, Step] = {}
    for resource in desired:
        step = _step_for_desired(resource, recorded, world, facts, options, diagnostics)
        steps[resource.address] = step
        if any(change.resolution == "theirs" for change in step.changes):
            diagnostics.append(
                warning(
                    "live is kept, but the files still say otherwise",
                    "Write it into the files, or the next apply puts the files' value there.",
                    address=str(step.address),
                )
            )
    for address in sorted((recorded.keys() | world.found.keys()) - steps.keys()):
        steps[address] = _step_for_undesired(address, desired, recorded, world, facts, options)
    steps = _children_of_replaced(steps, desired, world, facts)
    steps = {address: _protected(step, options) for address, step in steps.items()}
    steps = _parents_after_children(steps, facts)
    order = ordered({address: step.depends_on for address, step in steps.items()})
    return tuple(steps[address] for address in order), tuple(diagnostics)


def fingerprint(live: Live, facts: KindFacts) -> str:
    """A digest of the live object as the diff sees it: equal when nothing that matters has moved."""
    fields = {
        name: normalised(value, facts.rules[name])
        for name, value in live.fields.items()
        if name in facts.rules
    }
    text = json.dumps([live.id, fields], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _step_for_desired(
    resource: Resource,
    recorded: Mapping[Address, RecordedResource],
    world: World,
    facts: Mapping[str, KindFacts],
    options: Options,
    diagnostics: list[Diagnostic],
) -> Step:
    address, kind = resource.address, facts[resource.address.kind]
    record, live = recorded.get(address), world.found.get(address)
    step = Step(
        address,
        Action.NOOP,
        "in sync",
        depends_on=resource.depends_on,
        id=live.id if live else None,
        fingerprint=fingerprint(live, kind) if live else "",
    )
    if live is None:
        step = _create(step, resource, record, kind)
    else:
        changes = compare(resource.fields, record.inputs if record else None, live.fields, kind.rules)
        left = options.ignored.get(address, ())
        changes = [_left_alone(change) if change.field in left else change for change in changes]
        step = replace(step, changes=tuple(_resolved(change, address, options) for change in changes))
        # A kind that judges for itself says what another id means: for an image it is another content.
        if kind.judge is None and record is not None and record.id != live.id:
            step = _recreated(step, record, live)
        step = _change_in_place(step, record, kind, options)
        if step.action is Action.REPLACE:
            step = replace(step, changes=(*step.changes, *_sent_besides(resource, kind, live)))
    if kind.judge is not None:
        others = [other for place, other in world.found.items() if place != address]
        step = _judged(step, resource, record, live, kind, others, diagnostics)
    return step


def _create(step: Step, resource: Resource, record: RecordedResource | None, kind: KindFacts) -> Step:
    recorded = record.inputs if record else {}
    changes = [
        Change(
            name,
            ChangeClass.PENDING,
            normalised(value, kind.rules[name]),
            normalised(recorded.get(name, MISSING), kind.rules[name]),
            ABSENT,
            "new",
            write=True,
        )
        for name, value in resource.fields.items()
    ]
    changes = sorted([*changes, *_sent_besides(resource, kind, None)], key=lambda change: change.path)
    if record is None:
        return replace(step, action=Action.CREATE, reason="does not exist yet", changes=tuple(changes))
    gone = Change("", ChangeClass.DRIFT, MISSING, record.id, ABSENT, "deleted outside", write=True)
    return replace(step, action=Action.CREATE, reason="deleted outside", changes=(gone, *changes))


def _sent_besides(resource: Resource, kind: KindFacts, live: Live | None) -> list[Change]:
    """What a new object gets although the files do not say: what the old one had, else the kind's default."""
    shown = live.fields if live else {}
    had = {name: shown[name] for name, rule in kind.rules.items() if name in shown and not rule.write_only}
    defaults = {name: rule.create_default for name, rule in kind.rules.items()}
    return [
        Change(
            name,
            ChangeClass.PENDING,
            normalised(value, kind.rules[name]),
            MISSING,
            ABSENT,
            "as it was; the files do not say" if name in had else "default at creation; the files do not say",
            write=True,
        )
        for name, value in sorted({**defaults, **had}.items())
        if name not in resource.fields and value is not UNSET
    ]


def _recreated(step: Step, record: RecordedResource, live: Live) -> Step:
    moved = Change("", ChangeClass.DRIFT, MISSING, record.id, live.id, "recreated outside", write=False)
    return replace(step, changes=(moved, *step.changes))


def _change_in_place(step: Step, record: RecordedResource | None, kind: KindFacts, options: Options) -> Step:
    written = [change for change in step.changes if change.write]
    if record is None:
        reason = "exists, nothing recorded: taken over"
        step = replace(step, action=Action.ADOPT, reason=f"{reason} and changed" if written else reason)
    elif written:
        step = replace(step, action=Action.UPDATE, reason=_why(written))
    elif any(change.path == "" for change in step.changes):
        step = replace(step, action=Action.ADOPT, reason="recreated outside")
    elif any(change.resolution == "theirs" for change in step.changes):
        step = replace(step, action=Action.ADOPT, reason="live is kept, as --theirs says, and recorded")
    elif any(change.cls is ChangeClass.CONVERGED and not change.resolution for change in step.changes):
        step = replace(step, action=Action.ADOPT, reason="live has it already; the record is refreshed")
    elif record.inputs.keys() - {change.field for change in step.changes}:
        dropped = sorted(record.inputs.keys() - {change.field for change in step.changes})
        step = replace(
            step, action=Action.ADOPT, reason=f"{', '.join(dropped)} left the files: no longer managed"
        )
    elif unread := [change.path for change in step.changes if change.cls is ChangeClass.UNVERIFIED]:
        step = replace(step, reason=f"as last applied; {', '.join(unread)} cannot be read")
    fixed = [change.path for change in written if kind.rules[change.field].immutable]
    if not fixed or kind.judge is not None:
        return step
    reason = f"{', '.join(fixed)} cannot be changed in place"
    if kind.disposable or step.address in options.replace:
        return replace(step, action=Action.REPLACE, reason=reason)
    return replace(
        step,
        action=Action.REPLACE,
        reason=reason,
        refusal=Refusal(
            f"{reason}; replacing it loses its id and its history",
            (
                f"allow it:  reconciler apply {options.pipeline} --replace {step.address}",
                "or put the old value back in config.toml",
            ),
        ),
    )


def _why(written: Collection[Change]) -> str:
    return ", ".join(sorted({change.reason for change in written}))


def _resolved(change: Change, address: Address, options: Options) -> Change:
    if change.cls is not ChangeClass.CONFLICT or change.resolution:
        return change
    if options.ours is None or address in options.ours:
        return replace(change, resolution="ours", reason="the files win, as --ours says")
    if options.theirs is None or address in options.theirs:
        return replace(change, resolution="theirs", reason="live is kept, as --theirs says", write=False)
    return change


def _left_alone(change: Change) -> Change:
    """A field that the user wants ignored keeps its live value, and is nobody's drift or conflict."""
    if change.cls is ChangeClass.IN_SYNC:
        return change
    return replace(change, write=False, resolution="ignored", reason="left alone, as ignore_changes says")


def _judged(
    step: Step,
    resource: Resource,
    record: RecordedResource | None,
    live: Live | None,
    kind: KindFacts,
    others: Collection[Live],
    diagnostics: list[Diagnostic],
) -> Step:
    assert kind.judge is not None
    verdict = kind.judge(
        resource.fields, record.inputs if record else None, record.outputs if record else {}, live, others
    )
    if verdict.warning:
        diagnostics.append(warning(verdict.warning, verdict.hint, address=str(step.address)))
    step = replace(step, reason=verdict.reason)
    if verdict.refusal:
        step = replace(step, refusal=Refusal(verdict.refusal, (verdict.hint,) if verdict.hint else ()))
    match verdict.verb:
        case Verb.CREATE:
            return replace(step, action=Action.CREATE)
        case Verb.UPDATE:
            return replace(step, action=Action.ADOPT if record is None else Action.UPDATE)
        case Verb.KEEP:
            kept = tuple(replace(change, write=False) for change in step.changes)
            stale = record is None or (live is not None and record.id != live.id)
            stale = stale or any(change.cls is ChangeClass.CONVERGED for change in kept)
            return replace(step, action=Action.ADOPT if stale else Action.NOOP, changes=kept)


def _step_for_undesired(
    address: Address,
    desired: Graph,
    recorded: Mapping[Address, RecordedResource],
    world: World,
    facts: Mapping[str, KindFacts],
    options: Options,
) -> Step:
    kind, record, live = facts[address.kind], recorded.get(address), world.found.get(address)
    parent = parent_of(address, kind)
    owner = desired.get(parent) if parent else None
    left = "destroyed, as asked" if options.destroy else "left the files"
    step = Step(
        address,
        Action.FORGET,
        f"{left}; it stays {'on the platform' if kind.prunable else 'in the registry'}",
        depends_on=(owner.address,) if owner else (),
        id=live.id if live else record.id if record else None,
        fingerprint=fingerprint(live, kind) if live else "",
    )
    undeclared = owner is not None and address.kind in owner.owns
    unwanted = options.prune or (options.destroy and not kind.shared)
    if not undeclared and not (unwanted and kind.prunable):
        return step
    if live is None:
        return replace(step, reason=f"{left}, and is gone already")
    taken_over = owner is None or owner.address in recorded
    cls, reason = (
        (ChangeClass.PENDING, left)
        if record
        else (ChangeClass.DRIFT, "added outside")
        if taken_over
        else (ChangeClass.UNRECORDED, "not declared in the files")
    )
    gone = Change("", cls, ABSENT, record.id if record else MISSING, live.id, reason, write=True)
    return replace(step, action=Action.DELETE, reason=reason, changes=(gone,))


def _children_of_replaced(
    steps: Mapping[Address, Step], desired: Graph, world: World, facts: Mapping[str, KindFacts]
) -> dict[Address, Step]:
    """A replaced parent takes its children with it: those that the files want are made anew."""
    anew = dict(steps)
    lost = {address for address, step in steps.items() if step.action is Action.REPLACE}
    for resource in sorted(desired, key=lambda resource: len(resource.address.name)):
        address, kind = resource.address, facts[resource.address.kind]
        parent, step = parent_of(address, kind), steps[address]
        if parent not in lost or step.action is Action.CREATE:
            continue
        lost.add(address)
        if step.action is not Action.REPLACE:
            besides = _sent_besides(resource, kind, world.found[address])
            step = replace(step, changes=(*step.changes, *besides))
        anew[address] = replace(
            step, action=Action.CREATE, reason=f"goes with {parent}, which is replaced", refusal=None
        )
    return anew


def _protected(step: Step, options: Options) -> Step:
    """A protected resource that would be deleted or replaced is refused, whatever allowed it."""
    if step.action not in (Action.DELETE, Action.REPLACE) or step.address not in options.protected:
        return step
    summary = f"it would be {step.action.done} ({step.reason}), and config.toml protects it"
    way = f'take "{step.address}" out of [reconciler] protect in config.toml'
    return replace(step, refusal=Refusal(summary, (way,)))


def _parents_after_children(
    steps: Mapping[Address, Step], facts: Mapping[str, KindFacts]
) -> dict[Address, Step]:
    """Deletes walk the edges backwards: a parent that is deleted goes after its children."""
    children: dict[Address, list[Address]] = {}
    for address in steps:
        parent = parent_of(address, facts[address.kind])
        if parent is not None:
            children.setdefault(parent, []).append(address)
    return {
        address: replace(step, depends_on=(*step.depends_on, *children.get(address, ())))
        if step.action is Action.DELETE
        else step
        for address, step in steps.items()
    }


def effective_fields(
    desired: Mapping[str, JSON], changes: Collection[Change], kind: KindFacts
) -> dict[str, JSON]:
    """The fields to write and to record: as the files say, but for those where live is kept."""
    fields: dict[str, JSON] = {name: normalised(value, kind.rules[name]) for name, value in desired.items()}
    for change in changes:
        if change.resolution not in ("theirs", "ignored") or change.live is MISSING:
            continue
        name, _, key = change.path.partition(".")
        if not key:
            fields[name] = change.live
            continue
        fields[name] = {k: v for k, v in fields[name].items() if k != key}
        if change.live is not ABSENT:
            fields[name][key] = change.live
    return fields
