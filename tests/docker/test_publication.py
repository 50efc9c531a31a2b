"""Concurrent publishers of one version, in every order of their requests.

A registry only reads and writes tags. So the orders of these requests are all that can happen, whatever the
network does. The tests run the steps of `publication` in each order.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

import pytest

from providers.docker.registry import publication
from providers.docker.registry.publication import (
    Outcome,
    PublicationEnd,
    PutTag,
    ReadTag,
    Tag,
    TagState,
    Wait,
)

OLD = "old"  # the channel's earlier image
Publisher = tuple[str, str]
"""The digest of an image, and its source."""


@dataclass(frozen=True)
class Moment:
    """The registry and its publishers at one moment.

    Attributes:
        version, channel: what the tags point to.
        told: the responses that each publisher received so far, which determine its next step.
        dead: the killed publishers.
    """

    version: str | None
    channel: str | None
    told: tuple[tuple[TagState | None, ...], ...]
    dead: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Final:
    """The end: both tags, and the outcome of each publisher; None for a killed one."""

    version: str | None
    channel: str | None
    ends: tuple[PublicationEnd | None, ...]

    def won(self) -> list[int]:
        return [number for number, end in enumerate(self.ends) if end is PublicationEnd.WON]


def every_end(
    *publishers: Publisher, in_time: bool = False, kills: bool = False, leaving: Collection[int] = ()
) -> set[Final]:
    """Every possible end.

    Args:
        in_time: waits are long enough: no other publisher is between its read and its write, or between
            its decision to restore the version and that write.
        kills: one publisher may be killed at any moment.
        leaving: the publishers that leave the channel.
    """
    sources = dict(publishers) | {OLD: ""}
    steps: dict[tuple[int, tuple[TagState | None, ...]], ReadTag | PutTag | Wait | Outcome] = {}

    def step(number: int, told: tuple[TagState | None, ...]) -> ReadTag | PutTag | Wait | Outcome:
        if (number, told) not in steps:
            following = publication.publication(publishers[number][0], leaves_channel=number in leaving)
            try:
                found = next(following)
                for answer in told:
                    found = following.send(answer)
                steps[number, told] = found
            except StopIteration as ended:
                steps[number, told] = ended.value
        return steps[number, told]

    def seen(digest: str | None, by: int) -> TagState | None:
        if digest is None:
            return None
        return TagState(digest, ours=sources[digest] == publishers[by][1], claims=digest != OLD)

    def followers(moment: Moment, number: int) -> Iterator[Moment]:
        found, answer, after = step(number, moment.told[number]), None, moment
        others = [other for other in range(len(publishers)) if other not in moment.dead | {number}]
        match found:
            case ReadTag(tag):
                answer = seen(moment.version if tag is Tag.VERSION else moment.channel, number)
            case PutTag(Tag.VERSION, digest):
                after = replace(moment, version=digest)
            case PutTag(_, digest):
                after = replace(moment, channel=digest)
            case Wait() if in_time and any(isinstance(step(o, moment.told[o]), PutTag) for o in others):
                return  # it waits for that step
        told = tuple((*t, answer) if n == number else t for n, t in enumerate(moment.told))
        yield replace(after, told=told)
        if kills and not moment.dead:
            yield replace(moment, dead=frozenset({number}))

    begin = Moment(None, OLD, ((),) * len(publishers))
    seen_moments, waiting = {begin}, [begin]
    ends: set[Final] = set()
    while waiting:
        moment = waiting.pop()
        found = [step(number, told) for number, told in enumerate(moment.told)]
        says = [each.end if isinstance(each, Outcome) else None for each in found]
        if all(end or number in moment.dead for number, end in enumerate(says)):
            ends.add(Final(moment.version, moment.channel, tuple(says)))
        for number, each in enumerate(found):
            if number in moment.dead or isinstance(each, Outcome):
                continue
            for after in followers(moment, number):
                if after not in seen_moments:
                    seen_moments.add(after)
                    waiting.append(after)
    return ends


TWO: tuple[Publisher, ...] = (("a", "source of a"), ("b", "source of b"))
THREE: tuple[Publisher, ...] = (*TWO, ("c", "source of c"))


def test_two_publishers_never_both_win_however_slow_the_network_is() -> None:
    ends = every_end(*TWO)
    assert {len(end.won()) for end in ends} == {0, 1}
    for end in ends:
        for number in end.won():
            assert end.version == end.channel == TWO[number][0], end
    assert {tuple(end.ends) for end in ends if end.won()} >= {
        (PublicationEnd.WON, PublicationEnd.TAKEN),
        (PublicationEnd.WON, PublicationEnd.LOST),
    }


@pytest.mark.parametrize("publishers", [TWO, THREE], ids=["two", "three"])
def test_with_long_enough_waits_exactly_one_wins_and_has_both_tags(
    publishers: tuple[Publisher, ...],
) -> None:
    for end in every_end(*publishers, in_time=True):
        [number] = end.won()
        assert end.version == end.channel == publishers[number][0], end


@pytest.mark.parametrize("publishers", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("leaving", [{0}, {0, 1}, {0, 1, 2}], ids=str)
def test_with_long_enough_waits_one_that_leaves_the_channel_wins_or_loses_too(
    publishers: tuple[Publisher, ...], leaving: set[int]
) -> None:
    others = {publishers[number][0] for number in range(len(publishers)) if number not in leaving}
    for end in every_end(*publishers, in_time=True, leaving=leaving):
        [number] = end.won()
        assert end.version == publishers[number][0], end
        assert end.channel in {OLD, *others}, end
        assert number in leaving or end.channel == end.version, end


def test_all_publishers_of_one_source_succeed() -> None:
    for end in every_end(("a", "the source"), ("b", "the source")):
        assert set(end.ends) == {PublicationEnd.WON}, end
        assert end.version == end.channel, end


def test_if_one_publisher_is_killed_the_other_is_right_about_the_version() -> None:
    """Unless the kill comes after it overwrote another version and before it restores that one."""
    for end in every_end(*TWO, in_time=True, kills=True):
        for number in end.won():
            assert end.version == TWO[number][0], end


@pytest.mark.parametrize(
    ("pointed", "wins"),
    [
        (TagState("x", ours=False, claims=False), True),  # another version was published, and moved it
        (None, True),
        (TagState(OLD, ours=False, claims=True), True),  # it already pointed there
        (TagState("x", ours=False, claims=True), False),
    ],
)
def test_only_a_channel_that_moved_to_this_version_means_that_it_is_taken(
    pointed: TagState | None, wins: bool
) -> None:
    old, mine = TagState(OLD, ours=False, claims=True), TagState("a", ours=True, claims=True)
    following = publication.publication("a")
    assert next(following) == ReadTag(Tag.CHANNEL)
    answers: list[tuple[TagState | None, Callable[[object], bool]]] = [
        (old, lambda step: step == ReadTag(Tag.VERSION)),
        (None, lambda step: step == PutTag(Tag.VERSION, "a", new=True)),
        (None, lambda step: step == Wait()),
        (None, lambda step: step == ReadTag(Tag.VERSION)),
        (mine, lambda step: step == ReadTag(Tag.CHANNEL)),
    ]
    for answer, follows in answers:
        assert follows(following.send(answer))
    assert following.send(pointed) == (PutTag(Tag.CHANNEL, "a") if wins else PutTag(Tag.VERSION, "x"))
