"""The views that draw on a terminal while a command runs. Imports no terminal library."""

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from reconciler.views.terminal.console import Console


class LiveView(Protocol):
    """A view that may draw below the last line of a terminal, at any time while it is in `live_views`."""

    @property
    def err(self) -> "Console":
        """The console that it draws on."""

    def clear(self) -> None:
        """Remove what is drawn."""


live_views: Final[list[LiveView]] = []


def before_output(console: "Console | None" = None) -> None:
    """Remove what other consoles than this one draw, as a line would end up in the middle of it."""
    for view in tuple(live_views):
        if view.err is not console:
            view.clear()
