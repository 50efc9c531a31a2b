"""The session of a command: signed in to one environment, with a store.

Prints nothing and never prompts. Events go to `emit`; errors of the user are raised as UserError.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Literal

from msgspec import Struct, field

from providers.docker.builders.select import Probes
from providers.docker.registry.connection import ConnectionPool
from providers.errors import (
    ExistsError,
    ProviderError,
    RefusedError,
    TransientError,
    UnauthorizedError,
    UnexpectedError,
)
from providers.picsellia.platform import NotAPlatformError, Platform, UnknownOrganizationError
from providers.protocol import Reference
from providers.rate_limit import AT_ONCE, RateLimiter
from providers.table import EXCLUSIVE
from reconciler.core.diagnostics import CannotCheckError, UserError, error
from reconciler.core.events import Emit, Note, Notice
from reconciler.core.plan import Stack
from reconciler.core.platforms import is_plain
from reconciler.core.values import Address, present_address
from reconciler.credentials.environment import ALLOW_HTTP
from reconciler.credentials.target import Target
from reconciler.engine.declared_elsewhere import DeclaredElsewhere
from reconciler.engine.kinds import kinds_of
from reconciler.engine.older_state import OlderState, StoredNames, older_state_of, usual_stack
from reconciler.engine.problems import provider_diagnostic
from reconciler.engine.renames import FormerStacks, WorkspaceFiles
from reconciler.pipeline.load import Pipeline, unnamed_image
from reconciler.system.files import display_path
from state.claims import Registers
from state.errors import (
    OthersStateError,
    SharedStackError,
    SwappedStateError,
    UnknownOwnerError,
    UnmovedStateError,
)
from state.register import UNKNOWN_SOURCE, Register
from state.renaming import RenamingStore
from state.snapshot import Snapshot
from state.stores.base import Store


def _alone(environment: str) -> "Session":
    raise AssertionError(f"this session cannot sign in to {environment}")


class Session(Struct, frozen=True):
    """One environment, one store, any number of pipelines."""

    target: Target
    platform: Platform
    store: Store
    emit: Emit
    registers: Registers
    """The claims in the store; each register is read once."""
    stop: threading.Event = field(default_factory=threading.Event)
    verb: str = "apply"
    """The command that hints suggest."""
    pool: ConnectionPool = field(default_factory=lambda: ConnectionPool(RateLimiter()))
    """Connections to registries, shared by all pipelines."""
    probes: Probes = field(default_factory=Probes)
    """The builders of this machine, for all pipelines."""
    threads: int = AT_ONCE
    """Most reads at once for one pipeline."""
    names: "StateNames" = field(default_factory=lambda: StateNames(Register, None))
    """The other names of the state of each stack that the session uses."""
    override: str = ""
    """Why gates and reviews are overridden; "" to keep to them."""
    beside: "Callable[[str], Session]" = field(default=_alone)
    """The session of another environment by its name. Raises as `session`."""
    declared: "DeclaredElsewhere" = field(default_factory=lambda: DeclaredElsewhere(None))
    """What the other pipelines of the workspace declare."""
    is_retry: bool = False
    """Whether a worker that was killed may have carried out a part of this run for the pipeline."""

    def stack(self, pipeline: Pipeline) -> Stack:
        """The stack of a pipeline, whose state the store then finds under older and former names, too.

        Raises: as `stack_of`.
        """
        return self.names.add(self.target, pipeline)


class StateNames:
    """The other names that the state of stacks may have: older and former ones.

    Args:
        register: returns the register of a scope.
        files: finds the stacks that the files declare; None to find no former names.
    """

    def __init__(self, register: Callable[[str], Register], files: WorkspaceFiles | None) -> None:
        self._older: dict[str, OlderState] = {}
        self._former = FormerStacks(register, files)

    def add(self, target: Target, pipeline: Pipeline) -> Stack:
        """The stack of a pipeline, whose names are known from now on. Raises as `stack_of`."""
        stack = stack_of(target, pipeline)
        self._older[str(stack)] = older_state_of(stack, pipeline)
        self._former.add(str(stack), pipeline)
        return stack

    def _check(self, store: Store, stack: str, state: Snapshot) -> None:
        """Raise AmbiguousStateError if the state with the name of a stack is that of another pipeline.

        Another folder may have had this stack before, and not moved its state yet. Or an earlier version
        wrote the state. These named the stack of a training by its metadata.name, and wrote neither the
        folder of a stack nor the places of its claims. What this version wrote follows changes of the files.
        """
        owner = self._former.owner(stack)
        if owner is not None and (state.resources or state.intents):
            if owner.stack is None:
                raise UnknownOwnerError(stack, owner.folder, is_checked_out=owner.is_checked_out)
            if owner.stack == stack:
                raise SharedStackError(stack, owner.folder)
            if store.load(owner.stack) is not None:
                raise SwappedStateError(stack, owner.folder, owner.stack)
            raise UnmovedStateError(
                stack, owner.folder, owner.stack, is_moved_by_apply=owner.is_moved_by_apply
            )
        if stack not in self._older or not self._older[stack].is_of_another(state):
            return
        register = self._former.register_of(stack)
        known = register.stacks.get(stack, UNKNOWN_SOURCE) != UNKNOWN_SOURCE
        if not known and not any(claim.place for claim in register.claims_of(stack).values()):
            raise OthersStateError(stack, sorted({*state.resources, *state.intents}), usual_stack(state))

    def finding(
        self,
        store: Store,
        belongs: Callable[[Snapshot], bool],
        emit: Emit,
        moved: Callable[[str], None] = lambda _: None,
    ) -> RenamingStore:
        """The store, which also finds the state of the added stacks under their other names.

        Args:
            belongs, moved: as for `RenamingStore`.
        """
        older = self._older

        def find_older_names(names: Sequence[str]) -> Callable[[str], Sequence[str]]:
            stored = StoredNames(names)
            # Other stacks are read as they are: those of other environments, to compare.
            return lambda stack: older[stack].names(stored) if stack in older else ()

        return RenamingStore(
            store,
            find_older_names=find_older_names,
            relate=lambda stack, state: older[stack].relation(state),
            belongs=belongs,
            find_former_names=self._former.of,
            moved=moved,
            present=present_address,
            check=partial(self._check, store),
            notify=lambda text: emit(Notice(text)),
        )


@contextmanager
def session(
    target: Target,
    store: Store,
    emit: Emit,
    stop: threading.Event,
    *,
    verb: str = "apply",
    rps: float | None = None,
    at_once: int = AT_ONCE,
    files: WorkspaceFiles | None = None,
    find_target: Callable[[str], Target] | None = None,
    override: str = "",
) -> Iterator[Session]:
    """Sign in to the platform. All connections are closed at the end of the block.

    Args:
        verb: the command that hints suggest.
        rps: most requests per second, to all servers together; None for no limit.
        at_once: most requests at once.
        files: finds what the files of the workspace declare, so that the state of a renamed pipeline is
            found, and nothing is deleted that another one declares; None to look for its present name only.
        find_target: the target of another environment by its name. Raises UserError. None for a command that
            needs no other one.
        override: why gates and reviews are overridden; "" to keep to them.

    Raises:
        CannotCheckError: the platform cannot be reached.
        UserError: the platform refuses the token or the organization.
    """
    emit(Note(f"signing in to {target.host} as {target.organization}"))
    limiter = RateLimiter(rps, at_once=at_once, announce=emit)
    platform = _sign_in(target, limiter)
    registers = Registers(store, EXCLUSIVE, present=present_address)
    names = StateNames(registers.read, files)
    found = names.finding(store, lambda state: _is_of(platform, state), emit, registers.refresh)
    with platform, found, ConnectionPool(limiter) as pool, ExitStack() as opened:

        def open_other(other: Target) -> Session:
            emit(Note(f"signing in to {other.host} as {other.organization}"))
            theirs = opened.enter_context(_sign_in(other, limiter))
            others = StateNames(registers.read, files)
            state = others.finding(store, lambda state: _is_of(theirs, state), emit, registers.refresh)
            return Session(other, theirs, state, emit, registers, stop, pool=pool, names=others)

        beside = _alone if find_target is None else OtherSessions(find_target, open_other)
        yield Session(
            target,
            platform,
            found,
            emit,
            registers,
            stop,
            verb,
            pool,
            names=names,
            override=override,
            beside=beside,
            declared=DeclaredElsewhere(files),
        )


class OtherSessions:
    """The sessions of other environments. Each is opened once, when the first pipeline needs it."""

    def __init__(
        self, find_target: Callable[[str], Target], open_session: Callable[[Target], Session]
    ) -> None:
        self._find_target = find_target
        self._open = open_session
        self._lock = threading.Lock()
        self._found: dict[str, Session | UserError] = {}

    def __call__(self, environment: str) -> Session:
        """The session of this environment. Raises as `session`, for each pipeline that needs it."""
        with self._lock:
            if environment not in self._found:
                try:
                    self._found[environment] = self._open(self._find_target(environment))
                except UserError as problem:
                    self._found[environment] = problem
        found = self._found[environment]
        if isinstance(found, UserError):
            raise found.with_traceback(None)  # each raise would add the frames of a pipeline
        return found


@contextmanager
def with_older_names(
    target: Target,
    pipelines: Iterable[Pipeline],
    store: Store,
    emit: Emit,
    files: WorkspaceFiles | None = None,
) -> Iterator[RenamingStore]:
    """The store for reading the state of these pipelines without a session.

    It signs in only if there is state to identify.

    Args:
        files: as for `session`.

    Its methods may then raise CannotCheckError or UserError, as `session` does.
    """
    with ExitStack() as opened:
        platform: Platform | None = None

        def belongs(state: Snapshot) -> bool:
            nonlocal platform
            if platform is None:
                platform = opened.enter_context(_sign_in(target, RateLimiter(announce=emit)))
            return _is_of(platform, state)

        @cache
        def register(scope: str) -> Register:
            return store.load_register(scope) or Register(scope)  # one that is not stored has no sources

        names = StateNames(register, files)
        for pipeline in pipelines:
            names.add(target, pipeline)
        yield names.finding(store, belongs, emit)


def _sign_in(target: Target, limiter: RateLimiter) -> Platform:
    _refuse_plain_http(target)
    with signing_in(target):
        return Platform(
            target.host,
            target.token,
            target.organization,
            token_from=target.token_from,
            renewal=target.token_renewal,
            limiter=limiter,
        )


@contextmanager
def signing_in(target: Target) -> Iterator[None]:
    """Turn the errors of providers in this block into those of a failed sign-in.

    Raises:
        CannotCheckError: the platform did not say whether it accepts the user.
        UserError: it does not.
    """
    try:
        yield
    except ProviderError as problem:
        where = f"{target.organization}@{target.environment}"
        diagnostic = provider_diagnostic(problem, f"could not sign in to {where}")
        if isinstance(problem, TransientError | UnexpectedError | ExistsError | RefusedError):
            raise CannotCheckError(diagnostic) from problem
        raise UserError(diagnostic) from problem


def _refuse_plain_http(target: Target) -> None:
    """Raise UserError before the token is sent to another machine without encryption."""
    if target.allows_http or not is_plain(target.host):
        return
    raise UserError(
        error(
            f"the token of {target.organization} would be sent to {target.host} without encryption",
            f"The address comes from {target.host_from}. Use https://. If the network is private, set "
            f"{ALLOW_HTTP}=true.",
        )
    )


def refused_value(problem: UserError) -> Literal["token", "organization", "host"] | None:
    """The value of the target that a failed sign-in refers to; None if it is none of them."""
    match problem.__cause__:
        case UnauthorizedError():
            return "token"
        case UnknownOrganizationError():
            return "organization"
        case NotAPlatformError() | TransientError():
            return "host"
    return None


def _is_of(platform: Platform, state: Snapshot) -> bool:
    """Whether the state belongs to this platform: an object with a recorded id exists, and ids are unique.

    Raises:
        CannotCheckError: the platform cannot be read.
    """
    kinds = kinds_of(platform)
    for text, recorded in state.resources.items():
        address = Address.parse(text)
        if address.kind not in kinds or kinds[address.kind].facts.parent is not None:
            continue
        try:
            live = kinds[address.kind].read(Reference(address.name, recorded.id))
        except ProviderError as problem:
            raise CannotCheckError(
                provider_diagnostic(problem, f"{address} could not be read", address=address)
            ) from None
        if live is not None and live.id == recorded.id:
            return True
    return False


def registries(emit: Emit) -> ConnectionPool:
    """Connections to registries, for commands without a session."""
    return ConnectionPool(RateLimiter(announce=emit))


def stack_of(target: Target, pipeline: Pipeline) -> Stack:
    """The stack of a pipeline in a target. It depends on config.toml alone.

    Raises:
        UserError: a training has no image name, which names its stack.
    """
    name = pipeline.config.stack_name
    if not name:
        raise UserError(unnamed_image(pipeline.loaded))
    where = (target.organization, target.environment.name, target.host)
    return Stack(*where, pipeline.name, name, display_path(pipeline.folder))
