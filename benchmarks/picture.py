"""The picture at the head of the benchmark page: for each comparison, bars of ours, the peers' and the bound."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

Who = Literal["ours", "peer", "bound"]

_WIDTH, _LABELS, _VALUES = 860, 330, 80  # pixels: all, and the room for names and for figures
_BAR, _LINE, _GAP, _HEADING = 14, 20, 18, 22  # pixels: a bar, its line, and between and above the comparisons
_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.what { font-weight: 600 }
.figure { fill: #59636e }
.ours { fill: #0969da } .peer { fill: #8c959f } .bound { fill: #d4a72c }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .figure { fill: #9198a1 } .ours { fill: #4493f8 } .bound { fill: #d29922 }
}
"""
_LEGEND: Final[dict[Who, str]] = {"ours": "reconciler", "peer": "another tool", "bound": "cannot be avoided"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A way to do something, and the seconds that it takes.

    Attributes:
        who: whether it is ours, another tool's, or what no tool can avoid.
    """

    name: str
    seconds: float
    who: Who


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ways to do the same, measured in one run."""

    what: str
    bars: tuple[Bar, ...]


def svg(comparisons: Sequence[Comparison]) -> str:
    """The picture. Each comparison has a scale of its own: its longest bar is as wide as the room."""
    lines = list(_lines(comparisons))
    height = max((y for y, _ in lines), default=0) + _LINE
    drawn = "\n".join(text for _, text in lines)
    names = ", ".join(comparison.what for comparison in comparisons)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(names)}">\n'
        f"<style>{_STYLE}</style>\n{drawn}\n</svg>\n"
    )


def _lines(comparisons: Sequence[Comparison]) -> Iterator[tuple[int, str]]:
    """The elements, each with where it ends at the latest, in pixels from the top."""
    x = 0
    for who, text in _LEGEND.items():
        yield _BAR, f'<rect class="{who}" x="{x}" y="4" width="{_BAR}" height="{_BAR}" rx="2"/>'
        yield _BAR, f'<text x="{x + _BAR + 6}" y="16">{text}</text>'
        x += 160
    top = _LINE + _GAP
    for comparison in comparisons:
        yield top, f'<text class="what" x="0" y="{top + 12}">{escape(comparison.what)}</text>'
        top += _HEADING
        longest = max(bar.seconds for bar in comparison.bars)
        for bar in comparison.bars:
            width = max(bar.seconds / longest * (_WIDTH - _LABELS - _VALUES), 1)
            yield top, f'<text x="12" y="{top + 12}">{escape(bar.name)}</text>'
            yield (
                top,
                f'<rect class="{bar.who}" x="{_LABELS}" y="{top}" width="{width:.0f}" height="{_BAR}" rx="2"/>',
            )
            figure = f'<text class="figure" x="{_LABELS + width + 6:.0f}" y="{top + 12}">{seconds(bar.seconds)}</text>'
            yield top + _BAR, figure
            top += _LINE
        top += _GAP


def seconds(value: float) -> str:
    """Seconds with as many digits as matter."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s" if value < 100 else f"{value:.0f} s"
