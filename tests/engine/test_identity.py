"""Each object on the platform stands for one resource, whatever is renamed there and in the files.

Checked against the data of the platform: generated renames, creations and deletions outside, edits of files
and applies, with and without `prune`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.picsellia.kinds import kinds
from providers.picsellia.platform import Platform
from providers.sandbox import Sandbox, SandboxError
from reconciler.core.graph import Resource
from reconciler.core.plan import Action
from reconciler.core.reasons import ReasonCode
from reconciler.core.values import Address
from state.stores.sqlite import SqliteStore
from tests.engine.conftest import Bench, PlanResult, model, version_of

Row = tuple[str, str]
Event = tuple[str, int, str]
MODELS, VERSIONS = "AB", ("v1", "v2")
ROWS = st.sets(st.tuples(st.sampled_from(MODELS), st.sampled_from(VERSIONS)), max_size=3).map(sorted)
OUTSIDE = st.tuples(
    st.sampled_from(("rename", "rename", "create", "delete")),
    st.integers(0, 3),  # which of the objects there are
    st.sampled_from((*MODELS, *VERSIONS, "other")),
)
ROUNDS = st.lists(st.tuples(st.lists(OUTSIDE, min_size=1, max_size=3), ROWS, st.booleans()), max_size=3)


class Pipeline:
    """A training on the sandbox, and the other users of its platform."""

    def __init__(self, sandbox: Sandbox, platform: Platform, store: SqliteStore) -> None:
        self.outside = sandbox.platform
        self.bench = Bench(store)
        self.bench.kinds |= kinds(platform)

    def change(self, verb: str, number: int, new_name: str) -> None:
        """What another user does with one of the objects; nothing if the platform refuses it."""
        objects = sorted(self.objects()) or [()]
        name = objects[number % len(objects)]
        if verb == "create":
            name = (new_name,) if new_name in MODELS else (*name[:1], new_name)
        kind = "model" if len(name) == 1 else "model-version"
        with suppress(SandboxError):
            match verb if name else "":
                case "rename":
                    self.outside.edit(kind, *name, name=new_name)
                case "create":
                    self.outside.create(kind, *name)
                case "delete":
                    self.outside.delete(kind, *name)

    def resources(self, rows: Sequence[Row]) -> list[Resource]:
        return [
            *map(model, sorted({name for name, _ in rows})),
            *(version_of(*row, docker_image="app") for row in rows),
        ]

    def plan(self, rows: Sequence[Row], **options: Any) -> PlanResult:
        return self.bench.plan(*self.resources(rows), ours=None, **options)

    def objects(self) -> dict[tuple[str, ...], str]:
        """The names of all objects, with their ids."""
        found: dict[tuple[str, ...], str] = {}
        for one in self.outside.models():
            found[one["name"],] = one["id"]
            found |= {(one["name"], v["name"]): v["id"] for v in self.outside.versions(one["name"])}
        return found


@contextmanager
def a_pipeline(sandbox: Sandbox) -> Iterator[Pipeline]:
    sandbox.reset()
    with (
        TemporaryDirectory() as folder,
        SqliteStore(Path(folder) / "state.db") as store,
        Platform(sandbox.url, sandbox.token, sandbox.organization) as platform,
    ):
        yield Pipeline(sandbox, platform, store)


def check_apply(pipeline: Pipeline, rows: Sequence[Row], prune: bool) -> None:
    declared = {*rows, *((name,) for name, _ in rows)}
    before = pipeline.objects()
    planned = pipeline.plan(rows, prune=prune)
    if all(step.action is Action.NOOP for step in planned.plan.steps):
        assert declared <= before.keys(), "what is in sync exists"
    ids = [live.id for live in planned.world.found.values()]
    assert len(ids) == len({*ids}), "an object stands for one address"

    outcome = pipeline.bench.walk(planned)

    after = pipeline.objects()
    for name in declared & before.keys():
        assert after.get(name) == before[name], f"{name} is declared and stays"
    recorded = [one.id for one in pipeline.bench.record.resources.values()]
    assert len(recorded) == len({*recorded})
    if not prune:
        assert {*before.values()} <= {*after.values()}, "nothing is deleted"
    if not outcome.succeeded:  # a model with versions of other users is not deleted
        assert prune
        return
    assert declared <= after.keys()
    again = pipeline.plan(rows, prune=prune)
    assert [step for step in again.plan.steps if step.action is not Action.NOOP] == []


@given(ROWS, ROUNDS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_renamed_nothing_declared_is_lost_and_every_apply_converges(
    one_sandbox: Sandbox, first: Sequence[Row], rounds: Sequence[tuple[Sequence[Event], Sequence[Row], bool]]
) -> None:
    with a_pipeline(one_sandbox) as pipeline:
        check_apply(pipeline, first, prune=False)
        for changes, rows, prune in rounds:
            for event in changes:
                pipeline.change(*event)
            check_apply(pipeline, rows, prune)


def test_a_rename_outside_and_in_the_files_deletes_nothing(one_sandbox: Sandbox) -> None:
    with a_pipeline(one_sandbox) as pipeline:
        check_apply(pipeline, [("A", "v1"), ("A", "v2")], prune=True)
        made = pipeline.objects()
        pipeline.outside.edit_model("A", name="B")
        pipeline.outside.edit_version("B", "v1", name="v3")

        check_apply(pipeline, [("B", "v2"), ("B", "v3")], prune=True)

        assert pipeline.objects() == {
            ("B",): made["A",],
            ("B", "v3"): made["A", "v1"],
            ("B", "v2"): made["A", "v2"],
        }


def test_a_version_of_a_renamed_model_is_not_that_of_the_new_model(one_sandbox: Sandbox) -> None:
    with a_pipeline(one_sandbox) as pipeline:
        check_apply(pipeline, [("A", "v1")], prune=False)
        pipeline.outside.edit_model("A", name="C")
        pipeline.outside.create_model("A")

        planned = pipeline.plan([("A", "v1")])

        assert planned.step(Address.of("model-version", "A", "v1")).reason.code is ReasonCode.DELETED_OUTSIDE
        archived = pipeline.objects()["C", "v1"]
        check_apply(pipeline, [("A", "v1")], prune=False)
        check_apply(pipeline, [], prune=True)
        assert pipeline.objects() == {("C",): pipeline.objects()["C",], ("C", "v1"): archived}


def test_two_rows_are_two_versions_although_one_was_renamed_to_the_other(one_sandbox: Sandbox) -> None:
    with a_pipeline(one_sandbox) as pipeline:
        check_apply(pipeline, [("A", "v1")], prune=False)
        pipeline.outside.edit_version("A", "v1", name="v2")

        planned = pipeline.plan([("A", "v1"), ("A", "v2")])

        reason = planned.step(Address.of("model-version", "A", "v1")).reason
        assert (reason.code, reason.details) == (ReasonCode.RENAMED_OUTSIDE, {"to": "model-version/A/v2"})
        check_apply(pipeline, [("A", "v1"), ("A", "v2")], prune=False)
