"""How a version and its channel tag are put where others may publish the same version in the same moment.

A registry writes tags without conditions: the last write stays. So two tags and the order in which they are
written have to do. Pure: yields what to ask the registry for, and gets the answers. `image` drives it, and a
test drives it through every interleaving of two and three publishers.

1. The channel is read, then the version. A version that is there ends it here.
2. The version is put, and given some time: another publisher may have seen it missing as well.
3. Version and channel are read. Where the version is another publisher's now, that one was later, and wins.
   Where the channel has moved to another source of this version, that one was complete before our version
   arrived: its version is put back, and it has won.
4. The channel is put, and both are read again. A publisher has won only when it finds its own in both.

Why two cannot win: one of the two puts the version last. Had the other one won, its channel would have been
there before, and step 3 of the last one would have found it.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

PATIENCE = 4  # looks, a rest between them, at what another publisher is going to do


class Tag(Enum):
    """Which of the two tags."""

    VERSION = "version"
    CHANNEL = "channel"


class TagState(NamedTuple):
    """What a tag points to.

    Attributes:
        digest: of the image.
        ours: it is of the source that we publish.
        claims: its label says that it was built as the version that we publish.
    """

    digest: str
    ours: bool
    claims: bool


@dataclass(frozen=True, slots=True)
class ReadTag:
    """Read a tag; answered with a `TagState`, or None when there is no such tag."""

    tag: Tag


@dataclass(frozen=True, slots=True)
class PutTag:
    """Let a tag point to an image that is in the registry.

    Attributes:
        new: there was no such tag a moment ago; a registry that can should refuse when there is one now.
    """

    tag: Tag
    digest: str
    new: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for as long as a request of another publisher may be under way.

    Attributes:
        least: in seconds.
    """

    least: float = 0.0


class PublicationEnd(Enum):
    """What became of it."""

    WON = "both tags are ours"
    TAKEN = "the version was published before we put anything"
    LOST = "another publisher has won"
    GONE = "the version that was put is not there"


class Outcome(NamedTuple):
    """How a publication ended.

    Attributes:
        digest: what the version points to; of another image of the same source, where that was first.
    """

    end: PublicationEnd
    digest: str = ""


Steps = Generator[ReadTag | PutTag | Wait, TagState | None, Outcome]


def publication(mine: str, before: str | None = None) -> Steps:
    """Publish an image.

    Args:
        mine: its digest.
        before: what the channel pointed to before we put the version, "" for nothing, where an earlier try of
            this run has put it; otherwise it is found out.
    """
    pointed = yield ReadTag(Tag.CHANNEL)
    if before is None:
        before = pointed.digest if pointed else ""
    there = yield ReadTag(Tag.VERSION)
    if there is None:
        yield PutTag(Tag.VERSION, mine, new=True)
        yield Wait()
        there = yield ReadTag(Tag.VERSION)
    elif not there.ours:
        return Outcome(PublicationEnd.TAKEN)
    if there is None:
        return Outcome(PublicationEnd.GONE)
    if not there.ours:
        return Outcome(PublicationEnd.LOST)
    pointed = yield ReadTag(Tag.CHANNEL)
    if pointed and _is_rival(pointed) and pointed.digest != before:
        return (yield from _give_back(pointed.digest, there.digest))
    return (yield from _announce(there.digest))


def _announce(announced: str) -> Steps:
    """Put the channel, and wait until both tags belong to one publisher."""
    yield PutTag(Tag.CHANNEL, announced)
    there: TagState | None = None
    for _ in range(PATIENCE):
        there = yield ReadTag(Tag.VERSION)
        if there is None:
            return Outcome(PublicationEnd.GONE)
        pointed = yield ReadTag(Tag.CHANNEL)
        if there.ours:
            if pointed is None or pointed.digest == there.digest or not (pointed.ours or pointed.claims):
                return Outcome(PublicationEnd.WON, there.digest)
            announced = there.digest
            yield PutTag(Tag.CHANNEL, announced)
        elif pointed is None or pointed.digest != announced:
            return Outcome(PublicationEnd.LOST)
        else:  # the other one gives the version back to us, or announces itself
            yield Wait(least=1.0)
    if there is not None and not there.ours:
        yield PutTag(Tag.CHANNEL, there.digest)
    return Outcome(PublicationEnd.LOST)


def _give_back(theirs: str, mine: str) -> Steps:
    """Undo what we did to a version that another publisher had completed."""
    yield PutTag(Tag.VERSION, theirs)
    pointed = yield ReadTag(Tag.CHANNEL)
    if pointed and pointed.digest == mine:  # it lost patience with us
        yield PutTag(Tag.CHANNEL, theirs)
    return Outcome(PublicationEnd.LOST)


def _is_rival(seen: TagState) -> bool:
    return seen.claims and not seen.ours
