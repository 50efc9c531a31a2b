"""Plans, progress and diagnostics for a person at a terminal, and as plain lines when nobody is watching.

Renders what it is given; decides nothing. What was asked for goes to one console (stdout), the rest to the
other (stderr).
"""

import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import IO, Self

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from providers import protocol
from providers.docker.source import SourceKey
from providers.sandbox import Settings
from reconciler.diagnostics import Diagnostic, Severity, in_order
from reconciler.diff import Change, ChangeClass
from reconciler.events import Event, Note, Outcome, Status, StepFinished, StepProgress, StepRetried, StepStarted
from reconciler.pipeline.load import Pipeline
from reconciler.plan import Action, Plan, Step
from reconciler.session import Applied
from reconciler.values import Address
from reconciler.views.values import old_and_new, shown

PLAIN_WIDTH = 180  # columns of a line when it is not a terminal that says how wide it is

STYLES = {
    Action.CREATE: "green",
    Action.UPDATE: "yellow",
    Action.REPLACE: "magenta",
    Action.DELETE: "red",
    Action.ADOPT: "cyan",
    Action.FORGET: "dim",
    Action.NOOP: "dim",
}
CLASS_STYLES = {ChangeClass.DRIFT: "red", ChangeClass.CONFLICT: "bold red", ChangeClass.UNVERIFIED: "dim"}
SEVERITY_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def console(stream: IO[str]) -> Console:
    """A console on this stream: colours where a terminal shows them and NO_COLOR is not set."""
    watched = stream.isatty()
    return Console(
        file=stream, highlight=False, emoji=False, markup=False, width=None if watched else PLAIN_WIDTH
    )


def print_plan(plan: Plan, out: Console) -> None:
    """The plan as a tree by resource, and its summary in one line."""
    out.print(Text.assemble((str(plan.stack), "bold"), ("  " + plan.stack.host, "dim")))
    shown_steps = [step for step in plan.steps if _is_worth_showing(step)]
    if shown_steps:
        out.print()
        for branch in _tree(plan, shown_steps).children:
            out.print(branch.label if not branch.children else branch)
        out.print()
    out.print(summary(plan))


def summary(plan: Plan) -> Text:
    counts = plan.counts
    parts = [
        (f"{counts[action.word]} to {action.word}", STYLES[action])
        for action in (Action.CREATE, Action.UPDATE, Action.REPLACE, Action.DELETE, Action.ADOPT, Action.FORGET)
        if counts[action.word]
    ]
    if not parts:
        text = Text("Nothing to do: ", "green")
        text.append(f"{_things(counts['noop'], 'resource')} as the files say.")
    else:
        text = Text("Plan: ", "bold")
        for index, (part, style) in enumerate(parts):
            text.append(", " if index else "").append(part, style)
        text.append(f", {counts['noop']} unchanged." if counts["noop"] else ".")
    if counts["drift"]:
        text.append(f" {_things(counts['drift'], 'field')} changed outside.", "red")
    if counts["conflict"]:
        text.append(f" {_things(counts['conflict'], 'conflict')}.", "bold red")
    unverified = sum(c.cls is ChangeClass.UNVERIFIED and not c.write for s in plan.steps for c in s.changes)
    if unverified:
        text.append(f" {_things(unverified, 'field')} not returned, so not verified.", "dim")
    return text


def print_diagnostics(diagnostics: Iterable[Diagnostic], err: Console) -> None:
    """Each with its place and its way out, errors first."""
    for diagnostic in in_order(diagnostics):
        head = Text(f"{diagnostic.severity.value}: ", SEVERITY_STYLES[diagnostic.severity])
        head.append(diagnostic.summary, "bold" if diagnostic.severity is Severity.ERROR else "")
        err.print(head)
        place = "  ".join(part for part in (diagnostic.place, diagnostic.address) if part)
        for line in (f"at {place}" if place else "", *diagnostic.detail.splitlines()):
            if line:
                err.print(Padding(Text(line, "dim" if line.startswith("at ") else ""), (0, 0, 0, 2)))


def print_refusals(plan: Plan, err: Console) -> None:
    """Why the plan may not be applied as it stands: each conflict and refusal with its ways out."""
    name = plan.stack.pipeline
    for step in plan.refused:
        assert step.refusal is not None
        err.print(Text.assemble(("refused: ", "bold red"), (str(step.address), "bold")))
        err.print(Padding(Text(step.refusal.summary), (0, 0, 0, 2)))
        for way in step.refusal.ways:
            err.print(Padding(Text(way, "cyan"), (0, 0, 0, 4)))
    for step in plan.conflicts:
        many = _things(len(step.conflicts), "field")
        err.print(
            Text.assemble(("conflict: ", "bold red"), (str(step.address), "bold"), f"  {many} changed in the files and outside")
        )
        for change in step.conflicts:
            err.print(Padding(Text(f".{change.path}"), (0, 0, 0, 2)))
            for label, value in (("files say", change.desired), ("it is now", change.live), ("it was", change.recorded)):
                err.print(Padding(Text.assemble((f"{label:<10}", "dim"), shown(value)), (0, 0, 0, 4)))
        err.print(Padding(Text("To go on, say who wins:"), (0, 0, 0, 2)))
        for label, way in (
            ("the files:", f"reconciler apply {name} --ours"),
            ("live, and record it:", f"reconciler apply {name} --theirs"),
        ):
            err.print(Padding(Text.assemble((f"{label:<22}", "dim"), (way, "cyan")), (0, 0, 0, 4)))
        err.print(Padding(Text("or write what it is now into the files, and plan again"), (0, 0, 0, 4)))


def print_result(outcomes: Iterable[Outcome], err: Console) -> None:
    """What failed and why, and what waited for it."""
    for outcome in outcomes:
        if outcome.status is Status.FAILED and outcome.error is not None:
            action = outcome.step.action.doing
            err.print(Text.assemble(("failed: ", "bold red"), f"{action} ", (str(outcome.step.address), "bold")))
            err.print(Padding(Text(f"{outcome.error.message}."), (0, 0, 0, 2)))
            if outcome.error.hint:
                err.print(Padding(Text(outcome.error.hint, "cyan"), (0, 0, 0, 2)))
        elif outcome.status is Status.BLOCKED:
            err.print(Text.assemble(("blocked: ", "yellow"), f"{outcome.step.address}, as {outcome.blocked_by} failed"))
        elif outcome.status is Status.SKIPPED:
            err.print(Text.assemble(("not started: ", "yellow"), str(outcome.step.address)))


def print_applied(applied: Applied, out: Console, err: Console) -> None:
    """What was done in one line, where to see it, and what is left to do."""
    assert applied.result is not None
    outcomes = applied.result.outcomes
    failed, done = applied.result.of(Status.FAILED), applied.result.of(Status.DONE)
    changed = [outcome for outcome in done if outcome.step.action is not Action.NOOP]
    if not applied.result.succeeded:
        left = len(outcomes) - len(done)
        err.print(
            Text.assemble(
                ("Not finished: ", "bold red"),
                f"{_things(len(changed), 'resource')} done, {len(failed)} failed, "
                f"{left - len(failed)} waited. Run the same command again to finish.",
            )
        )
        return
    if changed:
        out.print(Text.assemble(("Done: ", "bold green"), f"{_things(len(changed), 'resource')} changed."))
    for outcome in changed:
        page = outcome.live.outputs.get("page") if outcome.live else None
        if page:
            out.print(Text.assemble(f"  {outcome.step.address}  ", (str(page), "blue underline")))
    if applied.config_written:
        path = applied.planned.pipeline.loaded.path
        version = applied.planned.pipeline.config.metadata.version
        out.print(Text.assemble("  ", str(path), f" now says version {version}", ("  (commit it)", "dim")))


def print_pipeline(pipeline: Pipeline, key: SourceKey, out: Console) -> None:
    """What a pipeline's files say, in a few lines."""
    config = pipeline.config
    out.print(Text.assemble(("ok ", "green"), (pipeline.name, "bold"), f"  {config.metadata.type}"))
    pairs = {
        "version": str(config.metadata.version),
        "image": config.docker.image_name,
        "source": f"{key.key[:19]}  {_things(len(key.files), 'file')}, {key.bytes:,} bytes",
    }
    if pipeline.inputs is not None:
        pairs["inputs"] = ", ".join(f"{i.name} ({i.input_type})" for i in pipeline.inputs) or "none"
    if pipeline.parameters is not None:
        pairs["parameters"] = ", ".join(pipeline.parameters) or "none"
    if config.targets:
        pairs["targets"] = ", ".join(f"{target.origin_name}/{target.name}" for target in config.targets)
    print_pairs(pairs, out, indent=3)


def print_pairs(pairs: Mapping[str, str], out: Console, *, indent: int = 0) -> None:
    rows = Table.grid(padding=(0, 2))
    for name, value in pairs.items():
        rows.add_row(Text(name, "dim"), Text(value))
    out.print(Padding(rows, (0, 0, 0, indent)))


def print_sandbox(url: str, registry: str, settings: Settings, out: Console) -> None:
    """Where a sandbox that has just started is, and how to use it."""
    out.print(Text.assemble(("sandbox ", "bold"), f"at {url}, Ctrl-C ends it"))
    print_pairs(
        {
            "registry": registry,
            "token": next(iter(settings.tokens)),
            "organization": settings.organizations[0],
            "use it": f"PICSELLIA_TOKEN={next(iter(settings.tokens))} reconciler plan "
            f"--organization {settings.organizations[0]} --env "
            + ("LOCAL" if url.endswith(":8000") else f"CUSTOM  with PICSELLIA_CUSTOM_ENV={url}"),
        },
        out,
        indent=2,
    )


class Watch:
    """Renders the engine's events on stderr: bars in a terminal, plain lines elsewhere. Safe for threads."""

    def __init__(self, err: Console) -> None:
        self._err = err
        self._live = err.is_terminal
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TextColumn("{task.fields[text]}", style="dim", markup=False),
            console=err,
            transient=True,
        )
        self._tasks: dict[tuple[Address, str, str], TaskID] = {}
        self._note: TaskID | None = None
        self._said: set[tuple[Address, str]] = set()

    def __enter__(self) -> Self:
        if self._live:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()

    def pause(self) -> None:
        """Leave the terminal alone, to print or to ask something; the next event starts again."""
        if self._live:
            self._bars.stop()
            for task in list(self._bars.task_ids):
                self._bars.remove_task(task)
            self._tasks.clear()
            self._note = None

    def __call__(self, event: Event) -> None:
        match event:
            case Note(text):
                self._say_note(text)
            case StepStarted(step):
                self._drop_note()
                if not self._live:
                    self._err.print(Text(f"{step.action.doing} {step.address}"))
            case StepProgress(address, progress):
                self._show_progress(address, progress)
            case StepRetried(address, problem, delay):
                self._err.print(Text(f"{address}: {problem.message}; again in {delay:.1f} s", "yellow"))
            case StepFinished(outcome):
                self._show_outcome(outcome)

    def _say_note(self, text: str) -> None:
        if not self._live:
            return
        self._bars.start()
        self._drop_note()
        self._note = self._bars.add_task(text, total=None, text="")

    def _drop_note(self) -> None:
        if self._note is not None:
            self._bars.remove_task(self._note)
            self._note = None

    def _show_progress(self, address: Address, progress: protocol.Progress) -> None:
        if not self._live:
            if progress.done is None or progress.done == progress.total:
                words = " ".join(part for part in (progress.stage, progress.item, progress.text) if part)
                if (address, words) not in self._said:
                    self._said.add((address, words))
                    self._err.print(Text(f"  {words}", "dim"))
            return
        key = (address, progress.stage, progress.item)
        if key not in self._tasks:
            label = f"{progress.stage} {progress.item}".strip()
            self._tasks[key] = self._bars.add_task(label, total=progress.total, text="")
        self._bars.update(
            self._tasks[key], completed=progress.done or 0, total=progress.total, text=progress.text[-60:]
        )

    def _show_outcome(self, outcome: Outcome) -> None:
        step = outcome.step
        if outcome.status is not Status.DONE or step.action is Action.NOOP:
            return
        for key in [key for key in self._tasks if key[0] == step.address]:
            self._bars.remove_task(self._tasks.pop(key))
        self._err.print(
            Text.assemble(
                (f"{step.action.symbol} {step.action.done} ", STYLES[step.action]),
                str(step.address),
                (f"  {outcome.seconds:.1f} s", "dim"),
            )
        )


def _is_worth_showing(step: Step) -> bool:
    return step.action is not Action.NOOP or any(_is_worth_a_row(change) for change in step.changes)


def _is_worth_a_row(change: Change) -> bool:
    return change.write or change.cls not in (ChangeClass.IN_SYNC, ChangeClass.UNVERIFIED)


def _tree(plan: Plan, steps: Iterable[Step]) -> Tree:
    """Resources below what they live in; those without changes only where something below them has some."""
    root = Tree("")
    nodes: dict[tuple[str, ...], Tree] = {}
    for step in steps:
        above = nodes.get(step.address.name[:-1], root) if step.address.kind in ("input", "model-version") else root
        nodes[step.address.name if step.address.kind in ("processing", "model") else ()] = above.add(_node(step))
    return root


def _node(step: Step) -> RenderableType:
    style = STYLES[step.action]
    head = Text.assemble(
        (f"{step.action.symbol} {step.address}", f"bold {style}" if style != "dim" else style),
        ("  " + (step.action.word if step.action is not Action.NOOP else "unchanged"), style),
        ("  " + step.reason, "dim"),
    )
    if step.refusal:
        head.append("  refused", "bold red")
    rows = Table.grid(padding=(0, 2))
    for change in step.changes:
        if not _is_worth_a_row(change):
            continue
        for path, old, new in old_and_new(change):
            if step.action is Action.CREATE and change.cls is ChangeClass.PENDING:
                values = Text(new, "green")
            else:
                values = Text.assemble((old, "red"), " -> ", (new, "green"))
            remark = "" if change.cls is ChangeClass.PENDING and change.reason == "new" else f"{change.cls.value}: {change.reason}"
            rows.add_row(
                Text(path or "(object)"), values, Text(remark, CLASS_STYLES.get(change.cls, "dim"))
            )
    return Group(head, Padding(rows, (0, 0, 0, 4))) if rows.row_count else head


def _things(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def watched() -> bool:
    """Whether a person can be asked: both ends are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()
