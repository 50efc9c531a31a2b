"""(desired graph, record, live world, kinds' facts, options) -> steps. No I/O, no clock, no environment.

Every decision carries its reason, doing nothing included. Nothing here is undone or repeated while applying.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from providers.protocol import KindFacts, LiveObject, RequiredAction
from providers.reasons import Reason, Refusal, WayOut
from providers.rules import UNSET
from reconciler.core.diagnostics import Diagnostic, warning
from reconciler.core.diff import Change, ChangeClass, Resolution, compare, normalised
from reconciler.core.graph import Graph, Resource, ordered
from reconciler.core.plan import Action, Step
from reconciler.core.plan_options import PlanOptions
from reconciler.core.reasons import IN_SYNC, ReasonCode, RefusalCode, Way
from reconciler.core.remote import RemoteState, parent_of
from reconciler.core.values import ABSENT, JSON, MISSING, Address
from state.snapshot import Intent, RecordedResource


@dataclass(frozen=True, slots=True)
class _PlanInputs:
    """The three worlds of one stack, and what is known and allowed."""

    desired: Graph
    recorded: Mapping[Address, RecordedResource]
    live: Mapping[Address, LiveObject]
    facts: Mapping[str, KindFacts]
    options: PlanOptions
    contested: Collection[Address]
    unfinished_replaces: Mapping[Address, Intent]

    def desired_owns(self, address: Address) -> bool:
        """Whether nothing can live in it, or the files say all that does."""
        kinds = [name for name, facts in self.facts.items() if facts.parent == address.kind]
        resource = self.desired.get(address)
        return resource is not None and set(kinds) <= set(resource.owns)

    def owner(self, address: Address) -> Resource | None:
        """The desired resource whose list of this kind belongs to the files, if `address` is in one."""
        parent = parent_of(address, self.facts[address.kind])
        resource = self.desired.get(parent) if parent else None
        return resource if resource is not None and address.kind in resource.owns else None


def plan_steps(
    desired: Graph,
    recorded: Mapping[Address, RecordedResource],
    remote_state: RemoteState,
    facts: Mapping[str, KindFacts],
    options: PlanOptions = PlanOptions(),
    contested: Collection[Address] = (),
    unfinished_replaces: Mapping[Address, Intent] = MappingProxyType({}),
) -> tuple[tuple[Step, ...], tuple[Diagnostic, ...]]:
    """One step for every resource that is desired, recorded, or alive in a list that the files own.

    Args:
        contested: objects that an unfinished run may have made, or somebody else: see `recovery.settle`.
        unmade: resources that an unfinished run deleted to make them again, with what it was to send.
    """
    scene = _PlanInputs(desired, recorded, remote_state.found, facts, options, contested, unfinished_replaces)
    steps = {resource.address: _step_for_desired(resource, scene) for resource in desired}
    for address in sorted(
        (recorded.keys() | remote_state.found.keys() | unfinished_replaces.keys()) - steps.keys()
    ):
        if address in recorded or address in unfinished_replaces or scene.owner(address):
            steps[address] = _step_for_undesired(address, scene)
    steps |= _children_of_replaced(steps, scene)
    steps |= _protected(steps, options)
    steps |= _parents_after_children(steps, facts)
    order = ordered({address: step.depends_on for address, step in steps.items()})
    return tuple(steps[address] for address in order), tuple(_remarks(steps, scene))


def fingerprint(live: LiveObject, facts: KindFacts) -> str:
    """A digest of the live object as the diff sees it: equal when nothing that matters has moved."""
    fields = {
        name: normalised(value, facts.rules[name])
        for name, value in live.fields.items()
        if name in facts.rules
    }
    return hashlib.sha256(_canonical([live.id, fields]).encode()).hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _step_for_desired(resource: Resource, scene: _PlanInputs) -> Step:
    address, kind = resource.address, scene.facts[resource.address.kind]
    record, live = scene.recorded.get(address), scene.live.get(address)
    if live is None:
        begun = scene.unfinished_replaces.get(address)
        reason = _DELETED_OUTSIDE if record else _NOT_CREATED if begun is None else _UNFINISHED_REPLACE
        changes = _created(resource, record, kind, begun, scene.options)
        step = Step(address, Action.CREATE, reason, changes, resource.depends_on)
    else:
        changes = _changes(resource, record, live, kind, scene)
        action, reason = _in_place(changes, resource, record)
        if action is Action.NOOP and address in scene.contested:
            action, reason = Action.ADOPT, Reason(ReasonCode.UNFINISHED_CREATE)
        step = Step(address, action, reason, changes, resource.depends_on, live.id, fingerprint(live, kind))
        if kind.assess is None and action is not Action.NOOP:
            step = _replaced_if_fixed(step, resource, live, kind, scene.options)
            step = _refused_if_blind(step, kind, scene.options.ignored.get(address, ()))
    return step if kind.assess is None else _assessed(step, resource, scene)


_NEW = Reason(ReasonCode.NEW)
_CARRIED_OVER = Reason(ReasonCode.CARRIED_OVER)
_CREATE_DEFAULT = Reason(ReasonCode.CREATE_DEFAULT)
_NOT_CREATED = Reason(ReasonCode.NOT_CREATED)
_DELETED_OUTSIDE = Reason(ReasonCode.DELETED_OUTSIDE)
_RECREATED_OUTSIDE = Reason(ReasonCode.RECREATED_OUTSIDE)
_UNFINISHED_REPLACE = Reason(ReasonCode.UNFINISHED_REPLACE)
_CONTESTED = Reason(ReasonCode.CONTESTED)


def _created(
    resource: Resource,
    record: RecordedResource | None,
    kind: KindFacts,
    begun: Intent | None,
    options: PlanOptions,
) -> tuple[Change, ...]:
    """Everything that a new object gets; before that, whose place it takes.

    Args:
        begun: what an unfinished run was to send after it had deleted the old object.
    """
    recorded = record.inputs if record else {}
    as_it_was = _kept_fields(resource, kind, begun, options) if begun else []
    spared = {change.path for change in as_it_was}
    changes = [
        *as_it_was,
        *_new_fields(resource, kind, recorded, spared),
        *_carried_fields(resource, kind, {**begun.fields, **begun.kept} if begun else {}),
    ]
    changes = sorted(changes, key=lambda change: change.path)
    if record is None:
        return tuple(changes)
    gone = Change("", ChangeClass.DRIFT, MISSING, record.id, ABSENT, _DELETED_OUTSIDE, write=True)
    return (gone, *changes)


def _new_fields(
    resource: Resource, kind: KindFacts, recorded: Mapping[str, JSON], spared: Collection[str]
) -> list[Change]:
    """What the files say of a new object, but for these fields and keys."""

    def said(name: str, value: JSON) -> JSON:
        value = normalised(value, kind.rules[name])
        if not (kind.rules[name].keyed and isinstance(value, dict)):
            return value
        return {key: item for key, item in value.items() if f"{name}.{key}" not in spared}

    return [
        Change(
            name,
            ChangeClass.PENDING,
            said(name, value),
            normalised(recorded.get(name, MISSING), kind.rules[name]),
            ABSENT,
            _NEW,
            write=True,
            place=_place(resource, name),
        )
        for name, value in resource.fields.items()
        if name not in spared
    ]


def _kept_fields(resource: Resource, kind: KindFacts, begun: Intent, options: PlanOptions) -> list[Change]:
    """The managed fields that a new object gets as the old one had them: ignored ones, and by `--theirs`.

    The old object is compared as it would have been, had it been there still.
    """
    ignored = options.ignored.get(resource.address, ())
    theirs = begun.kept if _winner(resource.address, options) is Resolution.THEIRS else {}
    had = {
        name: value
        for name, value in {**begun.fields, **begun.kept}.items()
        if name in resource.fields and not kind.rules[name].write_only
    }
    wanted = {name: resource.fields[name] for name in had}
    found = []
    for change in compare(wanted, None, had, kind.rules, {name: _place(resource, name) for name in had}):
        if change.cls is not ChangeClass.UNRECORDED:
            continue
        if change.field in ignored or change.path in ignored:
            found.append(_ignored(change))
        elif change.field in theirs:
            found.append(_kept_by_theirs(change))
    return found


def _carried_fields(resource: Resource, kind: KindFacts, shown: Mapping[str, JSON]) -> list[Change]:
    """What a new object gets although the files do not say: what the old one had, else the kind's default."""
    had = {name: shown[name] for name, rule in kind.rules.items() if name in shown and not rule.write_only}
    defaults = {name: rule.create_default for name, rule in kind.rules.items()}
    return [
        Change(
            name,
            ChangeClass.PENDING,
            normalised(value, kind.rules[name]),
            MISSING,
            ABSENT,
            _CARRIED_OVER if name in had else _CREATE_DEFAULT,
            write=True,
        )
        for name, value in sorted({**defaults, **had}.items())
        if name not in resource.fields and value is not UNSET
    ]


def _changes(
    resource: Resource, record: RecordedResource | None, live: LiveObject, kind: KindFacts, scene: _PlanInputs
) -> tuple[Change, ...]:
    """Every managed field, with what the user said of it; before them, whether it is another object now."""
    address, options = resource.address, scene.options
    ignored, contested = options.ignored.get(address, ()), address in scene.contested
    changes = []
    if kind.assess is None and record is not None and record.id != live.id:
        recreated = Change(
            "", ChangeClass.DRIFT, MISSING, record.id, live.id, _RECREATED_OUTSIDE, write=False
        )
        changes.append(recreated)
    recorded = _recorded_of(live, record, resource, kind)
    places = {name: _place(resource, name) for name in resource.origins}
    compared = compare(resource.fields, recorded, live.fields, kind.rules, places)
    if kind.assess is not None and recorded is not None and record is not None and record.id != live.id:
        changes.extend(_overwritten(record, live, compared))
    for change in compared:
        if contested and change.live is not MISSING and change.write:
            change = change._replace(cls=ChangeClass.CONFLICT, reason=_CONTESTED)  # noqa: PLW2901 - the same one
        if ignored and (change.field in ignored or change.path in ignored):
            changes.append(_ignored(change))
        elif change.cls is ChangeClass.CONFLICT:
            changes.append(_resolved(change, address, kind, options))
        else:
            changes.append(change)
    return tuple(changes)


def _recorded_of(
    live: LiveObject, record: RecordedResource | None, resource: Resource, kind: KindFacts
) -> Mapping[str, JSON] | None:
    """What is recorded of this very object.

    A kind that judges for itself says what another id means: for an image it is another content, of which the
    record says nothing, unless it was put under the name of the one that is recorded and still asked for.
    """
    if record is None or kind.assess is None or record.id == live.id:
        return record.inputs if record else None
    names = {str(fields.get(kind.published_as)) for fields in (record.inputs, resource.fields, live.fields)}
    return record.inputs if kind.published_as and len(names) == 1 else None


def _overwritten(
    record: RecordedResource, live: LiveObject, compared: Collection[Change]
) -> Iterator[Change]:
    """Another content under the name of ours, where fields that nobody can read would tell them apart."""
    told = any(change.cls in (ChangeClass.DRIFT, ChangeClass.CONFLICT) for change in compared)
    if not told and any(change.cls is ChangeClass.UNVERIFIED for change in compared):
        reason = Reason(ReasonCode.OVERWRITTEN_OUTSIDE)
        yield Change("", ChangeClass.DRIFT, MISSING, record.id, live.id, reason, write=False)


def _place(resource: Resource, name: str) -> str:
    origin = resource.origins.get(name)
    if origin is None:
        return ""
    return f"{origin.file}:{origin.line}" if origin.line is not None else str(origin.file)


def _ignored(change: Change) -> Change:
    """A field that the user wants ignored keeps its live value, and is nobody's drift or conflict."""
    if change.cls is ChangeClass.IN_SYNC:
        return change
    reason = Reason(ReasonCode.IGNORED)
    return change._replace(write=False, resolution=Resolution.IGNORED, reason=reason)


def _resolved(change: Change, address: Address, kind: KindFacts, options: PlanOptions) -> Change:
    match _winner(address, options):
        case Resolution.OURS:
            return change._replace(resolution=Resolution.OURS, reason=Reason(ReasonCode.OURS))
        # What a kind judges as a whole cannot be kept field by field.
        case Resolution.THEIRS if kind.assess is None:
            return _kept_by_theirs(change)
    return change


def _kept_by_theirs(change: Change) -> Change:
    return change._replace(resolution=Resolution.THEIRS, reason=Reason(ReasonCode.THEIRS), write=False)


def _winner(address: Address, options: PlanOptions) -> Resolution:
    """Who wins a conflict of this resource: an option that names it comes before one for everywhere."""

    def names(side: Collection[Address] | None) -> bool:
        return side is not None and address in side

    def is_everywhere(side: Collection[Address] | None) -> bool:
        return side is None

    for speaks in (names, is_everywhere):
        match speaks(options.ours), speaks(options.theirs):
            case True, False:
                return Resolution.OURS
            case False, True:
                return Resolution.THEIRS
            case True, True:
                return Resolution.NONE
    return Resolution.NONE


def _in_place(
    changes: Collection[Change], resource: Resource, record: RecordedResource | None
) -> tuple[Action, Reason]:
    """What to do with an object that is there: the action that its changes ask for, and why."""
    differing = [change for change in changes if change.cls is not ChangeClass.IN_SYNC]
    reasons = {change.reason.code: change.reason for change in differing if change.write}
    if record is None:
        return Action.ADOPT, Reason(ReasonCode.TAKEN_OVER_AND_CHANGED if reasons else ReasonCode.TAKEN_OVER)
    match sorted(reasons):
        case [code]:
            return Action.UPDATE, reasons[code]
        case [_, *_] as codes:
            return Action.UPDATE, Reason(ReasonCode.SEVERAL, {"codes": [code.value for code in codes]})
    if any(change.path == "" for change in differing):
        return Action.ADOPT, _RECREATED_OUTSIDE
    if any(change.resolution is Resolution.THEIRS for change in differing):
        return Action.ADOPT, Reason(ReasonCode.THEIRS)
    if any(change.cls is ChangeClass.CONVERGED and not change.resolution for change in differing):
        return Action.ADOPT, Reason(ReasonCode.CONVERGED)
    if dropped := sorted(record.inputs.keys() - resource.fields.keys()):
        return Action.ADOPT, Reason(ReasonCode.UNMANAGED, {"fields": dropped})
    if unread := [change.path for change in differing if change.cls is ChangeClass.UNVERIFIED]:
        return Action.NOOP, Reason(ReasonCode.UNREADABLE_FIELDS, {"fields": unread})
    return Action.NOOP, IN_SYNC


def _replaced_if_fixed(
    step: Step, resource: Resource, live: LiveObject, kind: KindFacts, options: PlanOptions
) -> Step:
    """A change that the far end cannot make in place needs a new object, and a user who knows what goes."""
    fixed = [change.path for change in step.changes if change.write and kind.rules[change.field].immutable]
    if not fixed:
        return step
    changes = (*step.changes, *_carried_fields(resource, kind, live.fields))
    reason = Reason(ReasonCode.IMMUTABLE, {"fields": fixed})
    step = replace(step, action=Action.REPLACE, reason=reason, changes=changes)
    if kind.disposable or step.address in options.replace:
        return step
    refusal = Refusal(
        Reason(RefusalCode.REPLACE_LOSES_HISTORY, {"fields": fixed}),
        (
            WayOut(Way.ALLOW_REPLACE, f"{options.again} --replace {step.address}"),
            WayOut(Way.RESTORE_VALUE),
        ),
    )
    return replace(step, refusal=refusal)


def _refused_if_blind(step: Step, kind: KindFacts, ignored: Collection[str]) -> Step:
    """What is ignored and cannot be read must not be written along with something else.

    A table is written whole, and so are fields that share a request, and everything of a new object.
    """
    if not ignored or step.refusal is not None:
        return step
    for change in step.changes:
        unread = _ignored_unread(change, ignored)
        written = _written_with(change, step, kind) if unread else []
        if written:
            return replace(step, refusal=_overwrites_ignored(written, unread))
    return step


def _ignored_unread(change: Change, ignored: Collection[str]) -> list[str]:
    """What `ignored` names of this field, where the live value cannot be read."""
    if change.live is not MISSING or not change.path:
        return []
    if change.resolution is Resolution.IGNORED:
        return [change.path]
    return [path for path in ignored if path.startswith(f"{change.path}.")]


def _written_with(change: Change, step: Step, kind: KindFacts) -> list[str]:
    """The changes that write a field, or what is in it, although it is ignored."""
    written = [other.path for other in step.changes if other.write]
    if step.action is Action.REPLACE:
        return [path for path in written if kind.rules[path.partition(".")[0]].immutable]
    if change.write:
        return [change.path]
    together = kind.written_together
    return [path for path in written if path in together] if change.path in together else []


def _overwrites_ignored(written: Collection[str], ignored: Collection[str]) -> Refusal:
    parts = {"fields": [*written], "ignored": [*ignored]}
    return Refusal(Reason(RefusalCode.OVERWRITES_IGNORED, parts), (WayOut(Way.IGNORE_WHOLE, details=parts),))


def _assessed(step: Step, resource: Resource, scene: _PlanInputs) -> Step:
    """What the kind itself says should be done, in place of what its fields add up to."""
    assess = scene.facts[step.address.kind].assess
    assert assess is not None
    record, live = scene.recorded.get(step.address), scene.live.get(step.address)
    others = [other for address, other in scene.live.items() if address != step.address]
    assessment = assess(
        resource.fields, record.inputs if record else None, record.outputs if record else {}, live, others
    )
    step = replace(step, reason=assessment.reason, refusal=assessment.refusal)
    match assessment.need:
        case RequiredAction.CREATE:
            return replace(step, action=Action.CREATE)
        case RequiredAction.UPDATE:
            return replace(step, action=Action.ADOPT if record is None else Action.UPDATE)
        case RequiredAction.NOTHING:
            canonical_numbers = tuple(change._replace(write=False) for change in step.changes)
            stale = record is None or (live is not None and record.id != live.id)
            stale = stale or any(change.cls is ChangeClass.CONVERGED for change in canonical_numbers)
            return replace(step, action=Action.ADOPT if stale else Action.NOOP, changes=canonical_numbers)


def _step_for_undesired(address: Address, scene: _PlanInputs) -> Step:
    kind, options = scene.facts[address.kind], scene.options
    record, live, owner = scene.recorded.get(address), scene.live.get(address), scene.owner(address)
    parent = parent_of(address, kind)
    kept = ReasonCode.NOT_DESTROYED if options.destroy else ReasonCode.LEFT_FILES_KEPT
    step = Step(
        address,
        Action.FORGET,
        Reason(kept, {"place": kind.place}),
        depends_on=(parent,) if parent and parent in scene.desired else (),
        id=live.id if live else record.id if record else None,
        fingerprint=fingerprint(live, kind) if live else "",
    )
    if live is None and address in scene.unfinished_replaces:
        return replace(step, reason=_UNFINISHED_REPLACE)
    unwanted = options.prune or (options.destroy and not kind.shared)
    if owner is None and not (unwanted and kind.prunable):
        return step
    if live is None:
        return replace(step, reason=Reason(ReasonCode.GONE))
    if record is not None and record.id != live.id:
        return replace(step, reason=Reason(ReasonCode.NOT_OURS))
    taken_over = owner is None or owner.address in scene.recorded
    cls, code = (
        (ChangeClass.PENDING, ReasonCode.DESTROYED if options.destroy else ReasonCode.LEFT_FILES)
        if record
        else (ChangeClass.DRIFT, ReasonCode.ADDED_OUTSIDE)
        if taken_over
        else (ChangeClass.UNRECORDED, ReasonCode.UNDECLARED)
    )
    reason = Reason(code)
    gone = Change("", cls, ABSENT, record.id if record else MISSING, live.id, reason, write=True)
    return replace(step, action=Action.DELETE, reason=reason, changes=(gone,))


def _children_of_replaced(steps: Mapping[Address, Step], scene: _PlanInputs) -> dict[Address, Step]:
    """A replaced parent takes its children with it: those that the files want are made anew."""
    anew: dict[Address, Step] = {}
    lost = {address for address, step in steps.items() if step.action is Action.REPLACE}
    if not lost:
        return anew
    for resource in sorted(scene.desired, key=lambda resource: len(resource.address.name)):
        address, kind = resource.address, scene.facts[resource.address.kind]
        parent, step = parent_of(address, kind), steps[address]
        if parent not in lost or step.action is Action.CREATE:
            continue
        lost.add(address)
        if step.action is not Action.REPLACE:
            besides = _carried_fields(resource, kind, scene.live[address].fields)
            step = replace(step, changes=(*step.changes, *besides))
        ignored, with_parent = scene.options.ignored.get(address, ()), {"parent": str(parent)}
        reason, refusal = Reason(ReasonCode.PARENT_REPLACED, with_parent), None
        if address in scene.options.protected:
            refusal = Refusal(Reason(RefusalCode.PROTECTED_PARENT, with_parent), (_unprotect(address),))
        elif unread := [path for change in step.changes for path in _ignored_unread(change, ignored)]:
            refusal = _overwrites_ignored([str(parent)], unread)
        anew[address] = replace(step, action=Action.CREATE, reason=reason, refusal=refusal)
    return anew


def _protected(steps: Mapping[Address, Step], options: PlanOptions) -> dict[Address, Step]:
    """A protected resource that would be deleted or replaced is refused, whatever allowed it."""
    refused: dict[Address, Step] = {}
    for address in options.protected:
        step = steps.get(address)
        if step is not None and step.action in (Action.DELETE, Action.REPLACE):
            reason = Reason(RefusalCode.PROTECTED, {"action": step.action.word})
            refused[address] = replace(step, refusal=Refusal(reason, (_unprotect(address),)))
    return refused


def _unprotect(address: Address) -> WayOut:
    return WayOut(Way.UNPROTECT, details={"address": str(address)})


def _parents_after_children(
    steps: Mapping[Address, Step], facts: Mapping[str, KindFacts]
) -> dict[Address, Step]:
    """Deletes walk the edges backwards: a parent that is deleted goes after its children."""
    children: dict[Address, list[Address]] = {
        address: [] for address, step in steps.items() if step.action is Action.DELETE
    }
    for address in steps if children else ():
        parent = parent_of(address, facts[address.kind])
        if parent in children:
            children[parent].append(address)
    return {
        parent: replace(steps[parent], depends_on=(*steps[parent].depends_on, *below))
        for parent, below in children.items()
    }


def _remarks(steps: Mapping[Address, Step], scene: _PlanInputs) -> list[Diagnostic]:
    """What the user should know besides the steps."""
    found = []
    for step in steps.values():
        if step.action is Action.REPLACE and not scene.desired_owns(step.address):
            found.append(
                warning(
                    f"replacing {step.address} deletes all that lives in it",
                    "What the files do not declare of that is not made again.",
                    address=str(step.address),
                )
            )
        if any(change.resolution is Resolution.THEIRS for change in step.changes):
            found.append(
                warning(
                    "live is kept, but the files still say otherwise",
                    "Write it into the files, or the next apply puts the files' value there.",
                    address=str(step.address),
                )
            )
    return found
