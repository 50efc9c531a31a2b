"""What the history shows of a state, read from its document alone. Pure.

A history of hundreds of runs is shown with one line for each: the states are not built or checked for that.
What is not certain is left out, so that callers read it as a whole.
"""

from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

from state.document import check_format
from state.errors import UnreadableStateError
from state.migrations import VERSION
from state.snapshot import OUTCOMES, UNKNOWN, UncheckedJSON

Row = tuple[int, bool, Callable[[], UncheckedJSON]]
"""A save: its serial, whether it has the whole document, and what reads the document or the changes."""


class Outline(Struct, frozen=True):
    """The outline of the state at one serial.

    Attributes:
        outcome: how the run that saved it ended: applied, failed, interrupted or partial.
        restores: the serial that the run restored, if it was a rollback; 0 otherwise.
        is_open: whether it has open writes.
        version: the version of the image; "" if there is none.
    """

    outcome: str
    restores: int
    is_open: bool
    version: str


def outlines_of(rows: Iterable[Row], serials: Collection[int]) -> dict[int, Outline]:
    """The outlines at these serials, without those that are damaged or of an older format.

    Args:
        rows: in the order of their serials; those between a whole document and a wanted serial are complete.
    """
    found: dict[int, Outline] = {}
    wanted = sorted(serials, reverse=True)
    part: list[Row] = []
    for row in rows:
        if row[1]:
            found |= _of_part(part, wanted)
            part = []
        part.append(row)
    return found | _of_part(part, wanted)


def _of_part(part: list[Row], wanted: list[int]) -> dict[int, Outline]:
    """The outlines of a whole document and the changes since. Takes its serials from the end of `wanted`."""
    own: list[int] = []
    while part and wanted and wanted[-1] <= part[-1][0]:
        own.append(wanted.pop())
    found: dict[int, Outline] = {}
    if not own or not part[0][1]:
        return found
    draft = _Draft(set(), {})
    try:
        for place, (serial, _, read) in enumerate(part):
            if serial > own[-1]:
                break
            document = read()
            if (
                check_format(document) != VERSION
                or document["serial"] != serial
                or serial != part[0][0] + place
            ):
                break
            draft.apply(document)
            if serial in own and document["outcome"] in OUTCOMES and document["outcome"] != UNKNOWN:
                outcome, restores = document["outcome"], document["restores"]
                found[serial] = Outline(outcome, restores, bool(draft.intents), draft.version)
    except (UnreadableStateError, KeyError, TypeError, ValueError, AttributeError):
        return found  # the caller reads the damaged one as a whole, and reports it
    return found


class _Draft(Struct, frozen=True):
    """The open writes, and the version of each image by its address."""

    intents: set[str]
    images: dict[str, str]

    def apply(self, document: UncheckedJSON) -> None:
        """Add a whole document, or changes."""
        removed = document.get("removed", {})
        self.intents.difference_update(removed.get("intents", ()))
        for address in removed.get("resources", ()):
            self.images.pop(address, None)
        self.intents.update(body["address"] for body in document["intents"])
        for body in document["resources"]:
            if body["kind"] == "image":
                self.images[body["address"]] = str(body["inputs"]["version"])

    @property
    def version(self) -> str:
        return self.images[min(self.images)] if self.images else ""
