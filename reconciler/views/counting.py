"""Counted nouns, sizes and rates as short text, for every output."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from rich import filesize


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def duration(seconds: float) -> str:
    """`3.2 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def timer(seconds: float) -> str:
    """The time on a running clock: `0:07`, `12:05`, `1:03:00`."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def short_commit(revision: str) -> str:
    """`815a748c0ffe`, and `815a748c0ffe+dirty` when files differed from that commit."""
    commit, plus, suffix = revision.partition("+")
    return f"{commit[:12]}{plus}{suffix}"


def plural(count: int, noun: str) -> str:
    """`1 field`, `2 fields`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


_UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


def ago(at: str, now: datetime) -> str:
    """The time since `at` in its largest unit: `3 days ago`, `just now`; "" for no time."""
    if not at:
        return ""
    passed = now - datetime.fromisoformat(at)
    for unit, length in _UNITS:
        if passed >= length:
            return f"{plural(passed // length, unit)} ago"
    return "just now"


def size(count: int) -> str:
    """`12 bytes`, `4.1 kB`, `12.5 MB`, in powers of ten, as in registries."""
    return filesize.decimal(count)


def amount(done: int, total: int | None, unit: str) -> str:
    """`3/7` steps, `12.5/40.0 MB`; the amount so far without a total; "" before the start."""
    if unit == "steps":
        return f"{done}/{total}" if total else ""
    if not total:
        return size(done) if done else ""
    factor, suffix = filesize.pick_unit_and_suffix(
        total, ["bytes", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"], 1000
    )
    digits = 0 if factor == 1 else 1
    return f"{done / factor:.{digits}f}/{total / factor:.{digits}f} {suffix}"


def pace(rate: float, rest: float | None) -> str:
    """`4.0 MB/s, 0:07 left`, or only the rate if the rest is unknown.

    Args:
        rate: bytes per second.
        rest: bytes left; None if unknown.
    """
    if rest is None:
        return f"{size(int(rate))}/s"
    return f"{size(int(rate))}/s, {timer(rest / rate)} left"
