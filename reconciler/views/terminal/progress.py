"""Shows the engine's events during a run, from the first one on."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from providers.threads import start
from providers.waits import LONGEST_SILENCE, SLOW, Exchange
from reconciler.core.events import Event, Notice, PipelineEvent
from reconciler.views.terminal.console import Console, is_quiet
from reconciler.views.terminal.live_views import live_views
from reconciler.views.terminal.lost_output import unstoppable

if TYPE_CHECKING:
    from reconciler.views.terminal.event_renderer import EventRenderer


_TICK = 0.25  # seconds


@contextmanager
def paused() -> Iterator[None]:
    """Nothing is drawn and no line is printed meanwhile: the user is asked."""
    views = [view for view in live_views if isinstance(view, ProgressView) and not view.is_paused]
    for view in views:
        view.pause()
    try:
        yield
    finally:
        for view in views:
            view.resume()


class ProgressView:
    """Renders events on stderr. Thread-safe. A context manager, which removes all bars at the end.

    A run is never silent for long while it is open: see `tick`. An output that fails ends no run: progress
    that cannot be printed is dropped, wherever the event comes from. The renderer is imported when there is
    something to show: bars take long to import, and many commands need none.

    Args:
        clock: returns seconds, for rates and intervals.
    """

    def __init__(self, err: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.err = err
        self._clock = clock
        self._renderer: EventRenderer | None = None
        self._lock = threading.RLock()
        self._quiet_since = clock()
        self.is_paused = False
        self._ended = threading.Event()
        self._is_interrupted = False

    def __enter__(self) -> Self:
        self.resume()
        live_views.append(self)
        if not is_quiet():
            with suppress(OSError):  # then it shows only what happens
                start(threading.Thread(target=self._tick_regularly, name="progress", daemon=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:  # what other threads still report comes after the last word
            self._is_interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        self._ended.set()
        live_views.remove(self)
        self.pause()

    def pause(self) -> None:
        """Remove all bars, to print or to prompt. `resume` or the next event shows them again."""
        with self._lock:
            self.is_paused = True
            self.clear()

    def clear(self) -> None:
        """Remove all bars, for a line that is printed next."""
        with self._lock:
            self._quiet_since = self._clock()
            if self._renderer is not None:
                with unstoppable():
                    self._renderer.pause()

    def resume(self) -> None:
        """Go on after a pause."""
        with self._lock:
            self.is_paused = False
            self._quiet_since = self._clock()

    def __call__(self, event: Event) -> None:
        inner = event.event if isinstance(event, PipelineEvent) else event
        if not is_quiet() or isinstance(inner, Notice | Exchange):
            if self.is_paused:
                self.resume()
            with unstoppable():
                renderer = self._loaded()
                with self._lock:
                    if not self._is_interrupted:
                        renderer(event)

    def tick(self) -> None:
        """Say what the run waits for if nothing was shown for too long, see `LONGEST_SILENCE` and `SLOW`."""
        with self._lock:
            longest = SLOW if self.err.is_interactive else LONGEST_SILENCE
            if not self.is_paused and self._clock() - self._quiet_since >= longest:
                with unstoppable():
                    self._loaded().tick(self._quiet_since)

    def _tick_regularly(self) -> None:
        while not self._ended.wait(_TICK):
            self.tick()

    def _loaded(self) -> "EventRenderer":
        with self._lock:
            if self._renderer is None:
                self._renderer = self._new_renderer()
            return self._renderer

    def _new_renderer(self) -> "EventRenderer":
        if self.err.is_interactive:  # a dumb terminal cannot move its cursor
            from reconciler.views.terminal.live_renderer import LiveRenderer

            return LiveRenderer(self.err, self._clock)
        from reconciler.views.terminal.event_renderer import EventRenderer

        return EventRenderer(self.err, self._clock)
