"""The state versions that runs left, and the ones whose writes all succeeded. Reads only."""

from collections.abc import Iterator
from dataclasses import dataclass

from semver import Version

from reconciler.core.diff import same
from reconciler.engine.recorded import image_in
from reconciler.pipeline.version import parse
from state.snapshot import Intent, RecordedResource, Snapshot
from state.stores.base import HistoryEntry, Store, saves_by_run


@dataclass(frozen=True, slots=True)
class EarlierState:
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
        """The version of the image; "" if there is no image."""
        return str(self.image.inputs["version"]) if self.image else ""

    def is_at(self, to: str) -> bool:
        """Whether a serial or a version of an image names this state version."""
        # A whole number is a serial, as 1 would also parse as version 1.0.0.
        if to.isdecimal():
            return to == str(self.snapshot.serial)
        try:
            return bool(self.version) and parse(to) == Version.parse(self.version)
        except ValueError:
            return False


def finished_states(store: Store, stack: str) -> Iterator[EarlierState]:
    """The last state version of each run whose writes all succeeded, latest first."""
    for entry, *before in saves_by_run(store, stack):
        snapshot = store.load_at(stack, entry.serial)
        if snapshot is None or snapshot.intents:
            continue
        # In the order of the saves, as a store reads each as a delta to the one before.
        snapshots = (store.load_at(stack, save.serial) for save in reversed(before))
        intents = (intent for save in snapshots if save for intent in save.intents.values())
        if all(_was_carried_out(intent, snapshot) for intent in intents):
            yield EarlierState(snapshot, entry)


def _was_carried_out(intent: Intent, after: Snapshot) -> bool:
    """Whether a write succeeded. A refused write leaves the recorded resource unchanged."""
    recorded = after.resources.get(intent.address)
    if intent.verb == "delete":
        return recorded is None or recorded.id != intent.id
    if recorded is None:  # a replace whose old object was deleted and whose new object left the files
        return intent.verb == "replace" and intent.id is None
    return all(same(recorded.inputs.get(name, value), value) for name, value in intent.fields.items())
