"""Concurrent writers of one list of referrers, in every order of their requests.

A registry only reads and writes the list, so these orders are all that can happen.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from providers.docker.registry import referrers
from providers.docker.registry.referrers import Step, listing

Entries = tuple[str, ...]
Answers = tuple[Entries, ...]


def step(name: str, answers: Answers) -> Any:
    """The next step of the writer that adds this entry, after these answers; a bool at the end."""
    steps = listing([{"digest": name}])
    try:
        found = next(steps)
        for answer in answers:
            found = steps.send([{"digest": one} for one in answer])
    except StopIteration as end:
        return bool(end.value)
    return found


def every_end(names: Sequence[str], *, in_time: bool) -> Iterator[tuple[Entries, list[bool]]]:
    """Every list that may be left, and which writers report success.

    Args:
        in_time: waits are long enough: no other writer is between its read and its write.
    """
    begin: tuple[Entries, tuple[Answers, ...]] = (("old",), ((),) * len(names))
    seen, waiting = {begin}, [begin]
    while waiting:
        listed, told = waiting.pop()
        steps = [step(name, answers) for name, answers in zip(names, told, strict=True)]
        if all(isinstance(one, bool) for one in steps):
            yield listed, steps
        for number, found in enumerate(steps):
            others = [*steps[:number], *steps[number + 1 :]]
            if isinstance(found, bool):
                continue
            if found is Step.WAIT and in_time and any(isinstance(other, list) for other in others):
                continue
            after = tuple(entry["digest"] for entry in found) if isinstance(found, list) else listed
            answer = listed if found is Step.READ else ()
            following = after, (*told[:number], (*told[number], answer), *told[number + 1 :])
            if following not in seen:
                seen.add(following)
                waiting.append(following)


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_no_entry_is_lost_if_each_writer_waits_long_enough(
    names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(referrers, "_MAX_WRITES", len(names))
    ends = list(every_end(names, in_time=True))
    assert len({frozenset(listed) for listed, _ in ends}) == 1
    for listed, succeeded in ends:
        assert {"old", *names} == {*listed} and all(succeeded)


def test_a_writer_that_sleeps_longer_than_the_wait_can_drop_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What remains open: entries that were listed before stay, and one of the writers reports success."""
    monkeypatch.setattr(referrers, "_MAX_WRITES", 2)
    ends = list(every_end("ab", in_time=False))
    lost = [(listed, succeeded) for listed, succeeded in ends if not {"a", "b"} <= {*listed}]
    assert lost, "the wait is what keeps the entries"
    assert all("old" in listed and any(succeeded) for listed, succeeded in lost)
