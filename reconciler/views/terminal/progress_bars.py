"""Progress bars on a terminal: a line per stage, and one per active part of it.

Finished parts are only counted, so an image of many layers takes no more space than a small one. Logs are the
task of `event_renderer`.
"""

import time
from collections.abc import Callable, Iterable

from msgspec.structs import replace
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column

from providers import protocol
from reconciler.core.values import Address
from reconciler.views.counting import amount, pace
from reconciler.views.safe import one_line
from reconciler.views.terminal.text import Text

MOST = 8
"""Maximum number of lines. A count of the others appears below them."""

Key = tuple[Address, str, str]  # step, stage, part


class ProgressBars:
    """The bars of the active steps. Not thread-safe.

    Args:
        clock: returns seconds, for rates.
    """

    def __init__(self, err: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = _LimitedProgress(
            _Spinner(_uncut_column()),
            TextColumn("{task.description}", markup=False, table_column=_uncut_column()),
            _Bar(_uncut_column()),
            _Amount(_uncut_column()),
            _Rate(_uncut_column()),
            TextColumn(
                "{task.fields[text]}",
                style="dim",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            expand=True,
            console=err,
            transient=True,
            get_time=clock,
        )
        self._lines: dict[Key, TaskID] = {}
        self._ended: dict[Key, set[str]] = {}
        self._unmeasured: dict[Address, Key] = {}

    def show(self, address: Address, progress: protocol.Progress) -> None:
        """Show the progress of a step."""
        stage_name, item, text = map(one_line, (progress.stage, progress.item, progress.text))
        progress = replace(progress, stage=stage_name, item=item, text=text)
        stage = (address, progress.stage, "")
        if stage not in self._lines:
            for other in self._of(address):  # earlier stages are over
                ended = self._ended.get(other)
                self._progress.update(
                    self._lines[other], spins=False, text=f"{len(ended)} done" if ended else ""
                )
            self._add(stage, progress.stage)
        if not progress.item:
            self._update(stage, progress)
            return
        part = (address, progress.stage, progress.item)
        if self._unmeasured.get(address, part) != part:
            self._remove(self._unmeasured.pop(address))  # parts without a total send no end
        ended = self._ended.setdefault(stage, set())
        if progress.ended:
            ended.add(progress.item)
            self._remove(part)
            self._progress.update(self._lines[stage], text=f"{len(ended)} done")
        elif progress.done is None:
            self._progress.update(self._lines[stage], text=f"{progress.item} {progress.text}")
        else:
            ended.discard(progress.item)
            if part not in self._lines:
                self._add(part, f"  {progress.item}")
            if progress.total is None:
                self._unmeasured[address] = part
            self._update(part, progress)

    def end(self, address: Address) -> None:
        """Remove the bars of a step."""
        for key in self._of(address):
            self._remove(key)
            self._ended.pop(key, None)
        self._unmeasured.pop(address, None)

    def show_in(self, live: Live) -> None:
        """Start and stop this part of the terminal instead of their own; it renders these bars and more."""
        self._progress.live = live

    @property
    def is_empty(self) -> bool:
        """Whether there is no bar."""
        return not self._lines

    def stop(self) -> None:
        """Remove all bars. The next `show` adds them again."""
        self._progress.stop()
        for address in {key[0] for key in self._lines}:
            self.end(address)

    def __rich__(self) -> RenderableType:
        """The present bars."""
        return self._progress.get_renderable()

    def _of(self, address: Address) -> list[Key]:
        return [key for key in self._lines if key[0] == address]

    def _add(self, key: Key, label: str) -> None:
        self._progress.start()
        self._lines[key] = self._progress.add_task(label, total=None, text="", unit="bytes", spins=True)

    def _update(self, key: Key, progress: protocol.Progress) -> None:
        line = self._lines[key]
        if progress.done is None:  # a text without a count
            self._progress.update(line, text=progress.text)
            return
        self._progress.update(
            line, completed=progress.done, total=progress.total, unit=progress.unit, text=progress.text
        )

    def _remove(self, key: Key) -> None:
        if key in self._lines:
            self._progress.remove_task(self._lines.pop(key))


def _uncut_column() -> Column:
    """A column that is never truncated. Only the last one, with the text of a server, is."""
    return Column(no_wrap=True)


class _LimitedProgress(Progress):
    """At most `MOST` lines, so that they fit a small terminal."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks[:MOST])
        if more := self.tasks[MOST:]:
            yield Text(f"  and {len(more)} more", "dim")


class _Spinner(ProgressColumn):
    """Spins for active stages and parts."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self._column = SpinnerColumn()

    def render(self, task: Task) -> RenderableType:
        return self._column.render(task) if task.fields["spins"] else Text(" ")


class _Bar(ProgressColumn):
    """A bar if the total is known."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self._column = BarColumn(bar_width=20)

    def render(self, task: Task) -> RenderableType:
        return self._column.render(task) if task.total else Text()


class _Amount(ProgressColumn):
    """`3/7`, `12.5/40.0 MB`, or the amount so far."""

    def render(self, task: Task) -> Text:
        total = None if task.total is None else int(task.total)
        return Text(amount(int(task.completed), total, task.fields["unit"]), "progress.download")


class _Rate(ProgressColumn):
    """`4.0 MB/s, 0:07 left`; empty without a rate."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        if task.fields["unit"] != "bytes" or not task.speed:
            return Text()
        return Text(pace(task.speed, task.remaining), "progress.data.speed")
