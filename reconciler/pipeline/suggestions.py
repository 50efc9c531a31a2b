"""Suggests the known name that is closest to a mistyped one."""

from collections.abc import Collection, Iterable
from itertools import takewhile


def did_you_mean(word: str, known: Iterable[str], risky: Collection[str] = ()) -> str:
    """` Did you mean 'x'?` with its leading space, or "" if no known name is similar. Ignores case.

    Args:
        risky: those of the known names that do harm if they are not what was meant. One of them is suggested
            only if it is almost the word, and no other name is closer or one slip away.
    """
    from difflib import SequenceMatcher, get_close_matches  # few commands suggest something

    word, harmful = word.lower(), {*risky}
    names = {name.lower(): name for name in sorted(known, key=lambda name: name in harmful, reverse=True)}
    near = get_close_matches(word, names, n=len(names) or 1, cutoff=0.6)
    begun = [name for name in names if len(word) > 2 and name.startswith(word) and names[name] not in harmful]
    if len(begun) == 1:
        near = [*begun, *(name for name in near if name not in begun)]
    harmless = [name for name in near if names[name] not in harmful]
    if near and near[0] not in harmless:
        is_certain = SequenceMatcher(None, near[0], word).ratio() >= 0.8
        if not is_certain or any(is_one_slip(word, name) for name in names if names[name] not in harmful):
            near = harmless
    return f" Did you mean {names[near[0]]!r}?" if near else ""


def is_one_slip(one: str, other: str) -> bool:
    """Whether one letter is missing, added or another one, or two neighbours are swapped."""
    start = _shared_letters(one, other)
    one, other = one[start:], other[start:]
    end = _shared_letters(one[::-1], other[::-1])
    rest, instead = one[: len(one) - end], other[: len(other) - end]
    return max(len(rest), len(instead)) <= 1 or (len(rest) == 2 and rest == instead[::-1])


def _shared_letters(one: str, other: str) -> int:
    """The number of letters with which both words begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
