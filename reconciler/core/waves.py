"""Waves of a run over many pipelines, and the number of failures that ends it. Pure."""

from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")


class Amount(Struct, frozen=True):
    """A number of pipelines, written `5` or as a part of all, `10%`."""

    value: int
    is_percent: bool = False

    def __str__(self) -> str:
        return f"{self.value}%" if self.is_percent else str(self.value)

    @classmethod
    def parse(cls, text: str) -> "Amount":
        """The amount in a text. Raises ValueError."""
        number = text.removesuffix("%")
        is_percent = number != text
        if not (number.isascii() and number.isdecimal()):
            raise ValueError(f"{text!r} is neither a number nor a percentage, such as 5 or 10%")
        if is_percent and int(number) > 100:
            raise ValueError(f"{text} is more than 100%")
        return cls(int(number), is_percent)

    def of(self, total: int) -> float:
        """The number of pipelines, of all `total`; a percentage may give a fraction."""
        return total * self.value / 100 if self.is_percent else self.value


class Waves(Struct, frozen=True):
    """The sizes of consecutive waves. The last size is repeated until no pipeline is left."""

    sizes: tuple[Amount, ...]

    @classmethod
    def parse(cls, text: str) -> "Waves":
        """The waves written as `1,10%,100%`. Raises ValueError."""
        sizes = tuple(Amount.parse(part.strip()) for part in text.split(","))
        for size in sizes:
            if size.value == 0:
                raise ValueError(f"a wave of {size} has no pipelines")
        return cls(sizes)

    def split(self, items: Sequence[T]) -> list[Sequence[T]]:
        """The items of each wave, in their order. A percentage is of all items, rounded up."""
        waves: list[Sequence[T]] = []
        start = 0
        while start < len(items):
            size = self.sizes[min(len(waves), len(self.sizes) - 1)]
            count = -int(-size.of(len(items)) // 1)
            waves.append(items[start : start + count])
            start += count
        return waves


ONE_WAVE = Waves((Amount(100, is_percent=True),))


class FailureLimit(Struct, frozen=True):
    """The most failures after which a run goes on: a number for the run, or a part of each wave."""

    amount: Amount

    @classmethod
    def parse(cls, text: str) -> "FailureLimit":
        """The limit written as `3` or `5%`. Raises ValueError."""
        return cls(Amount.parse(text))

    def is_exceeded(self, in_run: int, *, in_wave: int, wave_size: int) -> bool:
        """Whether nothing new may start.

        Args:
            in_run: failures since the run started.
            in_wave: those of the present wave.
            wave_size: the number of pipelines of the present wave.
        """
        if self.amount.is_percent:
            return in_wave > self.amount.of(wave_size)
        return in_run > self.amount.value


NO_FAILURE = FailureLimit(Amount(0))
NO_LIMIT = FailureLimit(Amount(100, is_percent=True))
