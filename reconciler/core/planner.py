"""The planner: desired graph, recorded resources, live objects, kind facts, options -> steps. Pure.

Every step has a reason, also a noop. Apply only runs the steps; it decides nothing.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from providers.json_value import JSON
from providers.protocol import KindFacts, LiveObject, RequiredAction
from providers.reasons import Reason, Refusal, WayOut
from providers.rules import UNSET
from reconciler.core.diagnostics import Diagnostic, warning
from reconciler.core.diff import Change, ChangeClass, Resolution, compare, normalised
from reconciler.core.graph import Graph, Resource, ordered
from reconciler.core.plan import Action, Step
from reconciler.core.plan_options import PlanOptions
from reconciler.core.reasons import IN_SYNC, ReasonCode, RefusalCode, Way
from reconciler.core.remote import RemoteState, TagInUse, parent_of
from reconciler.core.shared_values import Appliers, is_overwrite
from reconciler.core.values import ABSENT, IMAGE_FIELDS, MISSING, Address, image_run_by
from state.snapshot import Intent, RecordedResource


class _PlanInputs(Struct, frozen=True):
    """The desired, recorded and live worlds of one stack, with kind facts, options and unfinished writes."""

    desired: Graph
    recorded: Mapping[Address, RecordedResource]
    live: Mapping[Address, LiveObject]
    renamed: Mapping[Address, Address]
    facts: Mapping[str, KindFacts]
    options: PlanOptions
    contested: Collection[Address]
    unfinished_replaces: Mapping[Address, Intent]
    tags: Mapping[Address, TagInUse]
    appliers: Appliers

    def desired_owns(self, address: Address) -> bool:
        """Whether the resource has no kinds of children, or the files list all of its children."""
        kinds = [name for name, facts in self.facts.items() if facts.parent == address.kind]
        resource = self.desired.get(address)
        return resource is not None and set(kinds) <= set(resource.owns)

    def why_lost(self, address: Address) -> Reason:
        """Why a recorded object is not there."""
        other = self.renamed.get(address)
        if other is None:
            return _DELETED_OUTSIDE
        return Reason(ReasonCode.RENAMED_OUTSIDE, {"to": str(other)})

    def owner(self, address: Address) -> Resource | None:
        """The desired parent if the files list its children of this kind completely, or None."""
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
    tags: Mapping[Address, TagInUse] = MappingProxyType({}),
    appliers: Appliers = MappingProxyType({}),
) -> tuple[tuple[Step, ...], tuple[Diagnostic, ...]]:
    """One step for every resource that is desired, recorded, left open, or live in a list that the files own.

    Args:
        contested: objects of unknown origin, possibly created by an unfinished run: see `recovery.settle`.
        unfinished_replaces: resources that an unfinished run deleted and did not create again, with their
            intents.
        tags: image -> the tag of it that the platform's resources have.
        appliers: the other stacks that applied live values of shared objects.
    """
    inputs = _PlanInputs(
        desired,
        recorded,
        remote_state.found,
        remote_state.renamed,
        facts,
        options,
        contested,
        unfinished_replaces,
        tags,
        appliers,
    )
    steps = {resource.address: _step_for_desired(resource, inputs) for resource in desired}
    unfinished = unfinished_replaces.keys() | set(contested)
    for address in sorted((recorded.keys() | remote_state.found.keys() | unfinished) - steps.keys()):
        if address in recorded or address in unfinished or inputs.owner(address):
            steps[address] = _step_for_undesired(address, inputs)
    steps |= _children_of_replaced(steps, inputs)
    lost = _children_lost(steps, inputs)
    steps |= {address: _with_children(steps[address], children, inputs) for address, children in lost.items()}
    steps |= _refuse_protected(steps, options)
    steps |= _parents_after_children(steps, facts)
    steps |= _images_after_users(steps, inputs)
    order = ordered({address: step.depends_on for address, step in steps.items()})
    return tuple(steps[address] for address in order), tuple(_remarks(steps, inputs, lost))


def fingerprint(live: LiveObject, facts: KindFacts) -> str:
    """A digest of the normalised fields of a live object: equal if no field of the kind has changed."""
    fields = {
        name: normalised(value, facts.rules[name])
        for name, value in live.fields.items()
        if name in facts.rules
    }
    return hashlib.sha256(_canonical([live.id, fields]).encode()).hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _step_for_desired(resource: Resource, inputs: _PlanInputs) -> Step:
    address, kind = resource.address, inputs.facts[resource.address.kind]
    recorded, live = inputs.recorded.get(address), inputs.live.get(address)
    if live is None:
        unfinished = inputs.unfinished_replaces.get(address)
        lost = inputs.why_lost(address)
        reason = lost if recorded else _NOT_CREATED if unfinished is None else _UNFINISHED_REPLACE
        changes = _create_changes(resource, recorded, kind, unfinished, lost, inputs.options)
        step = Step(address, Action.CREATE, reason, changes, resource.depends_on)
    else:
        changes = _live_changes(resource, recorded, live, kind, inputs)
        action, reason = _action_in_place(changes, resource, recorded)
        if action is Action.NOOP and address in inputs.contested:
            action, reason = Action.ADOPT, Reason(ReasonCode.UNFINISHED_CREATE)
        step = Step(address, action, reason, changes, resource.depends_on, live.id, fingerprint(live, kind))
        if kind.assess is None and action is not Action.NOOP:
            step = _replace_if_immutable(step, resource, live, kind, inputs.options)
            step = _refuse_overwriting_ignored(step, kind, inputs.options.ignored.get(address, ()))
    if kind.assess is None:
        return step
    step = _with_assessment(step, resource, inputs)
    tag = inputs.tags.get(address)
    return replace(step, reason=_moved(tag)) if step.action is Action.ADOPT and tag and tag.is_moved else step


_NEW = Reason(ReasonCode.NEW)
_CARRIED_OVER = Reason(ReasonCode.CARRIED_OVER)
_CREATE_DEFAULT = Reason(ReasonCode.CREATE_DEFAULT)
_NOT_CREATED = Reason(ReasonCode.NOT_CREATED)
_DELETED_OUTSIDE = Reason(ReasonCode.DELETED_OUTSIDE)
_RECREATED_OUTSIDE = Reason(ReasonCode.RECREATED_OUTSIDE)
_UNFINISHED_REPLACE = Reason(ReasonCode.UNFINISHED_REPLACE)
_CONTESTED = Reason(ReasonCode.CONTESTED)
_KEPT_BY_REPLACE = Reason(ReasonCode.KEPT_BY_REPLACE)


def _create_changes(
    resource: Resource,
    recorded: RecordedResource | None,
    kind: KindFacts,
    unfinished: Intent | None,
    lost: Reason,
    options: PlanOptions,
) -> tuple[Change, ...]:
    """Every field of a new object. If it replaces a recorded one, a change of the whole object comes first.

    Args:
        unfinished: the intent of an unfinished run that deleted the old object.
        lost: why the recorded object is not there.
    """
    recorded_fields = recorded.inputs if recorded else {}
    kept = _kept_fields(resource, kind, unfinished, options) if unfinished else []
    excluded = {change.path for change in kept}
    changes = [
        *kept,
        *_new_fields(resource, kind, recorded_fields, excluded),
        *_carried_fields(resource, kind, {**unfinished.fields, **unfinished.kept} if unfinished else {}),
    ]
    changes = sorted(changes, key=lambda change: change.path)
    if recorded is None:
        return tuple(changes)
    gone = Change("", ChangeClass.DRIFT, MISSING, recorded.id, ABSENT, lost, write=True)
    return (gone, *changes)


def _new_fields(
    resource: Resource, kind: KindFacts, recorded: Mapping[str, JSON], excluded: Collection[str]
) -> list[Change]:
    """The desired fields of a new object, without the excluded fields and keys."""

    def desired_value(name: str, value: JSON) -> JSON:
        value = normalised(value, kind.rules[name])
        if not (kind.rules[name].keyed and isinstance(value, dict)):
            return value
        return {key: item for key, item in value.items() if f"{name}.{key}" not in excluded}

    return [
        Change(
            name,
            ChangeClass.PENDING,
            desired_value(name, value),
            normalised(recorded.get(name, MISSING), kind.rules[name]),
            ABSENT,
            _NEW,
            write=True,
            place=_place_of(resource, name),
        )
        for name, value in resource.fields.items()
        if name not in excluded
    ]


def _kept_fields(
    resource: Resource, kind: KindFacts, unfinished: Intent, options: PlanOptions
) -> list[Change]:
    """Managed fields that a new object takes from the deleted one: ignored ones, and those of `--theirs`.

    The fields of the deleted object, which the intent contains, are compared as if it were still live. Those
    that the unfinished run was to keep are conflicts until the user decides again.
    """
    ignored = options.ignored.get(resource.address, ())
    winner = _winner(resource.address, options)
    promised = unfinished.kept.keys() & unfinished.fields.keys()
    old = {
        name: value
        for name, value in {**unfinished.fields, **unfinished.kept}.items()
        if name in resource.fields and not kind.rules[name].write_only
    }
    desired = {name: resource.fields[name] for name in old}
    kept = []
    for change in compare(desired, None, old, kind.rules, _places_of(resource)):
        if change.cls is not ChangeClass.UNRECORDED:
            continue
        if change.field in ignored or change.path in ignored:
            kept.append(_ignore(change))
        elif winner is Resolution.THEIRS and change.field in unfinished.kept:
            kept.append(_keep_live(change))
        elif winner is Resolution.NONE and change.field in promised:
            kept.append(change._replace(cls=ChangeClass.CONFLICT, reason=_KEPT_BY_REPLACE))
    return kept


def _carried_fields(resource: Resource, kind: KindFacts, old: Mapping[str, JSON]) -> list[Change]:
    """Unmanaged fields of a new object: the value of the old object, or the kind's default for new ones."""
    carried = {name: old[name] for name, rule in kind.rules.items() if name in old and not rule.write_only}
    defaults = {name: rule.create_default for name, rule in kind.rules.items()}
    return [
        Change(
            name,
            ChangeClass.PENDING,
            normalised(value, kind.rules[name]),
            MISSING,
            ABSENT,
            _CARRIED_OVER if name in carried else _CREATE_DEFAULT,
            write=True,
        )
        for name, value in sorted({**defaults, **carried}.items())
        if name not in resource.fields and value is not UNSET
    ]


def _live_changes(
    resource: Resource,
    recorded: RecordedResource | None,
    live: LiveObject,
    kind: KindFacts,
    inputs: _PlanInputs,
) -> tuple[Change, ...]:
    """Every managed field, with the user's decision. If the object was recreated, that change comes first."""
    address, options = resource.address, inputs.options
    ignored, contested = options.ignored.get(address, ()), address in inputs.contested
    changes = []
    if kind.assess is None and recorded is not None and recorded.id != live.id:
        recreated = Change(
            "", ChangeClass.DRIFT, MISSING, recorded.id, live.id, _RECREATED_OUTSIDE, write=False
        )
        changes.append(recreated)
    recorded_fields = _recorded_fields(live, recorded, resource, kind)
    places, others = _places_of(resource), inputs.appliers.get(address, {})
    compared = compare(resource.fields, recorded_fields, live.fields, kind.rules, places)
    if (
        kind.assess is not None
        and recorded_fields is not None
        and recorded is not None
        and recorded.id != live.id
    ):
        changes.extend(_overwrite_change(recorded, live, compared))
    for change in compared:
        if contested and change.live is not MISSING and change.write:
            change = change._replace(cls=ChangeClass.CONFLICT, reason=_CONTESTED)  # noqa: PLW2901 - the same one
        elif is_overwrite(change) and change.field in others:
            reason = Reason(ReasonCode.APPLIED_ELSEWHERE, {"stack": others[change.field]})
            change = change._replace(cls=ChangeClass.CONFLICT, reason=reason)  # noqa: PLW2901 - the same one
        if ignored and (change.field in ignored or change.path in ignored):
            changes.append(_ignore(change))
        elif change.cls is ChangeClass.CONFLICT:
            changes.append(_resolve_conflict(change, address, kind, options))
        else:
            changes.append(change)
    tag = inputs.tags.get(address)
    if tag is not None and tag.is_moved:
        return tuple(_with_moved_tag(changes, tag, kind))
    if tag is not None and recorded is not None:  # another environment published what the files declare
        return tuple(_pending(change, tag, kind, places) for change in changes)
    return tuple(changes)


def _pending(change: Change, tag: TagInUse, kind: KindFacts, places: Mapping[str, str]) -> Change:
    """The change of a field whose live value is no other one than the last apply left.

    The files ask for the move of a tag with their version.
    """
    if change.cls is not ChangeClass.UNRECORDED:
        return change
    if change.path != kind.moves:
        return change._replace(cls=ChangeClass.PENDING, reason=Reason(ReasonCode.FILES_CHANGED))
    details = {"tag": tag.tag, "version": tag.version}
    if change.desired != tag.tag:  # what runs has the tag of its version, or an ignored one
        details = {"tag": str(change.desired), "version": "", "runs": tag.version}
    reason = Reason(ReasonCode.CHANNEL_NOT_MOVED, details)
    place = places.get(kind.published_as, "") or change.place
    return change._replace(cls=ChangeClass.PENDING, reason=reason, place=place)


def _with_moved_tag(changes: Sequence[Change], tag: TagInUse, kind: KindFacts) -> Iterator[Change]:
    """The changes with the drift of a tag: in its field, or in its content if the files have that by now."""
    reason = _moved(tag)
    for change in changes:
        is_explained = tag.by and change.path == kind.moves and change.cls is ChangeClass.DRIFT
        yield change._replace(reason=reason) if is_explained else change
    if not any(change.cls in (ChangeClass.DRIFT, ChangeClass.CONFLICT) for change in changes):
        live = ABSENT if tag.live is None else tag.live
        desired = MISSING if tag.desired is None else tag.desired
        yield Change(kind.content, ChangeClass.DRIFT, desired, tag.recorded, live, reason, write=False)


def _moved(tag: TagInUse) -> Reason:
    details = {"tag": tag.tag, "by": tag.by, "version": tag.version}
    return Reason(ReasonCode.CHANNEL_MOVED, details)


def _recorded_fields(
    live: LiveObject, recorded: RecordedResource | None, resource: Resource, kind: KindFacts
) -> Mapping[str, JSON] | None:
    """The recorded fields that apply to this live object, or None.

    For an image, another id means other content. The recorded fields then apply only if the content was
    pushed under the recorded version and the files still have that version.
    """
    if recorded is None or kind.assess is None or recorded.id == live.id:
        return recorded.inputs if recorded else None
    names = {str(fields.get(kind.published_as)) for fields in (recorded.inputs, resource.fields, live.fields)}
    return recorded.inputs if kind.published_as and len(names) == 1 else None


def _overwrite_change(
    recorded: RecordedResource, live: LiveObject, compared: Collection[Change]
) -> Iterator[Change]:
    """Drift of the whole object if other content has its name, and only unreadable fields may differ."""
    differs = any(change.cls in (ChangeClass.DRIFT, ChangeClass.CONFLICT) for change in compared)
    if not differs and any(change.cls is ChangeClass.UNVERIFIED for change in compared):
        reason = Reason(ReasonCode.OVERWRITTEN_OUTSIDE)
        yield Change("", ChangeClass.DRIFT, MISSING, recorded.id, live.id, reason, write=False)


def _place_of(resource: Resource, name: str) -> str:
    origin = resource.origins.get(name)
    if origin is None:
        return ""
    return f"{origin.file}:{origin.line}" if origin.line is not None else str(origin.file)


def _places_of(resource: Resource) -> dict[str, str]:
    """Where the files set each field, and each key of a table whose line is known."""
    keys = {
        f"{name}.{key}": f"{file}:{line}"
        for name, origin in resource.origins.items()
        for key, (file, line) in origin.keys.items()
    }
    return {**{name: _place_of(resource, name) for name in resource.origins}, **keys}


def _ignore(change: Change) -> Change:
    """Keep the live value of an ignored field; it counts neither as drift nor as a conflict."""
    if change.cls is ChangeClass.IN_SYNC:
        return change
    reason = Reason(ReasonCode.IGNORED)
    return change._replace(write=False, resolution=Resolution.IGNORED, reason=reason)


def _resolve_conflict(change: Change, address: Address, kind: KindFacts, options: PlanOptions) -> Change:
    if options.overwrites and change.reason.code is not ReasonCode.APPLIED_ELSEWHERE:
        return change._replace(resolution=Resolution.OURS, reason=Reason(ReasonCode.OURS))
    match _winner(address, options):
        case Resolution.OURS:
            return change._replace(resolution=Resolution.OURS, reason=Reason(ReasonCode.OURS))
        # A kind with an assessment is kept or written as a whole, so no single field can be kept.
        case Resolution.THEIRS if kind.assess is None:
            return _keep_live(change)
    return change


def _keep_live(change: Change) -> Change:
    return change._replace(resolution=Resolution.THEIRS, reason=Reason(ReasonCode.THEIRS), write=False)


def _winner(address: Address, options: PlanOptions) -> Resolution:
    """The winner of a conflict. An option with this address takes precedence over one for all."""

    def has_address(side: Collection[Address] | None) -> bool:
        return side is not None and address in side

    def is_for_all(side: Collection[Address] | None) -> bool:
        return side is None

    for applies in (has_address, is_for_all):
        match applies(options.ours), applies(options.theirs):
            case True, False:
                return Resolution.OURS
            case False, True:
                return Resolution.THEIRS
            case True, True:
                return Resolution.NONE
    return Resolution.NONE


def _action_in_place(
    changes: Collection[Change], resource: Resource, recorded: RecordedResource | None
) -> tuple[Action, Reason]:
    """The action that the changes of a live object require, with the reason."""
    differing = [change for change in changes if change.cls is not ChangeClass.IN_SYNC]
    reasons = {change.reason.code: change.reason for change in differing if change.write}
    if recorded is None:
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
    if dropped := sorted(recorded.inputs.keys() - resource.fields.keys()):
        return Action.ADOPT, Reason(ReasonCode.UNMANAGED, {"fields": dropped})
    if ignored := [change.path for change in differing if change.is_ignored]:
        return Action.NOOP, Reason(ReasonCode.IGNORED_FIELDS, {"fields": ignored})
    if unread := [change.path for change in differing if change.cls is ChangeClass.UNVERIFIED]:
        return Action.NOOP, Reason(ReasonCode.UNREADABLE_FIELDS, {"fields": unread})
    return Action.NOOP, IN_SYNC


def _replace_if_immutable(
    step: Step, resource: Resource, live: LiveObject, kind: KindFacts, options: PlanOptions
) -> Step:
    """Replace the object if an immutable field changes; without `--replace`, only disposable kinds."""
    immutable = [
        change.path for change in step.changes if change.write and kind.rules[change.field].immutable
    ]
    if not immutable:
        return step
    changes = (*step.changes, *_carried_fields(resource, kind, live.fields))
    reason = Reason(ReasonCode.IMMUTABLE, {"fields": immutable})
    step = replace(step, action=Action.REPLACE, reason=reason, changes=changes)
    if kind.disposable or step.address in options.replace:
        return step
    refusal = Refusal(
        Reason(RefusalCode.REPLACE_LOSES_HISTORY, {"fields": immutable}),
        (
            WayOut(Way.ALLOW_REPLACE, f"{options.apply_command} --replace {step.address}"),
            *(() if options.overwrites else (WayOut(Way.RESTORE_VALUE),)),
        ),
    )
    return replace(step, refusal=refusal)


def _refuse_overwriting_ignored(step: Step, kind: KindFacts, ignored: Collection[str]) -> Step:
    """Refuse to write an ignored, unreadable value together with another one.

    A table is written whole, fields that share a request are written together, and a new object gets all
    fields.
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
    """The ignored paths of a field whose live value cannot be read."""
    if change.live is not MISSING or not change.path:
        return []
    if change.resolution is Resolution.IGNORED:
        return [change.path]
    return [path for path in ignored if path.startswith(f"{change.path}.")]


def _written_with(change: Change, step: Step, kind: KindFacts) -> list[str]:
    """The paths of the changes that also write this field, although it is ignored."""
    written = [other.path for other in step.changes if other.write]
    if step.action is Action.REPLACE:
        return [path for path in written if kind.rules[path.partition(".")[0]].immutable]
    if change.write:
        return [change.path]
    together = kind.written_together
    return [path for path in written if path in together] if change.path in together else []


def _overwrites_ignored(written: Collection[str], ignored: Collection[str]) -> Refusal:
    details = {"fields": [*written], "ignored": [*ignored]}
    return Refusal(
        Reason(RefusalCode.OVERWRITES_IGNORED, details), (WayOut(Way.IGNORE_WHOLE, details=details),)
    )


def _with_assessment(step: Step, resource: Resource, inputs: _PlanInputs) -> Step:
    """The step with the action of the kind's own assessment, instead of the one that its fields require."""
    assess = inputs.facts[step.address.kind].assess
    assert assess is not None
    recorded, live = inputs.recorded.get(step.address), inputs.live.get(step.address)
    others = [other for address, other in inputs.live.items() if address != step.address]
    assessment = assess(
        resource.fields,
        recorded.inputs if recorded else None,
        recorded.outputs if recorded else {},
        live,
        others,
    )
    step = replace(step, reason=assessment.reason, refusal=assessment.refusal)
    match assessment.need:
        case RequiredAction.CREATE:
            return replace(step, action=Action.CREATE)
        case RequiredAction.UPDATE:
            return replace(step, action=Action.ADOPT if recorded is None else Action.UPDATE)
        case RequiredAction.NOTHING:
            changes = tuple(change._replace(write=False) for change in step.changes)
            stale = recorded is None or (live is not None and recorded.id != live.id)
            stale = stale or any(change.cls is ChangeClass.CONVERGED for change in changes)
            return replace(step, action=Action.ADOPT if stale else Action.NOOP, changes=changes)


def _step_for_undesired(address: Address, inputs: _PlanInputs) -> Step:
    kind, options = inputs.facts[address.kind], inputs.options
    recorded, live, owner = inputs.recorded.get(address), inputs.live.get(address), inputs.owner(address)
    parent = parent_of(address, kind)
    forget_code = ReasonCode.NOT_DESTROYED if options.destroy else ReasonCode.LEFT_FILES_KEPT
    step = Step(
        address,
        Action.FORGET,
        Reason(forget_code, {"place": kind.place}),
        depends_on=(parent,) if parent and parent in inputs.desired else (),
        id=live.id if live else recorded.id if recorded else None,
        fingerprint=fingerprint(live, kind) if live else "",
    )
    if live is None and address in inputs.unfinished_replaces:
        return replace(step, reason=_UNFINISHED_REPLACE)
    if recorded is None and owner is None:  # contested
        return replace(step, reason=Reason(ReasonCode.UNKNOWN_ORIGIN))
    may_delete = kind.prunable and (options.prune or (options.destroy and not kind.shared))
    if owner is None and not may_delete:
        tag = inputs.tags.get(address)
        if tag is not None and tag.is_moved:
            return replace(step, changes=tuple(_with_moved_tag((), tag, kind)))
        return replace(step, changes=tuple(_other_image(recorded, live, kind)))
    if live is None:
        is_renamed = address in inputs.renamed
        return replace(step, reason=inputs.why_lost(address) if is_renamed else Reason(ReasonCode.GONE))
    if recorded is not None and recorded.id != live.id:
        if owner is None:
            return replace(step, reason=Reason(ReasonCode.NOT_OURS))
        recorded = None  # another one was added to a list that the files own
    owner_is_recorded = owner is None or owner.address in inputs.recorded
    cls, code = (
        (ChangeClass.PENDING, ReasonCode.DESTROYED if options.destroy else ReasonCode.LEFT_FILES)
        if recorded
        else (ChangeClass.DRIFT, ReasonCode.ADDED_OUTSIDE)
        if owner_is_recorded
        else (ChangeClass.UNRECORDED, ReasonCode.UNDECLARED)
    )
    reason = Reason(code)
    removal = Change("", cls, ABSENT, recorded.id if recorded else MISSING, live.id, reason, write=True)
    return replace(step, action=Action.DELETE, reason=reason, changes=(removal,))


def _other_image(
    recorded: RecordedResource | None, live: LiveObject | None, kind: KindFacts
) -> Iterator[Change]:
    """The drift of an object that left the files and runs another image than the last apply left."""
    if recorded is None or live is None or recorded.id != live.id:
        return
    applied = {name: recorded.inputs[name] for name in IMAGE_FIELDS if name in recorded.inputs}
    for change in compare(applied, recorded.inputs, live.fields, kind.rules, {}):
        if change.cls is ChangeClass.DRIFT:
            yield change._replace(desired=MISSING, write=False)


def _children_of_replaced(steps: Mapping[Address, Step], inputs: _PlanInputs) -> dict[Address, Step]:
    """Create steps for desired children whose parent is replaced, as they are deleted with it."""
    recreated: dict[Address, Step] = {}
    deleted = {address for address, step in steps.items() if step.action is Action.REPLACE}
    if not deleted:
        return recreated
    for resource in sorted(inputs.desired, key=lambda resource: len(resource.address.name)):
        address, kind = resource.address, inputs.facts[resource.address.kind]
        parent, step = parent_of(address, kind), steps[address]
        if parent not in deleted or step.action is Action.CREATE:
            continue
        deleted.add(address)
        if step.action is not Action.REPLACE:
            carried = _carried_fields(resource, kind, inputs.live[address].fields)
            step = replace(step, changes=(*step.changes, *carried))
        ignored, details = inputs.options.ignored.get(address, ()), {"parent": str(parent)}
        reason, refusal = Reason(ReasonCode.PARENT_REPLACED, details), None
        if address in inputs.options.protected:
            refusal = Refusal(Reason(RefusalCode.PROTECTED_PARENT, details), (_unprotect(address),))
        elif unread := [path for change in step.changes for path in _ignored_unread(change, ignored)]:
            refusal = _overwrites_ignored([str(parent)], unread)
        recreated[address] = replace(step, action=Action.CREATE, reason=reason, refusal=refusal)
    return recreated


def _children_lost(steps: Mapping[Address, Step], inputs: _PlanInputs) -> dict[Address, list[Address]]:
    """The live children without a step of their own that go with an object that is deleted or replaced."""
    lost: dict[Address, list[Address]] = {}
    deleted = {address for address, step in steps.items() if step.action in (Action.REPLACE, Action.DELETE)}
    for address in sorted(inputs.live.keys() - steps.keys()) if deleted else ():
        if (parent := parent_of(address, inputs.facts[address.kind])) in deleted and parent is not None:
            lost.setdefault(parent, []).append(address)
    return lost


def _with_children(step: Step, children: Sequence[Address], inputs: _PlanInputs) -> Step:
    """The step with a fingerprint that also has these live children, so that a saved plan has no others."""
    below = [[str(address), inputs.live[address].id] for address in children]
    return replace(
        step, fingerprint=hashlib.sha256(_canonical([step.fingerprint, below]).encode()).hexdigest()
    )


def _refuse_protected(steps: Mapping[Address, Step], options: PlanOptions) -> dict[Address, Step]:
    """Refuse to delete or replace protected resources, whatever the other options are."""
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
    """Let the delete of a parent depend on the steps of its children, so that it comes last."""
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


def _images_after_users(steps: Mapping[Address, Step], inputs: _PlanInputs) -> dict[Address, Step]:
    """Let the forget of an image depend on the steps of the objects that run it.

    If one of them fails, the platform still runs the image, and the state tells what it was.
    """
    users: dict[Address, list[Address]] = {
        address: []
        for address, step in steps.items()
        if step.action is Action.FORGET and inputs.facts[address.kind].published_as
    }
    for address in steps if users else ():
        recorded, live = inputs.recorded.get(address), inputs.live.get(address)
        worlds = [recorded.inputs if recorded else {}, live.fields if live else {}]
        for image in dict.fromkeys(image_run_by(fields) for fields in worlds):
            if image in users:
                users[image].append(address)
    return {
        image: replace(steps[image], depends_on=(*steps[image].depends_on, *found))
        for image, found in users.items()
        if found
    }


def _remarks(
    steps: Mapping[Address, Step], inputs: _PlanInputs, lost_children: Mapping[Address, Sequence[Address]]
) -> list[Diagnostic]:
    """Warnings about the effects of steps."""
    found = []
    for step in steps.values():
        children = ", ".join(map(str, lost_children.get(step.address, ())))
        if children or (step.action is Action.REPLACE and not inputs.desired_owns(step.address)):
            doing = "replacing" if step.action is Action.REPLACE else "deleting"
            found.append(
                warning(
                    f"{doing} {step.address} also deletes {children or 'its children'}",
                    "Children that the files do not declare are not created again.",
                    address=str(step.address),
                )
            )
        if step.reason.code is ReasonCode.UNKNOWN_ORIGIN:
            found.append(
                warning(
                    f"{step.address} exists, and an interrupted run may have created it",
                    "It is not as that run sent it, so no step deletes it. If it is not needed, delete it.",
                    address=str(step.address),
                )
            )
        if lost := _lost_fields(step, inputs):
            found.append(
                warning(
                    f"some fields of {step.address} cannot be carried over to its new object",
                    f"The platform does not return {', '.join(lost)}. Set them in the files to keep them.",
                    address=str(step.address),
                )
            )
        if any(change.resolution is Resolution.THEIRS for change in step.changes):
            found.append(
                warning(
                    "the live value is kept, but the files still have another one",
                    "Write the live value to the files (reconciler adopt), or the next apply overwrites it.",
                    address=str(step.address),
                )
            )
    return found


def _lost_fields(step: Step, inputs: _PlanInputs) -> list[str]:
    """The unmanaged fields of a replaced object, or of one deleted with its parent, that cannot be read."""
    resource, live = inputs.desired.get(step.address), inputs.live.get(step.address)
    kind = inputs.facts[step.address.kind]
    is_replaced = step.action is Action.REPLACE or (step.action is Action.CREATE and kind.assess is None)
    if not is_replaced or resource is None or live is None:
        return []
    return sorted(kind.rules.keys() - resource.fields.keys() - live.fields.keys())
