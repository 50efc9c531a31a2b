"""The engine's events while they happen: bars in a terminal, plain lines when nobody is watching."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from providers import protocol
from reconciler.events import (
    Event,
    Note,
    Notice,
    Outcome,
    Status,
    StepFinished,
    StepProgress,
    StepRetried,
    StepStarted,
)
from reconciler.plan import Action, Step
from reconciler.values import Address
from reconciler.views.lines import STYLES

LONGEST_REMARK = 60  # characters of a far end's own words beside a bar


class Watch:
    """Renders events on stderr. Safe for threads; a context manager, so that no bar outlives its command."""

    def __init__(self, err: Console) -> None:
        self._err = err
        self._live = err.is_terminal
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("{task.fields[text]}", style="dim", markup=False),
            console=err,
            transient=True,
        )
        self._notes = Progress(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), console=err, transient=True
        )
        self._tasks: dict[tuple[Address, str, str], TaskID] = {}
        self._said: set[tuple[Address, str]] = set()
        self._started: dict[Address, Step] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()

    def pause(self) -> None:
        """Leave the terminal alone, to print or to ask something; the next event takes it again."""
        if not self._live:
            return
        for progress in (self._notes, self._bars):
            progress.stop()
            for task in list(progress.task_ids):
                progress.remove_task(task)
        self._tasks.clear()

    def __call__(self, event: Event) -> None:
        match event:
            case Note(text):
                self._note(text)
            case Notice(text):
                self._err.print(Text(text, "yellow"))
            case StepStarted(step):
                self._started[step.address] = step
                if self._live:
                    self._notes.stop()
            case StepProgress(address, progress):
                if self._live:
                    self._bar(address, progress)
                else:
                    self._line(address, progress)
            case StepRetried(address, problem, delay):
                self._err.print(Text(f"{address}: {problem.message}; again in {delay:.1f} s", "yellow"))
            case StepFinished(outcome):
                self._outcome(outcome)

    def _note(self, text: str) -> None:
        """What is being done right now, gone as soon as something else is; nobody reads it in a log."""
        if not self._live:
            return
        for task in list(self._notes.task_ids):
            self._notes.remove_task(task)
        self._notes.add_task(text, total=None)
        self._notes.start()

    def _line(self, address: Address, progress: protocol.Progress) -> None:
        if progress.done is not None and progress.done != progress.total:
            return
        if step := self._started.pop(address, None):  # said before its first line; a quick step needs none
            self._err.print(Text(f"{step.action.doing} {address}"))
        words = " ".join(part for part in (progress.stage, progress.item, progress.text) if part)
        if (address, words) not in self._said:
            self._said.add((address, words))
            self._err.print(Text(f"  {words}", "dim"))

    def _bar(self, address: Address, progress: protocol.Progress) -> None:
        key = (address, progress.stage, progress.item)
        if key not in self._tasks:
            self._bars.start()
            label = f"{progress.stage} {progress.item}".strip()
            self._tasks[key] = self._bars.add_task(label, total=progress.total, text="")
        self._bars.update(
            self._tasks[key],
            completed=progress.done or 0,
            total=progress.total,
            text=progress.text[-LONGEST_REMARK:],
        )

    def _outcome(self, outcome: Outcome) -> None:
        step = outcome.step
        for key in [key for key in self._tasks if key[0] == step.address]:
            self._bars.remove_task(self._tasks.pop(key))
        if outcome.status is not Status.DONE or step.action is Action.NOOP:
            return
        self._err.print(
            Text.assemble(
                (f"{step.action.symbol} {step.action.done} ", STYLES[step.action]),
                str(step.address),
                (f"  {outcome.seconds:.1f} s", "dim"),
            )
        )
