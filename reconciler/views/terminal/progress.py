"""Shows the engine's events during a run, from the first one on."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console

from providers.waits import Exchange
from reconciler.core.events import Event, Notice, PipelineEvent
from reconciler.views.terminal.console import is_quiet

if TYPE_CHECKING:
    from reconciler.views.terminal.event_renderer import EventRenderer


class ProgressView:
    """Renders events on stderr. Thread-safe. A context manager, which removes all bars at the end.

    The renderer is imported with the first event: bars take long to import, and many commands need none.

    Args:
        clock: returns seconds, for rates and intervals.
    """

    def __init__(self, err: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._err = err
        self._clock = clock
        self._renderer: EventRenderer | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()

    def pause(self) -> None:
        """Remove all bars, to print or to prompt. The next event shows them again."""
        if self._renderer is not None:
            self._renderer.pause()

    def __call__(self, event: Event) -> None:
        inner = event.event if isinstance(event, PipelineEvent) else event
        if not is_quiet() or isinstance(inner, Notice | Exchange):
            self._loaded()(event)

    def _loaded(self) -> "EventRenderer":
        with self._lock:
            if self._renderer is None:
                from reconciler.views.terminal.event_renderer import EventRenderer

                self._renderer = EventRenderer(self._err, self._clock)
            return self._renderer
