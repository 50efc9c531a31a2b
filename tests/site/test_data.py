"""What a dashboard shows: drift over time from any set of reports, pipelines from state and history."""

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.core.diagnostics import error
from reconciler.core.diff import ChangeClass
from reconciler.core.events import Event
from reconciler.core.values import Address
from reconciler.drift.dashboard import DriftHistory, PipelineRecord, drift_history, pipeline_records
from reconciler.drift.findings import DriftState, Report, UnmanagedObject
from reconciler.drift.matrix import Column
from reconciler.views.site.documents import Summary, counted, placed_runs, runs_document
from reconciler.views.site_links import key_of, link_to, page_of
from state.snapshot import APPLIED, FAILED, Snapshot
from state.stores.base import Store
from state.stores.sqlite import SqliteStore
from tests.reports.conftest import AT, KNOWN, STACK, finding, report, stack_report
from tests.state.conftest import resource, run

SCOPE = STACK.scope
COLUMNS = (Column("STAGING", SCOPE), Column("PROD", "my-org@PROD", "STAGING"))
DAY = timedelta(days=1)
NO_REPORTS = DriftHistory()


def at(days: int, *stacks: object, **more: object) -> Report:
    return replace(report(*stacks, **more), at=AT + days * DAY)  # type: ignore[arg-type]


def quiet(_: Event) -> None:
    """Shows no progress."""


def saved(
    store: Store, stack: str, version: str, *, command: str, outcome: str = APPLIED, restores: int = 0
) -> None:
    """One run of this command, which leaves this version of the image."""
    before = store.load(stack)
    image = resource("image/reg.io/app", version=version, channel="latest")
    state = replace(
        before or Snapshot.new(stack, "lineage"),
        resources={image.address: image},
        written_by="0.1.0",
        written_at=(AT + timedelta(minutes=before.serial if before else 0)).isoformat(),
        outcome=outcome,
        restores=restores,
    )
    info = replace(run(f"{command} {before.serial if before else 0}"), command=f"reconciler {command} app")
    with store.lock(stack, info, timeout=0) as lock:
        store.save(state, expected_serial=before.serial if before else 0, lock=lock)


def records(store: Store, drift: DriftHistory = NO_REPORTS, most: int = 100) -> dict[str, PipelineRecord]:
    found = pipeline_records(store, {*store.stacks(), *drift.checks}, drift, [], most_runs=most, emit=quiet)
    return {record.name: record for record in found}


class TestDriftOverTime:
    def test_each_point_has_the_last_report_of_each_stack(self) -> None:
        known = finding(acknowledged=KNOWN)
        reports = [
            at(0, stack_report(finding(), finding(cls=ChangeClass.PENDING))),
            at(1, stack_report(finding(pipeline="other"), pipeline="other")),
            at(2, stack_report()),
            at(3, stack_report(known), stack_report(pipeline="other")),
        ]

        points = drift_history(reports).points

        counts = [{cls: count for cls, count in point.counts.items() if count} for point in points]
        assert counts == [
            {"drift": 1, "pending": 1},
            {"drift": 2, "pending": 1},
            {"drift": 1},
            {"acknowledged": 1},
        ]
        assert [point.stacks for point in points] == [1, 2, 2, 2]

    @given(st.permutations(range(6)))
    def test_the_order_of_the_files_makes_no_difference(self, order: list[int]) -> None:
        reports = [
            at(0, stack_report(finding())),
            at(0, stack_report(finding(pipeline="b"), pipeline="b"), failed={"c": (error("no"),)}),
            at(1, stack_report()),
            at(1, stack_report(pipeline="b"), unmanaged=()),
            at(2, stack_report(finding()), failed={"d": (error("no"),)}),
            at(2, stack_report(pipeline="b"), failed={"e": (error("no"),)}),
        ]

        history = drift_history(reports[index] for index in order)

        assert history == drift_history(reports)
        assert [sum(point.counts.values()) for point in history.points] == [2, 0, 1]
        assert {*history.failed} == {"d", "e"}

    def test_unmanaged_objects_are_those_of_the_newest_report_that_lists_them(self) -> None:
        old, new = (UnmanagedObject(Address.of("model", name), name) for name in ("old", "new"))
        reports = [
            at(1, stack_report(), unmanaged=(new,)),
            at(0, stack_report(), unmanaged=(old,)),
            at(2, stack_report()),
        ]

        assert drift_history(reports).unmanaged == {SCOPE: (new,)}


class TestPipelines:
    def test_the_runs_of_each_environment_have_their_command_version_and_outcome(
        self, tmp_path: Path
    ) -> None:
        staging, prod = f"{SCOPE}/app", "my-org@PROD/app"
        with SqliteStore(tmp_path / "state.db") as store:
            saved(store, staging, "1.0.0", command="apply")
            saved(store, prod, "1.0.0", command="promote")
            saved(store, staging, "1.0.1", command="deploy")
            saved(store, staging, "1.0.2", command="deploy", outcome=FAILED)
            saved(store, staging, "1.0.0", command="rollback", restores=1)

            (record,) = records(store).values()

        runs = [
            (one.environment, one.run.verb, one.run.version, one.run.outcome.value, one.run.restored)
            for one in placed_runs(record, COLUMNS)
        ]
        assert sorted(runs) == [
            ("PROD", "promote", "1.0.0", "applied", 0),
            ("STAGING", "apply", "1.0.0", "applied", 0),
            ("STAGING", "deploy", "1.0.1", "rolled back", 0),
            ("STAGING", "deploy", "1.0.2", "failed", 0),
            ("STAGING", "rollback", "1.0.0", "applied", 1),
        ]
        document = runs_document(placed_runs(record, COLUMNS))
        assert isinstance(document, dict)
        assert document["pipelines"] == [["app", "app"]]
        assert {"rolled back", "back to serial 1", "promote"} <= set(document["words"])  # type: ignore[arg-type]

    def test_an_environment_is_behind_by_the_versions_that_were_applied_since(self, tmp_path: Path) -> None:
        with SqliteStore(tmp_path / "state.db") as store:
            for version in ("1.0.0", "1.0.1", "1.0.2"):
                saved(store, f"{SCOPE}/app", version, command="deploy")
            saved(store, "my-org@PROD/app", "1.0.0", command="promote")

            (record,) = records(store).values()

        assert {where: one.cell.behind for where, one in record.deployments.items()} == {
            SCOPE: 0,
            "my-org@PROD": 2,
        }

    def test_only_the_latest_runs_are_read(self, tmp_path: Path) -> None:
        with SqliteStore(tmp_path / "state.db") as store:
            for number in range(5):
                saved(store, f"{SCOPE}/app", f"1.0.{number}", command="deploy")

            (record,) = records(store, most=2).values()

        assert [one.version for one in record.deployments[SCOPE].runs] == ["1.0.4", "1.0.3"]

    def test_a_report_counts_until_the_next_apply(self, tmp_path: Path) -> None:
        drift = drift_history([at(0, stack_report(finding()))])
        with SqliteStore(tmp_path / "state.db") as store:
            saved(store, f"{SCOPE}/app", "1.0.0", command="apply")  # at the time of the report
            before = records(store, drift)["app"].deployments[SCOPE]
            saved(store, f"{SCOPE}/app", "1.0.1", command="apply")
            after = records(store, drift)["app"].deployments[SCOPE]

        assert (counted(before).states, counted(before).words) == (("drift",), "1 drift")
        assert (counted(after).states, counted(after).words) == (
            ("not checked",),
            "applied since the last check",
        )

    def test_a_pipeline_that_was_never_applied_is_one_of_its_report(self, tmp_path: Path) -> None:
        pending = finding(cls=ChangeClass.PENDING, pipeline="new")
        drift = drift_history([at(0, stack_report(pending, pipeline="new"))])
        with SqliteStore(tmp_path / "state.db") as store:
            found = records(store, drift)["new"].deployments[SCOPE]

        assert (found.state, found.runs) == (None, ())
        assert counted(found).states == ("pending",)

    def test_damaged_state_is_a_row_that_says_so_and_hides_no_other(self, tmp_path: Path) -> None:
        file = tmp_path / "state.db"
        with SqliteStore(file) as store:
            for name in ("broken", "whole"):
                saved(store, f"{SCOPE}/{name}", "1.0.0", command="apply")
        import sqlite3

        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE contents SET body = x'00' WHERE stack LIKE '%broken'")
        connection.close()
        with SqliteStore(file) as store:
            found = records(store)

        broken = found["broken"].deployments[SCOPE]
        assert broken.cell.row.drift.code is DriftState.DAMAGED_STATE
        assert counted(broken).states == ("not checked",)
        assert found["whole"].deployments[SCOPE].cell.version == "1.0.0"

    def test_what_several_pipelines_have_is_shared(self, tmp_path: Path) -> None:
        with SqliteStore(tmp_path / "state.db") as store:
            for name in ("one", "two"):
                for scope in (SCOPE, "my-org@PROD"):
                    saved(store, f"{scope}/{name}", "1.0.0", command="apply")
            summary = Summary(COLUMNS, DriftHistory(), AT)
            for record in records(store).values():
                summary.add(record)

        (shared,) = summary.shared
        assert (shared.address, shared.pipelines) == ("image/reg.io/app", ("one", "two"))
        assert summary.channels == {("STAGING", "PROD"): 2}


class TestPages:
    @given(st.lists(st.text() | st.sampled_from(["con", "CON", "a/b", "a-b", "A", "a", ".", "..", "é"])))
    def test_each_name_has_a_file_of_its_own_on_every_system(self, names: Iterable[str]) -> None:
        different = {*names}
        keys = {key_of(name) for name in different}
        assert len(keys) == len(different)
        assert all(re.fullmatch(r"[a-z0-9_-][a-z0-9._-]{0,99}", key) for key in keys)
        assert not keys & {"con", "prn", "aux", "nul", "com1", "lpt1"}

    def test_plain_names_are_kept(self) -> None:
        assert page_of("my_pipeline") == "pipelines/my_pipeline.html"
        assert re.fullmatch(r"pipelines/localhost-8000-a-b-[0-9a-f]{8}\.html", page_of("localhost:8000/a/b"))

    def test_links_lead_into_the_dashboard(self) -> None:
        for address in (
            "https://team.example.com/d",
            "https://team.example.com/d/",
            "https://team.example.com/d/index.html",
        ):
            assert link_to(address, "app") == "https://team.example.com/d/pipelines/app.html"
        assert link_to("", "app") == ""
