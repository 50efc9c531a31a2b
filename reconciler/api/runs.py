"""The report of a run as the interface returns it."""

from pathlib import Path
from typing import Self

from msgspec.structs import asdict

from reconciler.api.displays import Displayed
from reconciler.api.errors import RunFailedError
from reconciler.core.runs import PipelineRun, RunResult
from reconciler.core.runs import RunReport as CoreReport
from reconciler.views.terminal.console import Console

__all__ = ["PipelineRun", "RunReport", "RunResult"]


class RunReport(Displayed, CoreReport, frozen=True):
    """The report of a run: the result of each pipeline.

    `report["trainer"]` is that of the stack with this name. A folder, and the name of a pipeline that only
    one has, work as well.
    """

    @classmethod
    def of(cls, report: CoreReport) -> Self:
        """The same report, which notebooks and terminals can show."""
        return cls(**asdict(report))

    def __getitem__(self, name: str) -> PipelineRun:
        found = [run for run in self.runs if run.stack is not None and run.stack.name == name]
        found = found or [run for run in self.runs if run.folder == name]
        found = found or [run for run in self.runs if run.stack is not None and run.stack.pipeline == name]
        if len(found) != 1:
            raise KeyError(name)
        return found[0]

    def raise_for_problems(self) -> None:
        """Raise RunFailedError, with the problems of all pipelines, unless the exit code is 0."""
        from reconciler.views import run_problems

        if self.exit_code:
            found = [*run_problems.run_reasons(self)]
            found += [line for run in self.runs for line in run_problems.problems(self, run)]
            raise RunFailedError(self, *dict.fromkeys(found))

    def to_json(self) -> str:
        """The document of `reconciler apply --json`."""
        from reconciler.views.reports.run_json import run_text

        return run_text(self._relative())

    def to_junit(self) -> str:
        """The text of `reconciler apply --junit`."""
        from reconciler.views.reports.run_junit import run_junit

        return run_junit(self._relative())

    def to_markdown(self) -> str:
        """The text of `reconciler apply --markdown`."""
        from reconciler.views.reports.run_markdown import run_markdown

        return run_markdown(self._relative())

    def _relative(self) -> Self:
        return self.with_relative_paths(Path.cwd())

    def _print(self, out: Console) -> None:
        from reconciler.views.terminal.recap import print_recap

        print_recap(self, out, out)

    def _html(self, fragment: bool) -> str:
        from reconciler.views.reports.html import run_html

        return run_html(self._relative(), fragment=fragment)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {result.value}" for result, count in self.counts.items() if count)
        return f"<RunReport {self.command}: {counts or 'nothing'}, exit code {self.exit_code}>"

    __str__ = Displayed.__str__
