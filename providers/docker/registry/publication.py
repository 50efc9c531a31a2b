"""The protocol to publish a version and its channel tag, safe against concurrent publishers of one version.

Registries write tags unconditionally: the last write wins. The protocol therefore relies on two tags and the
order of their writes. Pure: yields requests and receives their results. `tags` executes it, and a test runs
it through every interleaving of two and three publishers.

1. Read the channel, then the version. If the version exists, stop.
2. Write the version and wait, as another publisher may also have found it missing.
3. Read version and channel. If the version belongs to another publisher now, that one wrote later and wins.
   If the channel points to other source of this version, its publisher finished before our write: restore
   its version; it wins.
4. Write the channel and read both again. A publisher wins only if both are its own.

Two publishers cannot both win: one of them writes the version last. If the other one had won, its channel
would have been written before, and step 3 of the last one would have found it.
"""

from collections.abc import Generator
from enum import Enum
from typing import NamedTuple

from msgspec import Struct

_WAIT_FACTOR = 3  # times the slowest request: another publisher reads, then writes
_MAX_WAIT = 10.0  # seconds
MAX_CHECKS = 4  # reads, with waits in between, to see another publisher's next step


class Tag(Enum):
    """The two tags of a publication."""

    VERSION = "version"
    CHANNEL = "channel"


class TagState(NamedTuple):
    """The image that a tag points to.

    Attributes:
        digest: digest of the image.
        ours: whether it has the source that we publish.
        claims: whether its label names the version that we publish.
    """

    digest: str
    ours: bool
    claims: bool


class ReadTag(Struct, frozen=True):
    """Read a tag. The result is a `TagState`, or None if the tag does not exist."""

    tag: Tag


class PutTag(Struct, frozen=True):
    """Point a tag to an image in the registry.

    Attributes:
        new: the tag did not exist; a registry that supports conditions should refuse if it exists now.
    """

    tag: Tag
    digest: str
    new: bool = False


class Wait(Struct, frozen=True):
    """Wait for as long as another publisher's request may take.

    Attributes:
        minimum: seconds to wait at least.
    """

    minimum: float = 0.0


class PublicationEnd(Enum):
    """The end of a publication."""

    WON = "both tags are ours"
    TAKEN = "the version was published before our first write"
    LOST = "another publisher has won"
    GONE = "the version that we wrote is missing"


class Outcome(NamedTuple):
    """The result of a publication.

    Attributes:
        digest: digest of the version; another image of the same source if that one was first.
    """

    end: PublicationEnd
    digest: str = ""


Steps = Generator[ReadTag | PutTag | Wait, TagState | None, Outcome]


def wait_for_others(slowest: float) -> float:
    """The seconds in which a request of another publisher is over, if its slowest takes as long as ours."""
    return min(_WAIT_FACTOR * slowest, _MAX_WAIT)


def publication(mine: str, before: str | None = None, *, leaves_channel: bool = False) -> Steps:
    """Publish an image.

    Args:
        mine: its digest.
        before: digest of the channel before an earlier attempt of this run wrote the version, "" for no tag;
            None for a first attempt, which reads it.
        leaves_channel: only read the channel, as other environments run what it points to. Another publisher
            that was halted between its read and its write of the version for longer than the wait is then
            not noticed.
    """
    channel = yield ReadTag(Tag.CHANNEL)
    if before is None:
        before = channel.digest if channel else ""
    version = yield ReadTag(Tag.VERSION)
    if version is None:
        yield PutTag(Tag.VERSION, mine, new=True)
        yield Wait()
        version = yield ReadTag(Tag.VERSION)
    elif not version.ours:
        return Outcome(PublicationEnd.TAKEN)
    if version is None:
        return Outcome(PublicationEnd.GONE)
    if not version.ours:
        return Outcome(PublicationEnd.LOST)
    channel = yield ReadTag(Tag.CHANNEL)
    if channel and _is_rival(channel) and channel.digest != before:
        return (yield from _restore(channel.digest, version.digest))
    if leaves_channel:
        return Outcome(PublicationEnd.WON, version.digest)
    return (yield from _write_channel(version.digest))


def _write_channel(written: str) -> Steps:
    """Write the channel, and wait until both tags belong to one publisher."""
    yield PutTag(Tag.CHANNEL, written)
    version: TagState | None = None
    for _ in range(MAX_CHECKS):
        version = yield ReadTag(Tag.VERSION)
        if version is None:
            return Outcome(PublicationEnd.GONE)
        channel = yield ReadTag(Tag.CHANNEL)
        if version.ours:
            if channel is None or channel.digest == version.digest or not (channel.ours or channel.claims):
                return Outcome(PublicationEnd.WON, version.digest)
            written = version.digest
            yield PutTag(Tag.CHANNEL, written)
        elif channel is None or channel.digest != written:
            return Outcome(PublicationEnd.LOST)
        else:  # the other publisher will restore our version, or write the channel
            yield Wait(minimum=1.0)
    if version is not None and not version.ours:
        yield PutTag(Tag.CHANNEL, version.digest)
    return Outcome(PublicationEnd.LOST)


def _restore(theirs: str, mine: str) -> Steps:
    """Restore the version of another publisher that had finished before us."""
    yield PutTag(Tag.VERSION, theirs)
    channel = yield ReadTag(Tag.CHANNEL)
    if channel and channel.digest == mine:  # it gave up waiting for us
        yield PutTag(Tag.CHANNEL, theirs)
    return Outcome(PublicationEnd.LOST)


def _is_rival(state: TagState) -> bool:
    return state.claims and not state.ours
