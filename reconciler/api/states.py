"""The state of a workspace: the stacks that were applied, with their versions and runs. Reads only."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from reconciler.core.diagnostics import UserError, error
from reconciler.core.recorded_runs import RecordedRun, RunOutcome
from reconciler.engine.missing_state import OTHER_STORE, is_empty
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.views.safe import json_text
from reconciler.workspace.discovery import declarations_called
from reconciler.workspace.stack_names import (
    StackFilter,
    declared_by,
    environment_names,
    split_name,
    stack_filter,
)
from state.document import to_document
from state.errors import StaleStateError, UnreadableStateError
from state.snapshot import RecordedResource, Snapshot
from state.stores.base import ALL_SAVES, HistoryEntry, Store

if TYPE_CHECKING:
    from reconciler.workspace import schema

__all__ = [
    "HistoryEntry",
    "RecordedResource",
    "RecordedRun",
    "RunOutcome",
    "State",
    "StateVersion",
    "several_stacks",
    "snapshot_of",
    "without_empty",
]


@dataclass(frozen=True, slots=True)
class StateVersion:
    """The state of a stack after one of its saves.

    Attributes:
        stack: the full name of the stack, such as `my-org@STAGING/my_pipeline`.
        serial: the number of the save, from 1.
        written_at: time of the save, ISO 8601 with its offset from UTC.
        resources: address -> the resource as it was applied.
        open_writes: the addresses of writes that an unfinished run left open; the next apply settles them.
    """

    stack: str
    serial: int
    written_at: str
    resources: Mapping[str, RecordedResource]
    open_writes: tuple[str, ...]
    _snapshot: Snapshot = field(repr=False)

    def __repr__(self) -> str:
        return f"<StateVersion {self.stack}, serial {self.serial}: {', '.join(self.resources) or 'empty'}>"

    def to_json(self) -> str:
        """The document of `reconciler state show --json`."""
        return json_text(to_document(self._snapshot))


class State(Struct, frozen=True):
    """The state of stacks, which several workspaces may share. `Workspace.open_state` opens it.

    Every method raises StateError if the state cannot be read.
    """

    # Not part of the interface: the store, the settings of the workspace, and the folder where names start.
    store: Store
    settings: "Callable[[], schema.Workspace]"
    folder: Path

    def stacks(self, *, environment: str | None = None, organization: str | None = None) -> list[str]:
        """The full names of the stacks, such as `my-org@STAGING/my_pipeline`, sorted.

        Args:
            environment: only the stacks of this environment, as with `--env`; None for all.
            organization: only the stacks of this organization; None for all.

        Raises:
            UserError: there is no such environment.
        """
        where = self._filter(environment, organization)
        return [stack for stack in self.store.stacks() if where.has(stack)]

    def stack(self, name: str, *, environment: str | None = None, organization: str | None = None) -> str:
        """The full name of a stack.

        Args:
            name: a full name, the name in its scope, or the name or path of a pipeline with one stack. It may
                begin with an environment: `LIVE/my_pipeline`, `my-org@LIVE/my_pipeline`.
            environment: only among the stacks of this environment, as with `--env`; None for all.
            organization: only among the stacks of this organization; None for all.

        Raises:
            UserError: there is no such stack or environment, or there are several stacks.
        """
        every = self.store.stacks()
        where = self._filter(environment, organization)
        stacks = [stack for stack in every if where.has(stack)]
        matching = [*without_empty(self.store, self._named(name, stacks))]
        if len(matching) == 1:
            return matching[0]
        shown = self.folder.name if name == "." else name
        if matching:
            raise several_stacks(self.settings, shown, matching)
        if elsewhere := self._named(name, every):
            detail = (
                f"There is state of {', '.join(elsewhere)}. "
                "Give its full name, without --env and --organization."
            )
            raise UserError(error(f"there is no state of {shown} with these options", detail))
        raise UserError(
            error(f"there is no state of {shown}", f"{self._existing(shown, stacks or every)} {OTHER_STORE}")
        )

    def _filter(self, environment: str | None, organization: str | None) -> StackFilter:
        if environment is None and organization is None:
            return StackFilter()  # a broken reconciler.toml does not matter
        return stack_filter(self.settings(), environment, organization)

    def _named(self, name: str, stacks: Sequence[str]) -> list[str]:
        """As `_called`, also for a name with an environment in front."""
        if not stacks:
            return []
        if matching := self._called(name, stacks):
            return matching
        inner, rest = split_name(self.settings(), name)
        return self._called(rest, [stack for stack in stacks if inner.has(stack)]) if rest != name else []

    def _called(self, name: str, stacks: Sequence[str]) -> list[str]:
        """Those of these stacks with this name, or of a pipeline with this name or path."""
        matching = [stack for stack in stacks if name in (stack, stack.partition("/")[2])]
        if stacks and not matching:
            settings = self.settings()
            matching = declared_by(settings, stacks, declarations_called(name, self.folder, settings))
        return matching

    def _existing(self, name: str, stacks: Sequence[str]) -> str:
        """What there is, and the nearest name to this one, in the same form."""
        if not stacks:
            return "The store is empty."
        known = [*stacks, *(stack.partition("/")[2] for stack in stacks)]
        if "/" in name:
            environments = environment_names(self.settings(), stacks)
            known = [*stacks, *(f"{environments[stack]}/{stack.partition('/')[2]}" for stack in environments)]
        return f"There is state of {', '.join(stacks)}.{did_you_mean(name, known)}"

    def version(
        self,
        name: str,
        serial: int | None = None,
        *,
        environment: str | None = None,
        organization: str | None = None,
    ) -> StateVersion:
        """The state of a stack.

        Args:
            name, environment, organization: as for `stack`.
            serial: the number of a save; None for the latest.

        Raises:
            UserError: there is no such stack, or no state version with this serial.
        """
        stack = self.stack(name, environment=environment, organization=organization)
        found = snapshot_of(self.store, stack, serial)
        return StateVersion(
            *(found.stack, found.serial, found.written_at),
            *(dict(sorted(found.resources.items())), tuple(sorted(found.intents)), found),
        )

    def runs(
        self,
        name: str,
        limit: int | None = None,
        *,
        environment: str | None = None,
        organization: str | None = None,
    ) -> list[RecordedRun]:
        """The runs that saved state of a stack, latest first, as `reconciler state history` shows them.

        Args:
            name, environment, organization: as for `stack`.
            limit: most of them; None for all.

        Raises:
            UserError: there is no such stack.
            StateError: also if a save of these runs is missing or damaged.
        """
        from reconciler.engine.earlier_states import recorded_runs

        stack = self.stack(name, environment=environment, organization=organization)
        runs = list(islice(recorded_runs(self.store, stack), limit))
        is_all = limit is None or len(runs) < limit
        self.store.check_history(stack, ALL_SAVES if is_all else sum(len(run.saves) for run in runs))
        return runs


def several_stacks(settings: "Callable[[], schema.Workspace]", name: str, stacks: Sequence[str]) -> UserError:
    """The error for a name that several stacks have, with the options that select one of them."""
    environments = environment_names(settings(), stacks)
    named = [*dict.fromkeys(environments.values())]
    if len(named) == len(stacks):
        flags = " or ".join(f"--env {environment}" for environment in named)
        detail = f"Select one with {flags}, or by its name: {named[0]}/{stacks[0].partition('/')[2]}"
    else:
        detail = "Use the full name of one of them, or select it with --env and --organization."
    return UserError(error(f"{name} has several stacks: {', '.join(stacks)}", detail))


def snapshot_of(store: Store, stack: str, serial: int | None = None) -> Snapshot:
    """A state version of a stack.

    Args:
        stack: its full name; the store had it.
        serial: None for the latest.

    Raises:
        UserError: there is none with this serial.
        StateError: the state cannot be read, or was moved in the meantime.
    """
    snapshot = store.load(stack) if serial is None else store.load_at(stack, serial)
    if snapshot is not None:
        return snapshot
    if serial is None:
        message = f"another run moved the state of {stack} in the meantime"
        raise StaleStateError(message, hint="reconciler state list shows the present names")
    saves = store.history(stack, 1)
    latest = f"The latest is {saves[0].serial}. " if saves else ""
    raise UserError(
        error(
            f"{stack} has no serial {serial}", f"{latest}See:  reconciler state history {shlex.quote(stack)}"
        )
    )


def without_empty(store: Store, stacks: Sequence[str]) -> Sequence[str]:
    """Those of several stacks that have resources, as no destroyed one is meant; all if none has."""

    def has_resources(stack: str) -> bool:
        try:
            snapshot = store.load(stack)
        except UnreadableStateError:
            return True
        return snapshot is not None and not is_empty(snapshot)

    return (len(stacks) > 1 and [stack for stack in stacks if has_resources(stack)]) or stacks
