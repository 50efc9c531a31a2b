"""`show` replays a run: the same recap as the run itself printed."""

import io
from pathlib import Path

import pytest
from hypothesis import given, settings

from reconciler.core.runs import RunReport, RunResult
from reconciler.views.reports.run_json import run_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.recap import print_recap
from tests.conftest import Cli
from tests.fleet import runs as fleet
from tests.reports.runs import every_result, pipeline, report, reports
from tests.reports.test_run_agreement import counts
from tests.reports.test_run_events import events_of, written


def recap(found: RunReport) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    print_recap(found, console(out), console(err))
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    "found", [every_result(), report(pipeline("app")), fleet.report()], ids=["every result", "applied", "300"]
)
def test_a_report_and_events_show_what_the_run_printed(found: RunReport, cli: Cli) -> None:
    (cli.folder / "run.json").write_text(run_text(found))
    (cli.folder / "events.ndjson").write_text(written(events_of(found)))
    for file in ("run.json", "events.ndjson"):
        ended = cli("show", file)
        assert ended.code == 0
        assert (ended.out, ended.err) == recap(found)


@settings(max_examples=30)
@given(reports())
def test_the_recap_agrees_on_every_total(found: RunReport) -> None:
    out, err = recap(found)
    if found.declined:
        assert err == "Nothing was applied.\n"
    else:
        expected = {result.value: count for result, count in found.counts.items() if count}
        assert counts((out + err).splitlines()[0]) == expected


def test_a_killed_run_is_shown_up_to_its_last_event(cli: Cli) -> None:
    found = report(pipeline("app"), pipeline("b", RunResult.FAILED))
    text = written(events_of(found))
    (cli.folder / "events.ndjson").write_text(text[: text.index('"pipeline-finished"') + 40])
    ended = cli("show", "events.ndjson")
    assert ended.code == 0
    assert "warning: the last line is incomplete" in ended.err
    assert "error: the run did not end" in ended.err
    assert "1 interrupted, 1 not started" in ended.err


def test_a_newer_version_and_another_file_are_errors_with_their_place(cli: Cli) -> None:
    newer = run_text(report()).replace('"version": 1', '"version": 2', 1)
    (cli.folder / "run.json").write_text(newer)
    ended = cli("show", "run.json")
    assert ended.code == 1
    assert "its version is 2; this reconciler reads version 1" in ended.err
    (cli.folder / "other").write_text("{}")
    for file in ("other", "missing", str(Path("/dev/null"))):
        ended = cli("show", file)
        assert ended.code == 1
        assert "Traceback" not in ended.err
