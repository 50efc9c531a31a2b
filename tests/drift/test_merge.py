"""Merging the reports of parts: a part completes only the others of its environment and its run."""

import json
from datetime import UTC, datetime, timedelta
from itertools import combinations, product
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.core.plan import Plan, Stack
from reconciler.drift.findings import PartOf, Report, StackReport
from reconciler.drift.merge import merged
from reconciler.views.reports.drift_json import report_from_document, report_to_document
from reconciler.workspace.shards import Shard
from tests.conftest import Cli
from tests.schemas import valid

AT = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
ENVIRONMENTS = ("TEST", "LIVE")
OF = 3
RUN = PartOf("org@test.example", "TEST", "5e1ec7", "c0ffee", "41")
OTHERS = {
    "selection": replace(RUN, selection="a11"),
    "commit": replace(RUN, commit="decade"),
    "CI run": replace(RUN, ci="42"),
}


def part(index: int, run: PartOf | None = RUN, *, at: datetime = AT, of: int = OF) -> Report:
    """A part without findings. The first one has no pipeline, as one of few pipelines may have none."""
    environment = run.environment if run else "TEST"
    stack = Stack("org", environment, f"https://{environment.lower()}.example", f"p{index}")
    stacks = () if index == 1 else (StackReport(stack, (), Plan(stack, "", 0, ())),)
    return Report(at, stacks, shard=Shard(index, of), part_of=run)


PARTS = [
    (
        environment,
        at,
        index,
        part(index, replace(RUN, scope=f"org@{environment.lower()}.example", environment=environment), at=at),
    )
    for environment, at, index in product(ENVIRONMENTS, (AT, AT + timedelta(days=1)), range(1, OF + 1))
]


def test_exactly_the_parts_that_each_run_in_each_environment_lacks_are_missing() -> None:
    for count in range(1, len(PARTS) + 1):
        for chosen in combinations(PARTS, count):
            runs: dict[tuple[str, datetime], set[int]] = {}
            for environment, at, index, _ in chosen:
                runs.setdefault((environment, at), set()).add(index)
            lacking = {
                f"part {index}/{OF} of org@{environment}"
                for (environment, _), present in runs.items()
                for index in {*range(1, OF + 1)} - present
            }

            report = merged(one for *_, one in chosen)

            assert set(report.failed) == lacking
            assert report.exit_code == (13 if lacking else 0)


@pytest.mark.parametrize("what", OTHERS)
def test_parts_of_different_runs_do_not_complete_each_other(what: str) -> None:
    report = merged([part(1, OTHERS[what]), part(2), part(3)])

    assert (report.exit_code, set(report.failed)) == (13, {f"part {k}/3 of org@TEST" for k in (1, 2, 3)})
    assert f"of another {what}" in report.failed["part 1/3 of org@TEST"][0].detail


def test_parts_of_different_numbers_of_parts_do_not_complete_each_other() -> None:
    report = merged([part(1, of=2), part(2, of=3), part(3, of=3)])
    assert set(report.failed) == {"part 2/2 of org@TEST", "part 1/3 of org@TEST"}


def test_one_ci_run_may_check_several_selections() -> None:
    other = OTHERS["selection"]
    assert merged([*(part(k) for k in (1, 2, 3)), *(part(k, other) for k in (1, 2, 3))]).exit_code == 0


def test_reports_of_earlier_versions_belong_to_the_environment_of_their_stacks() -> None:
    assert merged(part(k, None) for k in (1, 2, 3)).exit_code == 0
    assert set(merged(part(k, None) for k in (1, 3)).failed) == {"part 2/3 of org@TEST"}
    assert merged([part(1, None), part(2, None), part(3)]).exit_code == 13
    assert set(merged([part(1, None)]).failed) == {"part 2/3", "part 3/3"}


def test_a_report_file_keeps_what_it_is_part_of() -> None:
    document: Any = json.loads(json.dumps(report_to_document(part(2))))
    valid(document, "drift")
    assert report_from_document(document) == part(2)
    del document["part_of"]  # as in earlier versions
    valid(document, "drift")
    assert report_from_document(document) == replace(part(2), part_of=None)


@pytest.mark.usefixtures("applied")
def test_drift_writes_the_run_that_a_part_belongs_to(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def drift(*arguments: str) -> Any:
        return json.loads(cli("drift", *arguments, "--json", "-").out)["part_of"]

    assert drift("--all") is None
    monkeypatch.setenv("GITHUB_RUN_ID", "41")
    first, second = drift("--all", "--shard", "1/2"), drift("--all", "--shard", "2/2")
    assert first == second
    assert (first["scope"].count("@"), first["ci"]) == (1, "41")
    assert drift("--all", "--shard", "1/2", "--type", "PRE_ANNOTATION", "--allow-empty") != first
