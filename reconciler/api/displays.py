"""How results appear: in a terminal with Rich, as text, and as HTML in a notebook."""

from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING

from reconciler.views.terminal.console import Console, console

if TYPE_CHECKING:
    from rich import console as rich

__all__ = ["Displayed"]


class Displayed:
    """A result that Rich, notebooks and `print` can show."""

    __slots__ = ()

    def _print(self, out: Console) -> None:
        """Print the view of a command."""
        raise NotImplementedError

    def to_html(self) -> str:
        """A whole page, which loads nothing and is complete without JavaScript."""
        return self._html(False)

    def _html(self, fragment: bool) -> str:
        raise NotImplementedError

    def __rich_console__(self, target: "rich.Console", options: "rich.ConsoleOptions") -> "rich.RenderResult":
        from reconciler.views.terminal.rich_console import collected

        yield from collected(self._print, options.max_width)

    def _repr_html_(self) -> str:
        """A part of a page that brings its own style, for notebooks."""
        return self._html(True)

    def __str__(self) -> str:
        return text_of(self._print)


def text_of(show: Callable[[Console], None]) -> str:
    """What a view prints, without colours."""
    stream = StringIO()
    show(console(stream))
    return stream.getvalue().rstrip("\n")
