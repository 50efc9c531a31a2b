"""The interface in a program: errors, threads, executors, events and approvals. It never prints or exits."""

import asyncio
import os
import pickle
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import ContextVar
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from reconciler import api
from state.stores.opening import open_store
from tests.conftest import copy_example
from tests.fleet import made


@pytest.fixture
def silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing may be printed, and the handlers of signals stay."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert capfd.readouterr() == ("", "")
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.fixture
def folder(workplace: Path, sandbox: Sandbox, silent: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pipelines in a folder that is not the current one, and no variable with an environment."""
    for name in ("PICSELLIA_TOKEN", "PICSELLIA_ORGANIZATION", "PICSELLIA_ENV", "PICSELLIA_CUSTOM_ENV"):
        monkeypatch.delenv(name)
    for name in ("dataset_cleanup", "computed_inputs"):
        copy_example(name, workplace / "pipelines", sandbox.registry)
    return workplace / "pipelines"


@pytest.fixture
def workspace(folder: Path) -> api.Workspace:
    return api.Workspace.open(folder)


@pytest.fixture
def environment(sandbox: Sandbox, folder: Path) -> api.Environment:
    return api.Environment("sandbox", sandbox.organization, host=sandbox.url, token=sandbox.token)


def with_file(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(text)

    return write


def plan(folder: Path, environment: api.Environment, **settings: Any) -> api.Plans:
    return api.Workspace.open(folder).select("dataset_cleanup").plan(environment, **settings)


MISTAKES: dict[str, Callable[[Path, api.Environment], object]] = {
    "no such pipeline": lambda folder, _: api.Workspace.open(folder).select("datset_cleanup"),
    "no such group": lambda folder, _: api.Workspace.open(folder).select(groups=["sam"]),
    "no pipeline": lambda folder, _: api.Workspace.open(folder / "computed_inputs" / "utils").select(
        all=True
    ),
    "no environment": lambda folder, _: api.Workspace.open(folder).environment("STAGGING"),
    "no organization": lambda folder, _: api.Workspace.open(folder).environment().target(),
    "no token": lambda folder, _: plan(folder, api.Environment("STAGING", "my-org")),
    "a wrong token": lambda folder, here: plan(
        folder, api.Environment("TEST", here.organization, host=here.host, token="wrong")
    ),
    "a bad host": lambda _, here: api.Environment("TEST", "my-org", host="ftp://example.com"),
    "a platform that is down": lambda folder, _: plan(
        folder, api.Environment("TEST", "my-org", host="http://localhost:9", token="any")
    ),
    "errors in reconciler.toml": lambda folder, _: (
        with_file("reconciler.toml", "[workspce]\n")(folder),
        api.Workspace.open(folder),
    ),
    "a state that cannot be opened": lambda folder, here: (
        api.Workspace.open(folder, state=str(folder)).select(all=True).plan(here)
    ),
    "a plan that is none": lambda folder, _: api.Plans.load(folder / "computed_inputs" / "config.toml"),
    "a baseline that is none": lambda folder, here: (
        api.Workspace.open(folder).select(all=True).drift(here, baseline=folder / "missing.toml")
    ),
    "an unknown resource": lambda folder, here: plan(folder, here, targets=["input/no/thing"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_of_users_are_errors_of_one_family(
    mistake: str, folder: Path, environment: api.Environment
) -> None:
    with pytest.raises(api.ReconcilerError) as raised:
        found = MISTAKES[mistake](folder, environment)
        assert isinstance(found, api.Plans)  # one pipeline's error stops no other
        raise next(iter(found.problems.values()))
    diagnostics = api.diagnostics_of(raised.value)  # type: ignore[arg-type]
    assert diagnostics
    assert all(one.summary for one in diagnostics)
    assert pickle.loads(pickle.dumps(raised.value)).args == raised.value.args
    for one in diagnostics:  # also for a program that only prints the error, or lets it pass
        for text in (one.summary, one.place, one.address, *one.detail.splitlines()):
            assert text in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda pipelines, here: pipelines.plan(here, bumb="patch"), "no setting bumb. Did you mean 'bump'"),
        (lambda pipelines, here: pipelines.plan(here, bump="minro"), "Did you mean 'minor'"),
        (lambda pipelines, _: pipelines.bump("minro"), "use patch, minor, major, rc, final. Did you mean"),
        (lambda pipelines, here: pipelines.plan(here, force_bump=True), "needs bump"),
        (lambda pipelines, here: pipelines.plan(here, bump="huge"), "huge"),
        (
            lambda pipelines, here: pipelines.workspace.select(all=True).plan(
                here, bump="patch", force_bump=True
            ),
            "for one pipeline",
        ),
        (lambda pipelines, here: pipelines.plan(here, targets="input/a/b"), "list of addresses"),
        (lambda pipelines, here: pipelines.plan(here, ours=True, theirs=True), "contradict"),
        (lambda pipelines, here: pipelines.promote(here, here), "both SANDBOX"),
        (lambda pipelines, here: pipelines.workspace.select("a", all=True), "not both"),
        (lambda pipelines, here: pipelines.workspace.select(changed=""), "changed is empty"),
        (lambda pipelines, here: pipelines.workspace.select(all=True, changed=""), "changed is empty"),
        (lambda pipelines, here: pipelines.plan(here).apply(waves="0"), "no pipelines"),
        (lambda pipelines, here: api.Environment("PROD", "my-org", host="http://localhost:1"), "fixed"),
        (lambda pipelines, here: api.Environment(host="http://localhost:1"), "needs a name"),
    ],
)
def test_mistakes_of_programmers_are_not(
    call: Callable[[api.Pipelines, api.Environment], object],
    words: str,
    workspace: api.Workspace,
    environment: api.Environment,
) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        call(workspace.select("computed_inputs"), environment)


class Here(Executor):
    """Runs each call when it is submitted, in the thread that submits it."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as problem:  # noqa: BLE001 - as an executor does
            future.set_exception(problem)
        return future


EXECUTORS: dict[str, Callable[[], Executor | None]] = {
    "none": lambda: None,
    "threads": lambda: ThreadPoolExecutor(2),
    "processes": lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn")),
    "the caller's own": Here,
}


@pytest.mark.parametrize("kind", EXECUTORS)
def test_any_executor_does_the_work_and_stays_open(
    kind: str, workspace: api.Workspace, environment: api.Environment
) -> None:
    executor = EXECUTORS[kind]()
    events: list[api.RunEvent] = []
    pipelines = workspace.select(all=True)

    plans = pipelines.plan(environment, executor=executor)
    report = plans.apply(executor=executor, on_event=events.append)

    assert [run.result for run in report.runs] == [api.RunResult.APPLIED] * 2, report
    assert report.exit_code == 0
    assert pipelines.plan(environment, executor=executor).is_empty
    assert pipelines.drift(environment, executor=executor).exit_code == 0
    assert pipelines.status([environment], executor=executor).exit_code == 0
    assert isinstance(events[0], api.RunStarted)
    assert isinstance(events[-1], api.RunEnded)
    assert sum(isinstance(event, api.PipelineFinished) for event in events) == 2
    if executor is not None:
        assert executor.submit(len, [1]).result() == 1
        executor.shutdown()


@pytest.mark.parametrize("kind", EXECUTORS)
@pytest.mark.parametrize("names", [["dataset_cleanup"], ["dataset_cleanup", "computed_inputs"]])
def test_plans_that_are_applied_again_have_nothing_left_to_do(
    kind: str, names: list[str], workspace: api.Workspace, environment: api.Environment, sandbox: Sandbox
) -> None:
    executor = EXECUTORS[kind]()
    plans = workspace.select(*names).plan(environment, executor=executor)
    plans.apply(executor=executor)
    sandbox.clear_requests()

    report = plans.apply(executor=executor)

    assert [run.result for run in report.runs] == [api.RunResult.UNCHANGED] * len(names)
    assert (report.exit_code, sandbox.writes()) == (0, [])
    if executor is not None:
        executor.shutdown()


def test_a_worker_that_dies_is_an_error_of_its_pipeline(
    workspace: api.Workspace, environment: api.Environment
) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        with pytest.raises(Exception, match="terminated abruptly"):
            executor.submit(os._exit, 9).result()

        plans = workspace.select("computed_inputs").plan(environment, executor=executor)

    (problem,) = plans.problems.values()
    assert isinstance(problem, api.CannotCheckError)
    assert plans.exit_code == 13


def test_in_a_thread_and_beside_a_running_event_loop(
    workspace: api.Workspace, environment: api.Environment
) -> None:
    pipelines = workspace.select(all=True)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(lambda: pipelines.plan(environment).apply().exit_code).result() == 0

    async def main() -> list[int]:
        drift, status = await asyncio.gather(
            asyncio.to_thread(pipelines.drift, environment),
            asyncio.to_thread(pipelines.status, [environment]),
        )
        return [drift.exit_code, status.exit_code, pipelines.plan(environment).exit_code]

    assert asyncio.run(main()) == [0, 0, 0]


RUN: ContextVar[str] = ContextVar("RUN")


def test_events_arrive_one_at_a_time_in_the_context_of_the_caller(
    workspace: api.Workspace, environment: api.Environment
) -> None:
    busy = threading.Lock()

    def receive(event: api.RunEvent) -> None:
        assert busy.acquire(blocking=False)
        assert RUN.get() == "of the caller"
        busy.release()

    RUN.set("of the caller")
    plans = workspace.select(all=True).plan(environment, on_event=receive)
    assert plans.apply(on_event=receive).exit_code == 0


def test_an_error_of_the_receiver_is_raised_at_the_end_and_starts_nothing_new(
    workspace: api.Workspace, environment: api.Environment
) -> None:
    received = []

    def receive(event: api.RunEvent) -> None:
        received.append(event)
        raise LookupError("full")

    pipelines = workspace.select(all=True)
    with pytest.raises(LookupError, match="full"):
        pipelines.plan(environment, on_event=receive)
    with pytest.raises(LookupError, match="full"):
        pipelines.plan(environment).apply(on_event=receive)

    assert len(received) == 2
    assert all(plan.counts["create"] for plan in pipelines.plan(environment).values())


def test_a_set_stop_starts_nothing(workspace: api.Workspace, environment: api.Environment) -> None:
    stop = threading.Event()
    stop.set()
    report = workspace.select(all=True).plan(environment).apply(stop=stop)
    assert {run.result for run in report.runs} == {api.RunResult.NOT_STARTED}
    assert report.exit_code == 130


def test_an_interruption_lets_the_steps_that_run_finish(
    workspace: api.Workspace, environment: api.Environment, sandbox: Sandbox
) -> None:
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored where tests run in the background
    started = []

    def interrupt(event: api.RunEvent) -> None:
        if isinstance(event, api.PipelineEvent) and isinstance(event.event, api.StepStarted) and not started:
            started.append(event)
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGINT)

    pipelines = workspace.select("dataset_cleanup")
    try:
        with pytest.raises(KeyboardInterrupt):
            pipelines.plan(environment).apply(on_event=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)

    assert workspace.state is not None
    with open_store(workspace.state) as store:
        states = [store.load(stack) for stack in store.names()]
    assert not any(state.intents for state in states if state is not None)
    rest = pipelines.plan(environment)
    assert 0 < rest["dataset_cleanup"].counts["create"] < 7
    assert rest.apply().exit_code == 0


def test_what_deletes_needs_an_approval_of_exactly_that(
    workspace: api.Workspace, environment: api.Environment, sandbox: Sandbox
) -> None:
    pipelines = workspace.select(all=True)
    assert pipelines.plan(environment).apply().exit_code == 0
    plans = pipelines.destroy(environment)

    for approve in (False, "0" * 64):
        refused = plans.apply(approve=approve)
        assert refused.exit_code == 12
        assert refused.refusal is not None
        with pytest.raises(api.RunFailedError) as raised:
            refused.raise_for_problems()
        assert raised.value.report is refused
        assert refused.refusal in raised.value.diagnostics
    assert len(sandbox.platform.processings()) == 2
    assert 'approve="' in str(plans.apply())

    plans.apply(approve=plans.digest[:16]).raise_for_problems()
    assert sandbox.platform.processings() == []


def test_a_review_needs_the_digest(folder: Path, environment: api.Environment) -> None:
    (folder / "reconciler.toml").write_text(
        f'[environments.SANDBOX]\norganization = "{environment.organization}"\nhost = "{environment.host}"\n'
        'review = "always"\n'
    )
    workspace = api.Workspace.open(folder)
    plans = workspace.select("computed_inputs").plan(
        workspace.environment("sandbox", token=environment.token)
    )

    assert plans.apply(approve=True).exit_code == 12
    assert plans.apply(approve=plans.digest).exit_code == 0


def test_a_failure_ends_the_waves(
    workspace: api.Workspace, environment: api.Environment, sandbox: Sandbox
) -> None:
    plans = workspace.select(all=True).plan(environment)
    sandbox.fail("POST", "^/(api|sdk)/", 400, times=None)
    report = plans.apply(waves="1")
    assert [run.result for run in report.runs] == [api.RunResult.FAILED, api.RunResult.NOT_STARTED]
    assert report.stopped_by_failures
    with pytest.raises(api.RunFailedError, match="400"):
        report.raise_for_problems()


def test_a_plan_that_is_out_of_date_is_refused(
    workspace: api.Workspace, environment: api.Environment, folder: Path
) -> None:
    plans = workspace.select(all=True).plan(environment)
    config = folder / "computed_inputs" / "config.toml"
    config.write_text(config.read_text().replace("cpu = ", "cpu = 1"))

    report = plans.apply()

    assert report["computed_inputs"].result is api.RunResult.REFUSED
    assert report["dataset_cleanup"].result is api.RunResult.APPLIED


def test_results_are_found_by_stack_folder_and_name(workplace: Path, sandbox: Sandbox, silent: None) -> None:
    copy_example("single_training", workplace, sandbox.registry).rename(workplace / "trainer")
    plans = api.Workspace.open().select("trainer").plan(api.Workspace.open().environment())
    (stack,) = plans
    assert stack == f"{sandbox.registry}/examples/single_training"
    report = plans.apply()
    for name in (stack, "trainer", "single_training"):
        assert plans[name].stack.name == stack
        assert report[name].result is api.RunResult.APPLIED
    with pytest.raises(KeyError):
        plans["clip"]


def test_two_environments_with_tokens_of_their_own(
    environments: Sandbox, workplace: Path, silent: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images that TEST runs are promoted to LIVE; then LIVE goes back, and both are compared."""
    tokens = {name: environments.account(name).token for name in ("TEST", "LIVE")}
    for name in tokens:
        monkeypatch.delenv(f"{name}_TOKEN")
    folder = copy_example("dataset_cleanup", workplace, environments.registry)
    workspace = api.Workspace.open()
    test, live = (workspace.environment(name, token=token) for name, token in tokens.items())
    pipelines = workspace.select("dataset_cleanup")
    for version in ("1.0.0", "1.1.0"):
        config = folder / "config.toml"
        config.write_text(re.sub("^version = .*", f'version = "{version}"', config.read_text(), flags=re.M))
        (folder / "pipeline.py").write_text(f"print('{version}')\n")
        pipelines.plan(test).apply().raise_for_problems()
        pipelines.promote(test, live).apply().raise_for_problems()

    status = pipelines.status([test, live])
    assert {row.running_version for row in status.rows} == {"1.1.0"}
    back = pipelines.rollback(live)
    assert back.apply().exit_code == 12  # another environment may run the same channel
    back.apply(approve=back.digest).raise_for_problems()

    rows = {row.where: row for row in pipelines.status([test, live]).rows}
    assert {row.running_version for row in rows.values()} == {"1.0.0", "1.1.0"}


@pytest.mark.parametrize("offline", [False, True])
def test_status_has_rows_of_the_given_environments_only(
    environments: Sandbox, workplace: Path, silent: None, offline: bool
) -> None:
    """Both run the pipeline, and an orphan: a stack whose folder is gone."""
    (workplace / "reconciler.toml").write_text(
        f'[workspace]\nname = "team/pipelines"\n{(workplace / "reconciler.toml").read_text()}'
    )
    for name in ("dataset_cleanup", "single_training"):
        copy_example(name, workplace, environments.registry)
    workspace = api.Workspace.open()
    test, live = workspace.environment("TEST"), workspace.environment("LIVE")
    for environment in (test, live):
        workspace.select(all=True).plan(environment).apply().raise_for_problems()
    shutil.rmtree(workplace / "single_training")
    pipelines = api.Workspace.open().select(all=True)

    def places(given: list[api.Environment] | None) -> list[str]:
        return sorted(row.where for row in pipelines.status(given, offline=offline).rows)

    scopes = [environment.target().scope for environment in (test, live)]
    for given, expected in (([test], scopes[:1]), ([live], scopes[1:]), ([test, live], scopes)):
        assert places(given) == sorted(2 * expected), "the pipeline and the orphan"
    assert places(None) == sorted(2 * scopes)


def test_a_token_of_an_environment_comes_before_the_general_one(
    environments: Sandbox, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICSELLIA_TOKEN", "of another one")
    workspace = api.Workspace.open()
    for name in ("test", "LIVE"):
        found = workspace.environment(name)
        assert found.target().token == environments.account(name.upper()).token
        assert "token" not in repr(found)
    monkeypatch.delenv("TEST_TOKEN")
    assert workspace.environment("test").target().token == "of another one"


def test_a_token_that_was_not_given_is_not_sent_to_other_processes(
    environments: Sandbox, workplace: Path
) -> None:
    found = api.Workspace.open().environment("TEST")
    assert found.target().token.encode() not in pickle.dumps(found)
    assert pickle.loads(pickle.dumps(found)) == found


def test_many_pipelines_in_processes_of_the_caller(workplace: Path, sandbox: Sandbox, silent: None) -> None:
    made.pipelines(workplace, sandbox.registry, 40)
    workspace = api.Workspace.open()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        plans = workspace.select(all=True).plan(workspace.environment(), executor=executor)
    assert len(plans) == 40
    assert not plans.problems


def test_what_a_notebook_prints_is_short_and_names_things(
    workspace: api.Workspace, environment: api.Environment
) -> None:
    pipelines = workspace.select("computed_inputs")
    first, again = (pipelines.plan(environment).apply(approve=True) for _ in range(2))
    assert first["computed_inputs"].version == again["computed_inputs"].version == "1.0.0"
    with workspace.open_state() as state:
        version = state.version("computed_inputs")
    addresses = sorted(version.resources)
    assert f"{version.resources.keys()}" == f"dict_keys({addresses!r})"
    assert repr(version).endswith(", ".join(addresses) + ">")


def test_going_through_plans_looks_none_up_by_its_name(
    workspace: api.Workspace, environment: api.Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For ten thousand plans that would be a hundred million comparisons."""
    plans = workspace.select(all=True).plan(environment)
    by_name = {name: plans[name] for name in plans}

    def look_up(self: api.Plans, name: str) -> api.Plan:
        raise AssertionError(f"{name} is looked up")

    monkeypatch.setattr(api.Plans, "__getitem__", look_up)
    assert len(by_name) == 2
    assert dict(plans.items()) == by_name
    assert list(plans.values()) == list(by_name.values())
