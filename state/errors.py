"""The errors of the state store, named by how the caller should react.

    ReconcilerError
    └── StateError
        ├── UnreadableStateError    what is stored cannot be read; other stacks are not affected
        │   ├── CorruptStateError       … it is damaged or breaks an invariant
        │   └── NewerFormatError        … a newer reconciler wrote it and is needed to read it
        ├── InvalidSnapshotError    new state breaks an invariant: a bug in reconciler; nothing was saved
        ├── StoreUnavailableError   the store could not be opened, read or written
        ├── StaleStateError         another run wrote in the meantime
        │   ├── SerialConflictError     … a different serial of the same state
        │   ├── LineageConflictError    … state of a different lineage under the same name
        │   ├── RenamedStateError       … the same lineage under another name
        │   ├── SharedLineageError      … one lineage under several names
        │   ├── ExistingStateError      … state under the target name of a move
        │   └── RegisterConflictError   … a different serial of the register
        ├── AmbiguousStateError     several states may belong to this stack
        │   ├── OthersStateError        … and the one with its name seems to be another's
        │   ├── UnmovedStateError       … and the one with its name is that of another folder
        │   ├── SwappedStateError       … as folders swapped their stacks
        │   ├── SharedStackError        … as another folder declares the stack, too
        │   ├── UnknownOwnerError       … and another folder may still have the one with its name
        │   └── UnknownStackError       … and another folder may still have the one of this folder
        ├── InvalidNameError        no stack can have this name
        ├── LockedError             another run holds the lock
        └── LostLockError           this run lost its lock

No message contains the value of a field.
"""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from state.lock_info import LockInfo

VERIFY_COMMAND = "reconciler state verify STACK"


class ReconcilerError(Exception):
    """A problem that the user can solve. The base of all errors that `reconciler.api` raises."""


class StateError(ReconcilerError):
    """A problem with the state, in one sentence, and its fix.

    Args:
        message: the problem and its cause, without a final full stop.
        hint: the next command or change; empty if there is none.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Workers send errors to the reporting process; `args` differ from the constructors' parameters.
        return _rebuilt, (type(self), self.args), self.__dict__


def _rebuilt(kind: type[StateError], args: tuple[object, ...]) -> StateError:
    problem = kind.__new__(kind)
    problem.args = args
    return problem


class UnreadableStateError(StateError):
    """What is stored cannot be read. Waiting does not help, and other stacks are not affected."""


class CorruptStateError(UnreadableStateError):
    """The stored state is damaged or breaks an invariant.

    Attributes:
        problems: the broken invariants, each starting with its number; empty for unreadable text.
    """

    def __init__(
        self,
        message: str,
        *,
        problems: Sequence[str] = (),
        hint: str = f"{VERIFY_COMMAND} lists the problems and the earlier serials that are intact",
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class InvalidSnapshotError(StateError):
    """New state breaks an invariant: a bug in reconciler, detected before anything was written.

    Attributes:
        problems: the broken invariants, each starting with its number.
    """

    def __init__(self, stack: str, problems: Sequence[str]) -> None:
        super().__init__(
            f"the new state of {stack} is invalid and was not saved: {'; '.join(problems)}",
            hint="this is a bug in reconciler, please report it with this message; "
            f"{VERIFY_COMMAND} checks the stored state",
        )
        self.problems = tuple(problems)


class NewerFormatError(UnreadableStateError):
    """A newer reconciler wrote this; an older one would lose the parts it does not support."""


class StoreUnavailableError(StateError):
    """The store could not be opened, read or written."""


class StaleStateError(StateError):
    """Another run wrote after this one read the state; nothing was saved."""


class SerialConflictError(StaleStateError):
    """The stored serial is not the one this change is based on.

    Attributes:
        expected: the serial the change is based on; 0 for no state.
        stored: the current serial in the store; 0 for no state.
    """

    def __init__(self, stack: str, *, expected: int, stored: int) -> None:
        super().__init__(
            f"the state of {stack} is at serial {stored}, but this change is based on serial {expected}: "
            "another run wrote in the meantime",
            hint="plan again to see the current changes",
        )
        self.expected = expected
        self.stored = stored


class LineageConflictError(StaleStateError):
    """The stored state has a different lineage; the two cannot be merged."""

    def __init__(self, stack: str, *, expected: str, stored: str) -> None:
        super().__init__(
            f"the state of {stack} has lineage {stored}, not {expected}: another run created it from scratch",
            hint="plan again to see the current changes",
        )
        self.expected = expected
        self.stored = stored


class RenamedStateError(StaleStateError):
    """A stack that is to be copied has another name in the target; a stack never has two in one store.

    Attributes:
        stack: its name in the source.
        other: its name in the target.
    """

    def __init__(self, stack: str, other: str) -> None:
        super().__init__(
            f"{stack} is called {other} in the target: both have one history",
            hint="nothing was copied; give it one name with the command for it, and copy again:\n"
            f"  RECONCILER_STATE=TARGET reconciler state move {shlex.quote(other)} {shlex.quote(stack)}\n"
            f"  RECONCILER_STATE=SOURCE reconciler state move {shlex.quote(stack)} {shlex.quote(other)}",
        )
        self.stack = stack
        self.other = other


class SharedLineageError(StaleStateError):
    """A store has one lineage under several names.

    Attributes:
        names: these names.
    """

    def __init__(self, names: Sequence[str], place: str) -> None:
        commands = "\n".join(f"  reconciler state forget --stack {shlex.quote(name)}" for name in names)
        super().__init__(
            f"the {place} has one history under {len(names)} names: {', '.join(names)}",
            hint="nothing was copied; forget the names that its files do not declare. "
            f"Everything stays on the platform:\n{commands}",
        )
        self.names = tuple(names)


class ExistingStateError(StaleStateError):
    """The target name of a move already has state.

    Args:
        is_same: whether both names have one history, as after a move that was killed.
    """

    def __init__(self, before: str, after: str, *, is_same: bool = False) -> None:
        if is_same:
            hint = (
                "both have one history; forget the name that no files declare, and leave everything on the "
                "platform: reconciler state forget --stack NAME"
            )
        else:
            hint = f"to keep both, first run: reconciler state move {shlex.quote(after)} NAME"
        super().__init__(
            f"cannot move {before} to {after}: {after} already has state; nothing was moved", hint=hint
        )


class RegisterConflictError(StaleStateError):
    """The stored register is not the one that this change is based on. Callers read it again and repeat."""

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"another run wrote the register of {scope} in the meantime", hint="run the same command again"
        )


class AmbiguousStateError(StateError):
    """Several states may belong to one stack; the user has to choose.

    Attributes:
        names: the names of these states in the store.
    """

    def __init__(self, stack: str, names: Sequence[str]) -> None:
        commands = "\n".join(
            f"  reconciler state move {shlex.quote(name)} {shlex.quote(stack)}" for name in names
        )
        super().__init__(
            f"{stack} has state under {len(names)} names of the same platform: {', '.join(names)}",
            hint=f"compare them with reconciler state history NAME, then move the right one:\n{commands}",
        )
        self.names = tuple(names)


class OthersStateError(AmbiguousStateError):
    """The state with the name of a stack has nothing that the stack declares; an earlier version wrote it.

    Args:
        stack: the name.
        addresses: the resources in the state.
        other: the name of the stack that it seems to belong to.
    """

    def __init__(self, stack: str, addresses: Sequence[str], other: str) -> None:
        StateError.__init__(
            self,
            f"{stack} has state of an earlier version with nothing that these files declare. It has "
            f"{', '.join(addresses)}",
            hint=f"it may be that of another pipeline. To give it to the stack of that one:\n"
            f"  reconciler state move {shlex.quote(stack)} {shlex.quote(other)}",
        )
        self.names = (stack,)


class UnmovedStateError(AmbiguousStateError):
    """The state with the name of a stack is that of another folder, which has another stack now.

    Args:
        stack: the name.
        folder: the other folder, from the root of the workspace.
        present: the stack of that folder now.
        is_moved_by_apply: whether the next apply of that folder moves it.
    """

    def __init__(self, stack: str, folder: str, present: str, *, is_moved_by_apply: bool = True) -> None:
        way = "move it first"
        if is_moved_by_apply:
            way = f"apply {present.partition('/')[2]} first, which moves it. To move it without an apply"
        StateError.__init__(
            self,
            f"the state of {stack} is that of {folder}, whose stack is now {present}",
            hint=f"{way}:\n  reconciler state move {shlex.quote(stack)} {shlex.quote(present)}",
        )
        self.names = (stack,)


class SwappedStateError(AmbiguousStateError):
    """Folders swapped the names of their stacks, so the state with each name is that of another folder.

    The arguments are those of `UnmovedStateError`, without the last one.
    """

    def __init__(self, stack: str, folder: str, present: str) -> None:
        StateError.__init__(
            self,
            f"the state of {stack} is that of {folder}, whose stack is now {present}, which has state of "
            "another folder: they swapped names",
            hint="give one of these folders a name that no stack has, apply each of them, and then give it "
            "its own name",
        )
        self.names = (stack,)


NAMED_BY = "[reconciler] stack, else by docker.image_name of a training, else by metadata.name"
"""What a stack is named by, for messages."""


class SharedStackError(AmbiguousStateError):
    """Another folder of the workspace was applied with this stack, and still declares it.

    Args:
        stack: the name.
        folder: the other folder, from the root of the workspace.
    """

    def __init__(self, stack: str, folder: str) -> None:
        StateError.__init__(
            self,
            f"the state of {stack} is that of {folder}, which has the same stack: they would overwrite each "
            "other's state",
            hint=f"a stack is named by {NAMED_BY}: change it in one of them. If this folder replaces the "
            "other one, delete that one",
        )
        self.names = (stack,)


class UnknownOwnerError(AmbiguousStateError):
    """The state with the name of a stack is that of a folder that may still have it, or not.

    Args:
        stack: the name.
        folder: the folder, from the root of the workspace.
        is_checked_out: whether its config.toml is there, so has errors.
    """

    def __init__(self, stack: str, folder: str, *, is_checked_out: bool) -> None:
        why = "whose config.toml cannot be read" if is_checked_out else "which is not checked out"
        way = (
            f"correct or delete {folder}/config.toml"
            if is_checked_out
            else "check that folder out (git sparse-checkout, git submodule)"
        )
        StateError.__init__(
            self,
            f"the state of {stack} is that of {folder}, {why}",
            hint=f"{way}, to see whether it still has it",
        )
        self.names = (stack,)


class UnknownStackError(AmbiguousStateError):
    """The state of a stack would follow a renamed folder, but another folder may still have the stack.

    Args:
        stack: the name of the stack.
        folder: the other folder, from the root of the workspace.
    """

    def __init__(self, stack: str, folder: str) -> None:
        StateError.__init__(
            self,
            f"{folder} may still have the stack {stack}: its config.toml does not say which stack it has",
            hint=f"correct or delete {folder}/config.toml, or leave the folder out: [workspace] exclude of "
            "reconciler.toml",
        )
        self.names = (stack,)


class InvalidNameError(StateError):
    """No state can have this name: it comes from bytes that are not UTF-8."""

    def __init__(self, stack: str) -> None:
        super().__init__(
            f"{ascii(stack)[1:-1]} cannot be the name of a state: it is not valid UTF-8",
            hint="reconciler state list shows the names",
        )


class LockedError(StateError):
    """Another run held the lock until the timeout of this one."""

    def __init__(self, stack: str, holder: "LockInfo") -> None:
        super().__init__(
            f"{stack} is locked by {holder}",
            hint="wait for that run to end; the lock of a dead run expires by itself; "
            f"to remove it now: reconciler state unlock {shlex.quote(stack)}",
        )
        self.holder = holder


class LostLockError(StateError):
    """This run lost its lock and must not write any more.

    Attributes:
        holder: the run that holds the lock now, or None.
    """

    def __init__(self, stack: str, holder: "LockInfo | None") -> None:
        now = f"{holder} holds it now" if holder else "it was removed by force"
        super().__init__(
            f"this run lost its lock on {stack}, so nothing was saved: {now}",
            hint="plan again once the other run has ended",
        )
        self.holder = holder
