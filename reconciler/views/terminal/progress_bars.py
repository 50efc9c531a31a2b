"""Bars in a terminal for what is moving: a line per stage, and one per part of it that is at work.

What has ended is only counted, so that an image of many layers takes no more room than a small one. Knows
nothing of logs: `watch` writes lines where nobody is watching.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from providers import protocol
from reconciler.core.values import Address
from reconciler.views.counting import amount, pace
from reconciler.views.safe import one_line

MOST = 8
"""Lines at once; how many more there are is said below them."""

Key = tuple[Address, str, str]  # step, stage, part


class ProgressBars:
    """What is moving, on a terminal. One thread at a time.

    Args:
        clock: seconds, for rates.
    """

    def __init__(self, err: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = _Few(
            _Spinner(_whole()),
            TextColumn("{task.description}", markup=False, table_column=_whole()),
            _Bar(_whole()),
            _Amount(_whole()),
            _Pace(_whole()),
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
        """Take the terminal, and show that this moved."""
        words = (progress.stage, progress.item, progress.text)
        named, item, text = map(one_line, words)
        progress = replace(progress, stage=named, item=item, text=text)
        stage = (address, progress.stage, "")
        if stage not in self._lines:
            for other in self._of(address):  # what was before stands still
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
            self._remove(self._unmeasured.pop(address))  # it never says that it ended: another one moves
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
        """Nothing of this step moves any more."""
        for key in self._of(address):
            self._remove(key)
            self._ended.pop(key, None)
        self._unmeasured.pop(address, None)

    def stop(self) -> None:
        """Leave the terminal alone; the next `show` takes it again."""
        self._progress.stop()
        for address in {key[0] for key in self._lines}:
            self.end(address)

    def __rich__(self) -> RenderableType:
        """As it looks now."""
        return self._progress.get_renderable()

    def _of(self, address: Address) -> list[Key]:
        return [key for key in self._lines if key[0] == address]

    def _add(self, key: Key, label: str) -> None:
        self._progress.start()
        self._lines[key] = self._progress.add_task(label, total=None, text="", unit="bytes", spins=True)

    def _update(self, key: Key, progress: protocol.Progress) -> None:
        line = self._lines[key]
        if progress.done is None:  # words between two counts
            self._progress.update(line, text=progress.text)
            return
        self._progress.update(
            line, completed=progress.done, total=progress.total, unit=progress.unit, text=progress.text
        )

    def _remove(self, key: Key) -> None:
        if key in self._lines:
            self._progress.remove_task(self._lines.pop(key))


def _whole() -> Column:
    """A column that is never cut; what a far end says is, as it is the last one."""
    return Column(no_wrap=True)


class _Few(Progress):
    """As many lines as a small terminal shows."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks[:MOST])
        if more := self.tasks[MOST:]:
            yield Text(f"  and {len(more)} more", "dim")


class _Spinner(ProgressColumn):
    """Turns where something moves."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self._column = SpinnerColumn()

    def render(self, task: Task) -> RenderableType:
        return self._column.render(task) if task.fields["spins"] else Text(" ")


class _Bar(ProgressColumn):
    """A bar where the whole is known."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        self._column = BarColumn(bar_width=20)

    def render(self, task: Task) -> RenderableType:
        return self._column.render(task) if task.total else Text()


class _Amount(ProgressColumn):
    """`3/7`, `12.5/40.0 MB`, or how much there was so far."""

    def render(self, task: Task) -> Text:
        total = None if task.total is None else int(task.total)
        return Text(amount(int(task.completed), total, task.fields["unit"]), "progress.download")


class _Pace(ProgressColumn):
    """`4.0 MB/s, 0:07 left`, as far as it can be told."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        if task.fields["unit"] != "bytes" or not task.speed:
            return Text()
        return Text(pace(task.speed, task.remaining), "progress.data.speed")
