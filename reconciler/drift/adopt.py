"""The story of `adopt`: what is live is written back into the files, or shown as a patch for them.

Comes after a plan and changes nothing but the user's own files: no far end, and not the record, which catches
up at the next apply. config.toml gets the values that stand in it as they are; what a class says becomes a
patch; what is computed from other values is refused, with where it comes from.
"""

import difflib
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from providers.docker.source.key import fingerprint
from providers.protocol import KindFacts
from providers.regular_files import read_regular
from providers.rules import HIDDEN
from providers.text import one_line
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.core.diff import Change, ChangeClass, normalised, normalised_live, same
from reconciler.core.plan import Step
from reconciler.core.values import ABSENT, JSON, MISSING, Address, NoValue
from reconciler.drift.adopt_target import AdoptTarget
from reconciler.drift.check import adoptable
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
from reconciler.pipeline.classes.static import NotStatic, read_inputs, read_parameters
from reconciler.pipeline.compile import desired_graph
from reconciler.pipeline.config import LoadedConfig, edited_config, is_unchanged
from reconciler.pipeline.enums import did_you_mean
from reconciler.pipeline.image_source import image_source
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.toml.toml_edits import REMOVED, Value
from reconciler.pipeline.toml.toml_positions import BOM
from reconciler.pipeline.toml.toml_positions import Path as KeyPath
from reconciler.system.files import locked, replace_file

_CHANGED_OUTSIDE = frozenset({ChangeClass.DRIFT, ChangeClass.CONFLICT})
_SETTLED = frozenset({ChangeClass.IN_SYNC, ChangeClass.CONVERGED})


@dataclass(frozen=True, slots=True)
class AdoptedValue:
    """One live value that the files will say."""

    address: Address
    change: Change

    def __str__(self) -> str:
        return f"{self.address}#{self.change.path}" if self.change.path else str(self.address)


@dataclass(frozen=True, slots=True)
class Adoption:
    """What becomes of the files.

    Attributes:
        config: with its new values.
        written: what config.toml will say.
        patched: file -> its content now and with what the classes will say.
        in_patch: what that is.
        by_hand: what a person has to change, and where.
        left: what is live otherwise than the files say, and was neither named nor can be taken over unasked.
        new_source: whether the image's source is another one then.
    """

    config: LoadedConfig
    written: tuple[AdoptedValue, ...] = ()
    patched: Mapping[Path, tuple[str, str]] = field(default_factory=dict)
    in_patch: tuple[AdoptedValue, ...] = ()
    by_hand: tuple[Diagnostic, ...] = ()
    left: tuple[AdoptedValue, ...] = ()
    new_source: bool = False

    @property
    def is_empty(self) -> bool:
        return not (self.written or self.in_patch or self.by_hand)


def adoption(planned: PlanResult, wanted: Sequence[AdoptTarget]) -> Adoption:
    """What the files have to say so that they ask for what is live.

    Args:
        wanted: what to take over; everything that changed outside and can be, when empty.

    Raises:
        UserError: something that was named is not there, or is nothing that a file says as it is.
    """
    taken = _chosen(planned, wanted) if wanted else list(_changed_outside(planned))
    config = _config(planned, [one for one in taken if _key_of(planned, one)])
    said = [one for one in taken if not _key_of(planned, one)]
    patched, in_patch, by_hand = _classes(planned, said)
    left = () if wanted else tuple(_remaining_differences(planned, taken))
    adopted = replace(config, patched=patched, in_patch=in_patch, by_hand=by_hand, left=left)
    return replace(adopted, new_source=_is_new_source(planned.pipeline, adopted))


def write(adopted: Adoption) -> None:
    """Give config.toml its new values.

    Raises:
        UserError: it changed since it was read, or cannot be written.
    """
    path = adopted.config.path
    with locked(path):
        if not is_unchanged(path, adopted.config.on_disk):
            told = "Nothing was written. Run the same command again."
            raise UserError(error("config.toml changed after it was read", told, file=path))
        try:
            replace_file(path, adopted.config.text.encode())
        except OSError as problem:
            told = f"{problem.strerror}. Nothing was written."
            raise UserError(error("config.toml could not be written", told, file=path)) from None


def patch(file: Path, before: str, after: str) -> str:
    """A unified diff that `git apply` and `patch -p1` take, in the folder that `file` is relative to."""
    old, new = (re.findall(r"[^\n]*\n|[^\n]+", text) for text in (before, after))
    found = difflib.unified_diff(old, new, f"a/{file.as_posix()}", f"b/{file.as_posix()}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found
    )


def _is_new_source(pipeline: Pipeline, adopted: Adoption) -> bool:
    """Whether the image would be made from other files; those that are kept out of it change nothing."""
    before, after = (image_source(one) for one in (pipeline, replace(pipeline, loaded=adopted.config)))
    said = {
        Path(os.path.relpath(file.absolute(), after.folder)).as_posix(): text.encode()
        for file, (_, text) in adopted.patched.items()
    }
    return fingerprint(before).key != fingerprint(replace(after, keyed={**after.keyed, **said})).key


# What is taken over


def _changed_outside(planned: PlanResult) -> Iterator[AdoptedValue]:
    can = adoptable(planned)
    for step in planned.plan.steps:
        for change in step.changes:
            differs = change.cls in _CHANGED_OUTSIDE and not change.resolution
            known = change.live is not MISSING and change.live != HIDDEN
            if differs and known and change.field in can.get(step.address, ()):
                yield AdoptedValue(step.address, change)


def _remaining_differences(planned: PlanResult, taken: Sequence[AdoptedValue]) -> Iterator[AdoptedValue]:
    """What of the rest differs outside: computed values, and what nobody recorded."""
    for step in planned.plan.steps:
        for change in step.changes:
            one = AdoptedValue(step.address, change)
            differs = change.cls in (*_CHANGED_OUTSIDE, ChangeClass.UNRECORDED) and not change.resolution
            if differs and one not in taken:
                yield one


def _chosen(planned: PlanResult, wanted: Sequence[AdoptTarget]) -> list[AdoptedValue]:
    found: dict[tuple[Address, str], AdoptedValue] = {}
    problems: list[Diagnostic] = []
    can = adoptable(planned)
    for one in wanted:
        step = planned.plan.step(one.address)
        if step is None:
            known = ", ".join(str(step.address) for step in planned.plan.steps)
            problems.append(error(f"no resource is called {one.address}", f"There are: {known}."))
            continue
        changes = [c for c in step.changes if one.path in ("", c.path, c.field)]
        fields = can.get(one.address, ())
        if whole := next((c for c in changes if not c.path and "" in fields), None):
            changes = [whole]  # it came or went as a whole
        allowed = [c for c in changes if c.field in fields and _is_known(c)]
        if not allowed and (one.path or changes):
            problems.append(_refused(one, step, changes, planned.kinds[one.address.kind].facts))
        found.update(
            {(one.address, c.path): AdoptedValue(one.address, c) for c in allowed if c.cls not in _SETTLED}
        )
    if problems:
        raise UserError(*problems)
    return list(found.values())


def _is_known(change: Change) -> bool:
    """Whether there is a live value; that an object or a parameter is not there is one."""
    is_part = change.path != change.field or not change.path
    return change.live not in (MISSING, HIDDEN) and (change.live is not ABSENT or is_part)


def _refused(wanted: AdoptTarget, step: Step, changes: Sequence[Change], facts: KindFacts) -> Diagnostic:
    """Why nothing can be written for it, and what can be done instead."""
    address = str(wanted.address)
    what = f"{address}#{wanted.path}" if wanted.path else address
    if facts.published_as:
        told = "An image is made from the folder. Put it back with apply, or publish a new one: apply --bump."
        return error(f"{what} cannot be written into the files", told, address=address)
    if not changes:
        there = [change.path for change in step.changes if change.path]
        told = (
            "What the files do not say stays as it is on the platform. "
            f"They say: {', '.join(there) or 'nothing of it'}.{did_you_mean(wanted.path, there)}"
        )
        return error(f"the files do not say {what}", told, address=address)
    if any(change.live == HIDDEN for change in changes):
        told = (
            "config.toml is no place for a secret. To leave it alone on the platform, write in [reconciler]: "
            f'ignore_changes = {{ "{address}" = ["{wanted.path}"] }}'
        )
        return error(f"{what} is a secret on the platform", told, address=address)
    if all(change.live is MISSING for change in changes):
        return error(f"{what} cannot be read", "The platform does not return it.", address=address)
    if all(change.live is ABSENT for change in changes):
        return error(f"{what} is not there", "What does not exist has nothing to take over.", address=address)
    rule = facts.rules.get(changes[0].field)
    told = (rule and rule.follows) or f"Put it back with: reconciler apply --target {address}"
    return error(f"{what} is nothing that a file says as it is", told, address=address)


# config.toml


def _key_of(planned: PlanResult, taken: AdoptedValue) -> KeyPath:
    """Where in config.toml the value stands, or would; () where it does not."""
    resource = planned.desired.get(taken.address)
    origin = resource.origins.get(taken.change.field) if resource and taken.change.path else None
    if origin is None or not origin.key:
        return ()
    _, keyed, key = taken.change.path.partition(".")
    return (*origin.key, key) if keyed else origin.key


def _config(planned: PlanResult, taken: Sequence[AdoptedValue]) -> Adoption:
    """config.toml with the live values, checked to mean just them."""
    loaded = planned.pipeline.loaded
    if not taken:
        return Adoption(loaded)
    document = tomllib.loads(loaded.text.removeprefix(BOM))
    edits: dict[KeyPath, Value] = {}
    for one in taken:
        key = _key_of(planned, one)
        edits[key] = _as_written(one, _at(document, loaded.lines.place(key)))
    changed = edited_config(loaded, edits)
    if changed.config is None:
        told = "Put the live value back with apply."
        raise UserError(error("config.toml cannot say what is live", told), *changed.diagnostics)
    _check(planned, changed, taken)
    return Adoption(changed, tuple(taken))


def _at(document: Any, path: KeyPath) -> Any:
    for step in path:
        if isinstance(document, dict) and step not in document:
            return None
        document = document[step]
    return document


def _as_written(taken: AdoptedValue, now: Any) -> Value:
    """The live value as this file writes it: `cpu = "4"` stays a text."""
    live = taken.change.live
    if live is ABSENT and taken.change.path != taken.change.field:
        return REMOVED
    if isinstance(live, NoValue) or not isinstance(live, str | int | float):
        told = "config.toml has no way to write that. Put it back with apply, or take the key out by hand."
        raise UserError(error(f"{taken} is {_shown(live)} on the platform", told))
    return str(live) if isinstance(now, str) else live


def _shown(live: JSON | NoValue) -> str:
    return "not there" if isinstance(live, NoValue) else literal(live)


def _check(planned: PlanResult, changed: LoadedConfig, taken: Sequence[AdoptedValue]) -> None:
    """What the edited file asks for is what is live: else the edit would be a new difference."""
    assert changed.config is not None
    pipeline: Pipeline = replace(planned.pipeline, config=changed.config, loaded=changed)
    graph = desired_graph(pipeline, source_key="")
    for one in taken:
        resource = graph.get(one.address)
        rule = planned.kinds[one.address.kind].facts.rules[one.change.field]
        asked = normalised(resource.fields[one.change.field], rule) if resource else MISSING
        _, keyed, key = one.change.path.partition(".")
        if keyed:
            asked = asked.get(key, ABSENT) if isinstance(asked, dict) else MISSING
        if not same(asked, one.change.live):
            raise UserError(
                error(
                    f"config.toml cannot say what {one} is on the platform",
                    f"It would ask for {_shown(asked)} instead of "
                    f"{_shown(one.change.live)}. Put it back with apply.",
                    address=str(one.address),
                )
            )


# Classes


def _classes(
    planned: PlanResult, taken: Sequence[AdoptedValue]
) -> tuple[dict[Path, tuple[str, str]], tuple[AdoptedValue, ...], tuple[Diagnostic, ...]]:
    """The files of the classes as they are and as they would have to be; what no edit of ours can do."""
    texts: dict[Path, tuple[str, str]] = {}
    done: list[AdoptedValue] = []
    by_hand: list[Diagnostic] = []
    for one in taken:
        reference = _class_of(planned, one)
        try:
            before = _content(reference.file)
            now = texts.get(reference.file, (before, before))[1]
            after = _edited(planned, reference, now, one)
            _check_class(planned, reference, after, one)
        except ManualEditError as problem:
            by_hand.append(_error(one, reference, problem, is_listed=_is_listed(planned, one)))
        else:
            texts[reference.file] = (before, after)
            done.append(one)
    return texts, tuple(done), tuple(by_hand)


def _is_listed(planned: PlanResult, taken: AdoptedValue) -> bool:
    """Whether a class declares the resource itself, and not only values of it."""
    return bool(planned.kinds[taken.address.kind].facts.listed_by)


def _class_of(planned: PlanResult, taken: AdoptedValue) -> ClassReference:
    key = planned.kinds[taken.address.kind].facts.listed_by or "parameters_class"
    named = getattr(planned.pipeline.config.execution, key)
    assert named is not None  # it is what says the field
    return ClassReference.parse(planned.pipeline.folder, named)


def _content(file: Path) -> str:
    try:
        return read_regular(file).decode()
    except (OSError, UnicodeDecodeError) as problem:
        raise ManualEditError(f"the file cannot be read ({problem})") from None


def _edited(planned: PlanResult, reference: ClassReference, source: str, taken: AdoptedValue) -> str:
    """The source of a class where it says what is live."""
    change, name = taken.change, taken.address.name[-1]
    if _is_listed(planned, taken):
        if change.path:
            return with_input_field(source, reference.name, name, change.path, change.live)
        if change.live is ABSENT:
            return without_input(source, reference.name, name)
        return with_input(source, reference.name, name, _live_fields(planned, taken.address))
    _, keyed, key = change.path.partition(".")
    if not keyed:
        raise ManualEditError("they are no table on the platform")
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


def _check_class(planned: PlanResult, reference: ClassReference, source: str, taken: AdoptedValue) -> None:
    """What the edited class says is what is live, as far as it can be told without running it."""
    with tempfile.TemporaryDirectory() as folder:
        edited = replace(reference, file=Path(folder) / reference.file.name)
        edited.file.write_bytes(source.encode())
        read = read_inputs if _is_listed(planned, taken) else read_parameters
        said = read(edited)
    if isinstance(said, NotStatic):
        return
    if said.value is None:
        problem = said.diagnostics[0]
        raise ManualEditError(f"{problem.summary}: {problem.detail}".rstrip(".: "))
    name, path = taken.address.name[-1], taken.change.path
    rules = planned.kinds[taken.address.kind].facts.rules
    asked: Any
    if isinstance(said.value, dict):
        field, _, key = path.partition(".")
        table = normalised(said.value, rules[field])
        assert isinstance(table, dict)
        asked = table.get(key, ABSENT)
        live = taken.change.live
        if not isinstance(live, NoValue):
            live = normalised_live({key: live}, rules[field], table)[key]  # type: ignore[index]
    else:
        declared = next((one for one in said.value if one.name == name), None)
        if not path:
            asked, live = declared is None, taken.change.live is ABSENT
        else:
            asked = normalised(getattr(declared, path), rules[path])
            live = taken.change.live
    if not same(asked, live):
        raise ManualEditError(f"{reference.name} would say {_shown(asked)} all the same")


def _error(
    taken: AdoptedValue, reference: ClassReference, problem: ManualEditError, *, is_listed: bool
) -> Diagnostic:
    live = taken.change.live
    if is_listed and not taken.change.path:
        what = "Take its define_input out" if live is ABSENT else f"Declare {taken.address.name[-1]}"
    else:
        _, keyed, key = taken.change.path.partition(".")
        name = one_line((key or repr(key)) if keyed else taken.change.path)
        what = f"Take {name} out" if live is ABSENT else f"Make {name} {_shown(live)}"
    return error(
        f"{taken} has to be changed by hand: {problem.reason}",
        f"{what} in {reference.name}.",
        address=str(taken.address),
        file=reference.file,
        line=problem.line,
    )
