"""The state of a run over many pipelines, and its table: totals, and a row for each pipeline in hand."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from providers import protocol
from providers.text import shown_names
from providers.waits import Backoff, Hashing, Repeat, Silence, SilenceEnd
from reconciler.core.events import Event, Note, PipelineEvent, StepFinished, StepProgress, StepStarted
from reconciler.core.plan import Action, Plan
from reconciler.core.runs import (
    PipelineFinished,
    PipelineStarted,
    RunEnded,
    RunEvent,
    RunResult,
    RunStarted,
    WaveStarted,
)
from reconciler.views.counting import amount, timer
from reconciler.views.phrases import pipeline_name
from reconciler.views.safe import one_line
from reconciler.views.terminal.delays import Delay
from reconciler.views.terminal.text import Text, cell_len

_WIDE, _MEDIUM = 110, 72  # columns of a terminal
_BAR, _AMOUNT, _TIME = 20, len("123.4/123.4 MB"), len("1:00:00")
_BAR_OF_RUN = 80  # at most
INTERRUPTED = "interrupted: running steps finish; interrupt again to stop now"
_BAD = (RunResult.FAILED, RunResult.REFUSED, RunResult.INTERRUPTED)


@dataclass(eq=False)
class InHand:
    """A pipeline that is being applied.

    Attributes:
        name: how it is shown.
        since: when it started, on the clock of the run.
        steps: the number of its steps that write, and `done` of them are finished.
        doing: what it does at present: a step, or a stage of it.
        text: one line about that; may be empty.
    """

    name: str
    since: float
    steps: int = 0
    done: int = 0
    doing: str = "starting"
    text: str = ""
    stage: str = ""
    parts: dict[str, protocol.Progress] = field(default_factory=dict)

    def follow(self, event: Event) -> None:
        match event:
            case StepStarted(step):
                self._begin(f"{step.action.doing} {step.address.kind}")
            case StepProgress(_, progress):
                if progress.stage != self.stage:
                    self._begin(progress.stage, progress.stage)
                self.text = " ".join(filter(None, (progress.item, progress.text)))
                if progress.done is not None:
                    self.parts[progress.item] = progress
            case StepFinished(outcome):
                self.done += outcome.step.action is not Action.NOOP
            case Note(text):
                self._begin(text)
            case Hashing():
                self._begin("hashing")
            case _:
                pass

    def _begin(self, doing: str, stage: str = "") -> None:
        self.doing, self.stage, self.text = doing, stage, ""
        self.parts = {}

    @property
    def counted(self) -> tuple[int, int | None]:
        """What is done of all known parts of the stage, and their total; None if it is unknown."""
        totals = [part.total for part in self.parts.values()]
        known = None if not totals or None in totals else sum(total or 0 for total in totals)
        return sum(part.done or 0 for part in self.parts.values()), known

    @property
    def amount(self) -> str:
        """`3/7`, `12.5/40.0 MB`, or ""."""
        if not self.parts:
            return ""
        return amount(*self.counted, next(iter(self.parts.values())).unit)


@dataclass
class FleetRun:
    """The present state of a run. Not thread-safe.

    Attributes:
        clock: returns seconds.
        interrupted: whether the user interrupted the run.
        total: the number of pipelines that are to be applied, and `done` of them are finished.
        rows: the pipelines in hand with their folders. A new one gets the row of a finished one, so that rows
            stay in place.
    """

    clock: Callable[[], float]
    interrupted: Callable[[], bool] = lambda: False
    total: int = 0
    wave: int = 0
    waves: int = 0
    started: float = 0.0
    results: Counter[RunResult] = field(default_factory=Counter)
    plans: Mapping[str, Plan] = field(default_factory=dict)
    rows: list[tuple[str, InHand] | None] = field(default_factory=list)
    delays: dict[str, tuple[Delay, float]] = field(default_factory=dict)
    _expected: frozenset[str] = frozenset()

    def follow(self, event: RunEvent) -> None:
        match event:
            case RunStarted(waves=waves, plans=plans):
                self._expected = frozenset(folder for wave in waves for folder in wave)
                self.total, self.waves, self.plans = len(self._expected), len(waves), plans
                self.started = self.clock()
            case WaveStarted(number):
                self.wave = number
            case PipelineStarted(folder):
                self._start(folder)
            case PipelineEvent(folder, inner):
                self._follow(str(folder), inner)
            case PipelineFinished(run):
                self.rows = [None if row and row[0] == run.folder else row for row in self.rows]
                if run.folder in self._expected:
                    self.results[run.result] += 1
            case RunEnded():
                pass
            case _:
                self._follow("", event)

    def name(self, folder: str) -> str:
        plan = self.plans.get(folder)
        return one_line(pipeline_name(plan.stack) if plan else folder)

    @property
    def in_hand(self) -> list[InHand]:
        return [row[1] for row in self.rows if row]

    @property
    def done(self) -> int:
        return self.results.total() - self.results[RunResult.NOT_STARTED]

    def _start(self, folder: str) -> None:
        plan = self.plans.get(folder)
        steps = sum(step.action is not Action.NOOP for step in plan.steps) if plan else 0
        row = (folder, InHand(self.name(folder), self.clock(), steps))
        if None in self.rows:
            self.rows[self.rows.index(None)] = row
        else:
            self.rows.append(row)

    def _follow(self, folder: str, event: Event) -> None:
        match event:
            case Backoff() | Silence() | Repeat():
                self.delays[event.server] = (Delay.of(event), self.clock())
            case SilenceEnd(server):
                self.delays.pop(server, None)
            case _:
                for row in self.rows:
                    if row and row[0] == folder:
                        row[1].follow(event)

    def current_delays(self) -> list[tuple[Delay, float]]:
        """The delays that are not over, each with the seconds since its announcement."""
        now = self.clock()
        ages = [(delay, now - since) for delay, since in self.delays.values()]
        return [(delay, age) for delay, age in ages if not delay.is_over(age)]


def totals(run: FleetRun) -> list[tuple[str, str]]:
    """The parts of the top line with their styles, the most important ones first."""
    failed = sum(run.results[result] for result in _BAD)
    running = len(run.in_hand)
    not_started = run.results[RunResult.NOT_STARTED]
    waiting = max(run.total - run.done - running - not_started, 0)
    parts = [(f"{run.done:,} of {run.total:,} done", "bold")]
    parts += [(f"{failed:,} failed", "bold red")] if failed else []
    parts += [(f"{running:,} running", "cyan")]
    parts += [(f"{waiting:,} waiting", "dim")] if waiting else []
    parts += [(f"wave {run.wave} of {run.waves}", "")] if run.waves > 1 else []
    return [*parts, (timer(run.clock() - run.started), "dim")]


def heart_beat(run: FleetRun) -> str:
    """What runs, in one line of a log."""
    in_hand = [
        f"{one.name} ({' '.join(filter(None, (one_line(one.doing), one.amount)))})" for one in run.in_hand
    ]
    words = ", ".join(word for word, _ in totals(run))
    return f"{words}: {shown_names(in_hand, 4)}" if in_hand else words


def table(run: FleetRun, width: int, height: int) -> list[Text]:
    """The table, in at most two thirds of the screen: above it are the pipelines that are finished.

    Args:
        width: of the screen, in columns.
        height: in lines.
    """
    room = max(height * 2 // 3, 1)
    lines = [_top(run, width)]
    if room > 3:
        lines.append(_bar(run.done, max(run.total, 1), min(width, _BAR_OF_RUN)))
    if run.interrupted():
        lines.append(_cut(Text(INTERRUPTED, "yellow"), width))
    for delay, age in run.current_delays()[: max(room - len(lines) - 2, 0)]:
        text = Text(one_line(f"{delay.server}: {delay.reason}, {delay.outlook_after(age)}"), "yellow")
        lines.append(_cut(text, width))
    rows = run.in_hand
    room -= len(lines)
    if len(rows) > room:
        oldest = sorted(rows, key=lambda row: row.since)[: max(room - 1, 0)]
        shown = [row for row in rows if row in oldest]
    else:
        shown = rows
    names = max((cell_len(run.name(folder)) for folder in run.plans), default=0)
    lines += (_row(row, run.clock(), width, names) for row in shown)
    if room > 0 and len(shown) < len(rows):
        lines.append(Text(f"and {len(rows) - len(shown):,} more", "dim"))
    return lines


def _top(run: FleetRun, width: int) -> Text:
    line = Text()
    for word, style in totals(run):
        part = Text.assemble("  " if line else "", (word, style))
        if line.cell_len + part.cell_len <= width:
            line.append_text(part)
    return _cut(line, width)


def _row(row: InHand, now: float, width: int, names: int) -> Text:
    """The line of a pipeline. Narrow terminals have fewer columns.

    Args:
        names: the width of the longest name.
    """
    done, total = row.counted
    left = _column(row.name, max(min(names, width * 2 // 5), 8), "bold")
    right = Text()
    if width >= _MEDIUM:
        left.append_text(_column(f"{row.done}/{row.steps}" if row.steps else "", len("10/10"), "dim"))
        if width >= _WIDE:
            right.append_text(_bar(done, total, _BAR)).append("  ")
        right.append(f"{row.amount:>{_AMOUNT}}  ", "progress.download")
    right.append(f"{timer(now - row.since):>{_TIME}}", "dim")
    doing = Text(one_line(row.doing))
    if width >= _MEDIUM and row.text:
        doing.append(f"  {one_line(row.text)}", "dim")
    doing.truncate(width - left.cell_len - right.cell_len - 2, pad=True)
    return Text.assemble(left, doing, "  ", right)


def _column(text: str, width: int, style: str) -> Text:
    column = Text(text, style)
    column.truncate(width, pad=True)
    return column.append("  ")


def _bar(done: int, total: int | None, width: int) -> Text:
    """A bar of this width; blank without a total."""
    filled = width * min(done, total) // total if total else 0
    rest = width - filled if total else 0
    return Text.assemble(
        ("━" * filled, "bar.complete"), ("━" * rest, "bar.back"), " " * (width - filled - rest)
    )


def _cut(text: Text, width: int) -> Text:
    text.truncate(width)
    return text
