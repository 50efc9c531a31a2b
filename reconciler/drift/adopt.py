"""`adopt`: writes live values back into the files, or shows them as a patch.

Works from a plan and changes only the user's files. It writes nothing to a provider, and not to state, which
the next apply updates. Values that config.toml contains unchanged are written there, values in a class become
a patch, and computed values are refused with their origin.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from providers.docker.source.fingerprint import fingerprint
from providers.hiding import HIDDEN, is_hidden
from providers.json_value import JSON
from providers.leftovers import scratch_folder
from providers.regular_files import read_regular
from providers.rules import FieldRule
from providers.text import one_line
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.core.diff import Change, ChangeClass, normalised, normalised_live, same
from reconciler.core.events import Emit
from reconciler.core.plan import Step
from reconciler.core.remote import parent_of
from reconciler.core.values import ABSENT, MISSING, Address, NoValue
from reconciler.drift import adopt_reach
from reconciler.drift.adopt_target import AdoptTarget
from reconciler.drift.check import adoptable_fields, is_missing
from reconciler.engine.missing_state import emptied_note, is_empty, not_applied_note, state_note
from reconciler.engine.plan import PlanResult
from reconciler.pipeline.classes.class_edits import (
    ManualEditError,
    literal,
    with_input,
    with_input_field,
    with_parameter,
    without_input,
    without_parameter,
)
from reconciler.pipeline.classes.declarations import ClassReference
from reconciler.pipeline.classes.static import read_inputs, read_parameters
from reconciler.pipeline.classes.static_module import NotStatic
from reconciler.pipeline.compile import desired_graph
from reconciler.pipeline.config import LoadedConfig, edited_config, is_unchanged
from reconciler.pipeline.image_source import image_source
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.edits import REMOVED, Value
from reconciler.pipeline.toml.toml_positions import BOM
from reconciler.pipeline.toml.toml_positions import Path as KeyPath
from reconciler.system.files import locked, replace_file, writing

_CHANGED_OUTSIDE = frozenset({ChangeClass.DRIFT, ChangeClass.CONFLICT})
_SETTLED = frozenset({ChangeClass.IN_SYNC, ChangeClass.CONVERGED})


class AdoptedValue(Struct, frozen=True):
    """One live value that the files will contain."""

    address: Address
    change: Change

    def __str__(self) -> str:
        return f"{self.address}#{self.change.path}" if self.change.path else str(self.address)

    @property
    def is_deleted(self) -> bool:
        """Whether it is a whole object that does not exist any more."""
        return not self.change.path and self.change.live is ABSENT


class Adoption(Struct, frozen=True):
    """The changes of the files.

    Attributes:
        config: config.toml with its new values.
        written: the values in config.toml.
        patched: file of a class -> its content before and after.
        in_patch: the values in these files.
        by_hand: values that need an edit by hand, or that config.toml cannot contain, with their places.
        remaining: other values that differ from the files. They can only be adopted by name, if at all, and
            secrets cannot.
        new_source: whether these changes change the image's source.
        has_state: whether the state has something of the pipeline. Otherwise nothing shows what was changed.
        remarks: warnings about other environments that these changes reach, and the note on missing state.
    """

    config: LoadedConfig
    written: tuple[AdoptedValue, ...] = ()
    patched: Mapping[Path, tuple[str, str]] = field(default_factory=dict)
    in_patch: tuple[AdoptedValue, ...] = ()
    by_hand: tuple[Diagnostic, ...] = ()
    remaining: tuple[AdoptedValue, ...] = ()
    new_source: bool = False
    has_state: bool = True
    remarks: tuple[Diagnostic, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.written or self.in_patch or self.by_hand)


def adoption(planned: PlanResult, targets: Sequence[AdoptTarget], emit: Emit) -> Adoption:
    """The changes of the files that make their desired values equal to the live ones.

    Args:
        targets: the values to adopt; empty for all values that changed outside and can be adopted.
        emit: called with the progress of hashing a large build context.

    Raises:
        UserError: a target does not exist, no file contains its value unchanged, or config.toml can contain
            each value, but not all of them.
    """
    values = _selected_values(planned, targets) if targets else list(_changed_outside(planned))
    adopted, not_held = _with_possible_edits(planned, [value for value in values if _key_of(planned, value)])
    in_classes = [value for value in values if not _key_of(planned, value)]
    patched, in_patch, by_hand = _class_edits(planned, in_classes)
    remaining = _secrets_of(planned, targets) if targets else _remaining_differences(planned, values)
    reached = adopt_reach.of_classes(planned.pipeline, [_class_key(planned, value) for value in in_patch])
    adopted = replace(
        adopted,
        patched=patched,
        in_patch=in_patch,
        by_hand=(*not_held, *by_hand),
        remaining=tuple(remaining),
        has_state=not is_empty(planned.stored),
        remarks=(*adopted.remarks, *reached, *_missing_state(planned)),
    )
    return replace(adopted, new_source=_is_new_source(planned.pipeline, adopted, emit))


def _missing_state(planned: PlanResult) -> list[Diagnostic]:
    """The note on a state that has nothing of the pipeline."""
    plan, stored = planned.plan, planned.stored
    if not is_empty(stored):
        return []
    command = plan.stack.command("apply")
    if planned.is_emptied:
        return [emptied_note([plan.stack], command)]
    note = state_note(plan.stack, stored, planned.remote_state, planned.kinds, is_emptied=False)
    return [note or not_applied_note([plan.stack], command, destroyed=False)]


def write(adopted: Adoption) -> None:
    """Write config.toml with its new values.

    Raises:
        UserError: config.toml changed after it was read, or cannot be written.
    """
    path = adopted.config.path
    with locked(path):
        if not is_unchanged(path, adopted.config.on_disk):
            detail = "Nothing was written. Run the same command again."
            raise UserError(error("config.toml changed after it was read", detail, file=path, may_pass=True))
        with writing(path, "config.toml could not be written", "Nothing was written."):
            replace_file(path, adopted.config.text.encode())


def patch(file: Path, before: str, after: str) -> str:
    """A unified diff for `git apply` and `patch -p1`, run in the folder that `file` is relative to."""
    old, new = (re.findall(r"[^\n]*\n|[^\n]+", text) for text in (before, after))
    lines = difflib.unified_diff(old, new, f"a/{file.as_posix()}", f"b/{file.as_posix()}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _is_new_source(pipeline: Pipeline, adopted: Adoption, emit: Emit) -> bool:
    """Whether the changes change the image's source. Files outside of the build context do not."""
    before, after = (image_source(one) for one in (pipeline, replace(pipeline, loaded=adopted.config)))
    patched = {
        Path(os.path.relpath(file.absolute(), after.folder)).as_posix(): text.encode()
        for file, (_, text) in adopted.patched.items()
    }
    after = replace(after, keyed={**after.keyed, **patched})
    keys = {fingerprint(source, announce=emit, cached=True).key for source in (before, after)}
    return len(keys) > 1


# Selecting values


def _changed_outside(planned: PlanResult) -> Iterator[AdoptedValue]:
    adoptable = adoptable_fields(planned)
    for step in planned.plan.steps:
        for change in step.changes:
            differs = change.cls in _CHANGED_OUTSIDE and not change.resolution
            readable = change.live is not MISSING and not is_hidden(change.live, change.path)
            if differs and readable and change.field in adoptable.get(step.address, ()):
                yield AdoptedValue(step.address, change)


def _remaining_differences(planned: PlanResult, adopted: Sequence[AdoptedValue]) -> Iterator[AdoptedValue]:
    """The other values that differ from the files: computed or unrecorded ones."""
    for step in planned.plan.steps:
        for change in step.changes:
            value = AdoptedValue(step.address, change)
            differs = change.cls in (*_CHANGED_OUTSIDE, ChangeClass.UNRECORDED) and not change.resolution
            if differs and value not in adopted and step.address not in planned.plan.lost_with_parent:
                yield value


def _selected_values(planned: PlanResult, targets: Sequence[AdoptTarget]) -> list[AdoptedValue]:
    selected: dict[tuple[Address, str], AdoptedValue] = {}
    problems: list[Diagnostic] = []
    adoptable = adoptable_fields(planned)
    for target in targets:
        address = target.address
        step = planned.plan.step(address)
        if step is None:
            existing = [str(step.address) for step in planned.plan.steps]
            detail = f"There are: {', '.join(existing)}.{did_you_mean(str(address), existing)}"
            problems.append(error(f"no resource is called {address}", detail))
            continue
        changes = _changes_of(target, step)
        fields = adoptable.get(address, ())
        if whole := next((c for c in changes if not c.path and "" in fields), None):
            changes = [whole]  # the object was added or deleted
        allowed = [c for c in changes if c.field in fields and _is_readable(c)]
        only_secrets = any(map(_is_secret, changes)) and all(c.cls in _SETTLED for c in allowed)
        if only_secrets or (not allowed and (target.path or changes)):
            problems.append(_refusal(target, step, changes, planned))
        selected.update(
            {(address, c.path): AdoptedValue(address, c) for c in allowed if c.cls not in _SETTLED}
        )
    if problems:
        raise UserError(*problems)
    return list(selected.values())


def _changes_of(target: AdoptTarget, step: Step) -> list[Change]:
    return [change for change in step.changes if target.path in ("", change.path, change.field)]


def _secrets_of(planned: PlanResult, targets: Sequence[AdoptTarget]) -> Iterator[AdoptedValue]:
    """The secrets among these values, which are adopted without them."""
    for target in targets:
        step = planned.plan.step(target.address)
        for change in _changes_of(target, step) if step else ():
            if _is_secret(change):
                yield AdoptedValue(target.address, change)


def _is_secret(change: Change) -> bool:
    """Whether the live value differs from the files, and is a secret."""
    return change.cls not in _SETTLED and is_hidden(change.live, change.path)


def _is_readable(change: Change) -> bool:
    """Whether the live value can be read. For an object or a key, ABSENT is a value."""
    is_part = change.path != change.field or not change.path
    return (
        change.live is not MISSING
        and not is_hidden(change.live, change.path)
        and (change.live is not ABSENT or is_part)
    )


def _refusal(target: AdoptTarget, step: Step, changes: Sequence[Change], planned: PlanResult) -> Diagnostic:
    """Why the target cannot be adopted, and what to do instead."""
    address = str(target.address)
    name = f"{address}#{target.path}" if target.path else address
    facts = planned.kinds[target.address.kind].facts
    apply_command = planned.plan.stack.command("apply", "--target", address)
    if facts.published_as:
        detail = (
            "An image is built from the folder. Apply the files, or publish a new version with apply --bump."
        )
        return error(f"{name} cannot be written to the files", detail, address=address)
    if not changes and not is_missing(planned, target.address):
        managed = [change.path for change in step.changes if change.path]
        detail = (
            "The platform keeps its values of fields that the files do not set. "
            f"They set: {', '.join(managed) or 'none'}.{did_you_mean(target.path, managed)}"
        )
        return error(f"the files do not set {name}", detail, address=address)
    if secrets := [change.path for change in changes if _is_secret(change)]:
        key, fields = (json.dumps(text, ensure_ascii=False) for text in (address, secrets))
        detail = (
            "Secrets do not belong in files. To keep what the platform has, add to [reconciler]: "
            f"ignore_changes = {{ {key} = {fields} }}"
        )
        return error(f"{name} is a secret on the platform", detail, address=address)
    if changes and all(change.live is MISSING for change in changes):
        return error(f"{name} cannot be read", "The platform does not return it.", address=address)
    if all(change.live is ABSENT for change in changes):
        parent = parent_of(target.address, facts)
        no_parent = f"{parent} does not exist either. " if is_missing(planned, parent) else ""
        detail = f"{no_parent}There is no live value to adopt. Create it with: {apply_command}"
        return error(f"{name} does not exist", detail, address=address)
    rule = facts.rules.get(changes[0].field)
    detail = (rule and rule.follows) or f"Apply the files with: {apply_command}"
    return error(f"{name} is computed from other values", detail, address=address)


# config.toml


def _key_of(planned: PlanResult, value: AdoptedValue) -> KeyPath:
    """The key path in config.toml that has the value, or will; () if config.toml does not contain it."""
    resource = planned.desired.get(value.address)
    origin = resource.origins.get(value.change.field) if resource and value.change.path else None
    if origin is None or not origin.key:
        return ()
    _, keyed, key = value.change.path.partition(".")
    return (*origin.key, key) if keyed else origin.key


def _with_possible_edits(
    planned: PlanResult, values: Sequence[AdoptedValue]
) -> tuple[Adoption, tuple[Diagnostic, ...]]:
    """An adoption that writes to config.toml what it can contain of these values; errors for the others."""
    try:
        return _with_config_edits(planned, values), ()
    except UserError:
        tried = [(value, _refused_edit(planned, value)) for value in values]
        refused = tuple(problem for _, problem in tried if problem is not None)
        if not refused:
            raise
    return _with_config_edits(planned, [value for value, problem in tried if problem is None]), refused


def _refused_edit(planned: PlanResult, value: AdoptedValue) -> Diagnostic | None:
    """The error of a value that config.toml cannot contain; None if it can."""
    try:
        _with_config_edits(planned, [value])
    except UserError as problem:
        first, *of_config = problem.diagnostics
        if not of_config:
            return first if first.address else replace(first, address=str(value.address))
        return error(
            f"config.toml cannot contain the live value of {value}",
            f"{'; '.join(one.summary for one in of_config)}. {_restore(planned, value)}",
            address=str(value.address),
            file=of_config[0].file,
            line=of_config[0].line,
        )
    return None


def _restore(planned: PlanResult, value: AdoptedValue) -> str:
    command = planned.plan.stack.command("apply", "--target", str(value.address))
    return f"Restore the file's value: {command}"


def _with_config_edits(planned: PlanResult, values: Sequence[AdoptedValue]) -> Adoption:
    """An adoption that writes these values to config.toml. Raises UserError if it cannot contain one."""
    loaded = planned.pipeline.loaded
    if not values:
        return Adoption(loaded)
    document = tomllib.loads(loaded.text.removeprefix(BOM))
    edits: dict[KeyPath, Value] = {}
    for value in values:
        key = _key_of(planned, value)
        rule = planned.kinds[value.address.kind].facts.rules[value.change.field]
        edits[key] = _edit_of(value, _value_at(document, loaded.lines.place(key)), rule)
    edited = edited_config(loaded, edits)
    if edited.config is None:
        summary = "config.toml would have errors with the live values"
        raise UserError(error(summary, "Restore the files' values with apply."), *edited.diagnostics)
    _check_config(planned, edited, values)
    reached = adopt_reach.of_config(planned.pipeline, edited, edits)
    return Adoption(edited, tuple(values), remarks=tuple(reached))


def _value_at(document: Any, path: KeyPath) -> Any:
    for step in path:
        if isinstance(document, dict) and step not in document:
            return None
        document = document[step]
    return document


def _edit_of(value: AdoptedValue, present: Any, rule: FieldRule) -> Value:
    """The live value in the form of the file: `cpu = "4"` stays a string, a set of texts keeps its order."""
    live = value.change.live
    if live is ABSENT and value.change.path != value.change.field:
        return REMOVED
    if isinstance(live, list) and all(isinstance(text, str) for text in live):
        texts = [str(text) for text in live]
        if rule.unordered and isinstance(present, list):
            texts.sort(key=lambda text: present.index(text) if text in present else len(present))
        return texts
    if isinstance(live, NoValue) or not isinstance(live, str | int | float):
        detail = "config.toml cannot contain this value. Apply the files, or remove the key by hand."
        raise UserError(
            error(f"{value} is {_shown(live, value)} on the platform", detail, address=str(value.address))
        )
    return str(live) if isinstance(present, str) else live


def _shown(content: JSON | NoValue, value: AdoptedValue) -> str:
    """What is at the place of this value, in the files or on the platform."""
    if content is None or isinstance(content, NoValue):
        return "not set"
    return HIDDEN if is_hidden(content, value.change.path) else literal(content)


def _check_config(planned: PlanResult, edited: LoadedConfig, values: Sequence[AdoptedValue]) -> None:
    """Raise UserError if the edited file does not have exactly the live values."""
    assert edited.config is not None
    pipeline: Pipeline = replace(planned.pipeline, config=edited.config, loaded=edited)
    graph = desired_graph(pipeline, source_key="")
    for value in values:
        resource = graph.get(value.address)
        rule = planned.kinds[value.address.kind].facts.rules[value.change.field]
        desired = normalised(resource.fields[value.change.field], rule) if resource else MISSING
        _, keyed, key = value.change.path.partition(".")
        if keyed:
            desired = desired.get(key, ABSENT) if isinstance(desired, dict) else MISSING
        if not same(desired, value.change.live):
            raise UserError(
                error(
                    f"config.toml cannot contain the live value of {value}",
                    f"The result would be {_shown(desired, value)} instead of "
                    f"{_shown(value.change.live, value)}. {_restore(planned, value)}",
                    address=str(value.address),
                )
            )


# Classes


def _class_edits(
    planned: PlanResult, values: Sequence[AdoptedValue]
) -> tuple[dict[Path, tuple[str, str]], tuple[AdoptedValue, ...], tuple[Diagnostic, ...]]:
    """File -> content before and after; the values in these files; errors for edits by hand."""
    texts: dict[Path, tuple[str, str]] = {}
    done: list[AdoptedValue] = []
    by_hand: list[Diagnostic] = []
    for value in values:
        reference = _class_of(planned, value)
        try:
            before = _content(reference.file)
            present = texts.get(reference.file, (before, before))[1]
            after = _edited_source(planned, reference, present, value)
            _check_class(planned, reference, after, value)
        except ManualEditError as problem:
            is_listed = _is_listed(planned, value)
            by_hand.append(_manual_edit_error(value, reference, problem, is_listed=is_listed))
        else:
            texts[reference.file] = (before, after)
            done.append(value)
    return texts, tuple(done), tuple(by_hand)


def _is_listed(planned: PlanResult, value: AdoptedValue) -> bool:
    """Whether a class declares the resource itself, not only values of it."""
    return bool(planned.kinds[value.address.kind].facts.listed_by)


def _class_key(planned: PlanResult, value: AdoptedValue) -> str:
    """The key of `[execution]` that names the class of a value."""
    return planned.kinds[value.address.kind].facts.listed_by or "parameters_class"


def _class_of(planned: PlanResult, value: AdoptedValue) -> ClassReference:
    reference = getattr(planned.pipeline.config.execution, _class_key(planned, value))
    assert reference is not None  # the class sets the field
    return ClassReference.parse(planned.pipeline.folder, reference)


def _content(file: Path) -> str:
    try:
        return read_regular(file).decode()
    except UnicodeDecodeError:
        raise ManualEditError("the file is not in UTF-8, as a patch is") from None
    except OSError as problem:
        raise ManualEditError(f"the file cannot be read ({problem.strerror})") from None


def _edited_source(planned: PlanResult, reference: ClassReference, source: str, value: AdoptedValue) -> str:
    """The source of a class with the live value."""
    change, name = value.change, value.address.name[-1]
    if _is_listed(planned, value):
        if change.path:
            return with_input_field(source, reference.name, name, change.path, change.live)
        if change.live is ABSENT:
            return without_input(source, reference.name, name)
        return with_input(source, reference.name, name, _live_fields(planned, value.address))
    _, keyed, key = change.path.partition(".")
    if not keyed:
        raise ManualEditError("the live value is not a table")
    if change.live is ABSENT:
        return without_parameter(source, reference.name, key)
    return with_parameter(source, reference.name, key, change.live)


def _live_fields(planned: PlanResult, address: Address) -> dict[str, Any]:
    rules = planned.kinds[address.kind].facts.rules
    return {
        name: normalised(value, rules[name])
        for name, value in planned.remote_state.found[address].fields.items()
        if name in rules
    }


def _check_class(planned: PlanResult, reference: ClassReference, source: str, value: AdoptedValue) -> None:
    """Raise ManualEditError if the edited class does not have the live value. Reads it without running it."""
    with scratch_folder("adopt") as folder:
        edited = replace(reference, file=folder / reference.file.name)
        edited.file.write_bytes(source.encode())
        read = read_inputs if _is_listed(planned, value) else read_parameters
        result = read(edited)
    if isinstance(result, NotStatic):
        return
    if result.value is None:
        problem = result.diagnostics[0]
        raise ManualEditError(f"{problem.summary}: {problem.detail}".rstrip(".: "))
    name, path = value.address.name[-1], value.change.path
    rules = planned.kinds[value.address.kind].facts.rules
    desired: Any
    if isinstance(result.value, dict):
        field, _, key = path.partition(".")
        table = normalised(result.value, rules[field])
        assert isinstance(table, dict)
        desired = table.get(key, ABSENT)
        live = value.change.live
        if not isinstance(live, NoValue):
            live_table = normalised_live({key: live}, rules[field], table)
            assert isinstance(live_table, dict)
            live = live_table[key]
    else:
        declared = next((one for one in result.value if one.name == name), None)
        if not path:
            desired, live = declared is None, value.change.live is ABSENT
        else:
            desired = normalised(getattr(declared, path), rules[path])
            live = value.change.live
    if not same(desired, live):
        raise ManualEditError(f"{reference.name} would still have {_shown(desired, value)}")


def _manual_edit_error(
    value: AdoptedValue, reference: ClassReference, problem: ManualEditError, *, is_listed: bool
) -> Diagnostic:
    live = value.change.live
    if is_listed and not value.change.path:
        edit = "Remove its define_input from" if live is ABSENT else f"Declare {value.address.name[-1]} in"
    else:
        _, keyed, key = value.change.path.partition(".")
        name = one_line((key or repr(key)) if keyed else value.change.path)
        edit = f"Remove {name} from" if live is ABSENT else f"Set {name} to {_shown(live, value)} in"
    return error(
        f"{value} needs an edit by hand: {problem.reason}",
        f"{edit} {reference.name}.",
        address=str(value.address),
        file=reference.file,
        line=problem.line,
    )
