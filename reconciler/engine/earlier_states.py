"""The state versions that runs left, and the ones that have all that ran. Reads only."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace
from semver import Version

from reconciler.core.diff import same
from reconciler.core.recorded_runs import RecordedRun, RunOutcome, target_of, verb_of
from reconciler.engine.kinds import recorded_text
from reconciler.engine.recorded import image_in
from reconciler.pipeline.version import parse
from state.errors import CorruptStateError
from state.outline import Outline
from state.snapshot import APPLIED, UNKNOWN, Intent, RecordedResource, Snapshot
from state.stores.base import HistoryEntry, Store, saves_by_run


class EarlierState(Struct, frozen=True):
    """The last state version of a run that ended.

    Attributes:
        snapshot: the state.
        entry: its entry in the history: when, and by whom.
    """

    snapshot: Snapshot
    entry: HistoryEntry

    @property
    def image(self) -> RecordedResource | None:
        return image_in(self.snapshot)

    @property
    def version(self) -> str:
        """The version of the image; "" if the state has no image, or none with a version."""
        return recorded_text(self.image, "version") if self.image else ""

    def is_at(self, to: str) -> bool:
        """Whether a serial or a version of an image names this state version."""
        # A whole number is a serial, as 1 would also parse as version 1.0.0.
        if to.isdecimal():
            return to == str(self.snapshot.serial)
        try:
            return bool(self.version) and parse(to) == Version.parse(self.version)
        except ValueError:
            return False


def recorded_runs(store: Store, stack: str) -> Iterator[RecordedRun]:
    """Every run that saved state, latest first."""
    return _recorded(_recorded_run(store, stack, saves) for saves in saves_by_run(store, stack))


def latest_runs(store: Store, stack: str, most: int) -> list[RecordedRun]:
    """The latest of `recorded_runs`, read together: the state after a run is not read whole for its line."""
    batch = [*islice(saves_by_run(store, stack, first=2 * most), most)]
    outlines = store.outlines(stack, [saves[0].serial for saves in batch])
    return [
        *_recorded(
            _outlined_run(saves, outlines[serial])
            if (serial := saves[0].serial) in outlines
            else _recorded_run(store, stack, saves)
            for saves in batch
        )
    ]


def _recorded(runs: Iterable[RecordedRun]) -> Iterator[RecordedRun]:
    """The runs, latest first, with the outcome of those that a later one rolled back."""
    restored = 0  # runs after this serial were rolled back, if it is not 0
    for run in runs:
        restored = 0 if run.serial <= restored else restored
        if run.outcome is RunOutcome.APPLIED and restored:
            yield replace(run, outcome=RunOutcome.ROLLED_BACK)
            continue
        if run.outcome is RunOutcome.APPLIED and run.restored:
            restored = run.restored
        yield run


def _outlined_run(saves: tuple[HistoryEntry, ...], outline: Outline) -> RecordedRun:
    outcome = RunOutcome(outline.outcome)
    if outcome is RunOutcome.APPLIED and outline.is_open:
        outcome = RunOutcome.UNKNOWN
    return RecordedRun(saves, outcome, outline.version, outline.restores)


def _recorded_run(store: Store, stack: str, saves: tuple[HistoryEntry, ...]) -> RecordedRun:
    """A run, as if no later one had rolled it back."""
    snapshot = _readable(store, stack, saves[0].serial)
    if snapshot is None:
        return RecordedRun(saves, RunOutcome.UNKNOWN, "", 0)
    try:
        outcome = _outcome(store, stack, snapshot, saves)
    except CorruptStateError:  # an earlier save of the run
        outcome = RunOutcome.UNKNOWN
    version = EarlierState(snapshot, saves[0]).version
    return RecordedRun(saves, outcome, version, _restored(snapshot, saves[0]))


def _readable(store: Store, stack: str, serial: int) -> Snapshot | None:
    """The state at a serial; None if it is damaged or no longer kept."""
    try:
        return store.load_at(stack, serial)
    except CorruptStateError:
        return None


def finished_states(store: Store, stack: str) -> Iterator[EarlierState]:
    """The last state version of each run whose writes all succeeded, latest first.

    Each has all that ran: what a change of the state alone left, or a run that left out a part of the files,
    is not among them.
    """
    for saves in saves_by_run(store, stack):
        snapshot = store.load_at(stack, saves[0].serial)
        if snapshot is not None and _outcome(store, stack, snapshot, saves) is RunOutcome.APPLIED:
            yield EarlierState(snapshot, saves[0])


def that_ran(finished: Iterable[EarlierState]) -> Iterator[EarlierState]:
    """The state versions that ran one before the other, latest first, without those that were rolled back.

    Before a rollback ran what ran before its target: so going back again never returns to what was left.

    Args:
        finished: latest first.
    """
    restored = 0
    for earlier in finished:
        serial = earlier.snapshot.serial
        if restored and serial > restored:
            continue  # it was rolled back
        restored = _restored(earlier.snapshot, earlier.entry)
        yield earlier


def last_left(store: Store, stack: str, now: Snapshot) -> Snapshot:
    """What the last run left: the present state, unless the state alone was changed since.

    Raises:
        CorruptStateError: that state is damaged.
    """
    for saves in saves_by_run(store, stack):
        if verb_of(saves[0].command) != "state":
            return (store.load_at(stack, saves[0].serial) if saves[0].serial < now.serial else None) or now
    return now


def state_at(store: Store, stack: str, serial: int) -> EarlierState | None:
    """The state version of a run that ended with this serial; None if it is not kept any more."""
    snapshot = store.load_at(stack, serial)
    entry = next((saves[0] for saves in saves_by_run(store, stack) if saves[0].serial <= serial), None)
    if snapshot is None or entry is None or entry.serial != serial:
        return None
    return EarlierState(snapshot, entry)


def _restored(snapshot: Snapshot, entry: HistoryEntry) -> int:
    """The serial that a run restored; 0 if it was no rollback, or that is unknown."""
    if snapshot.outcome:
        return snapshot.restores
    target = target_of(entry.command)  # of a version that saved no outcome
    return int(target) if target.isdecimal() else 0


def _outcome(store: Store, stack: str, snapshot: Snapshot, saves: Sequence[HistoryEntry]) -> RunOutcome:
    """How the run with these saves ended, which left this state."""
    if snapshot.outcome not in (UNKNOWN, APPLIED):
        return RunOutcome(snapshot.outcome)
    if snapshot.intents:
        return RunOutcome.UNKNOWN
    if snapshot.outcome == APPLIED:
        return RunOutcome.APPLIED
    # A version that saved no outcome: in the order of the saves, as a store reads each as a delta to the one
    # before.
    snapshots = (store.load_at(stack, save.serial) for save in reversed(saves[1:]))
    intents = (intent for each in snapshots if each for intent in each.intents.values())
    carried_out = all(_was_carried_out(intent, snapshot) for intent in intents)
    return RunOutcome.APPLIED if carried_out else RunOutcome.UNKNOWN


def _was_carried_out(intent: Intent, after: Snapshot) -> bool:
    """Whether a write succeeded. A refused write leaves the recorded resource unchanged."""
    recorded = after.resources.get(intent.address)
    if intent.verb == "delete":
        return recorded is None or recorded.id != intent.id
    if recorded is None:  # a replace whose old object was deleted and whose new object left the files
        return intent.verb == "replace" and intent.id is None
    return all(same(recorded.inputs.get(name, value), value) for name, value in intent.fields.items())
