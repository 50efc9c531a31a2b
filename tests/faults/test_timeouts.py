"""RECONCILER_TIMEOUT: how long far ends are waited for, said once and held everywhere."""

import pytest

from providers.docker.registry.client import RegistryClient
from providers.errors import PermanentError, TransientError
from providers.sandbox import Sandbox
from providers.timeouts import answer_timeout
from tests.conftest import Cli, copy_example


def test_without_it_each_far_end_has_its_own_patience(home: object) -> None:
    assert answer_timeout(60.0) == 60.0


def test_it_replaces_every_patience(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_TIMEOUT", "2.5")
    assert answer_timeout(60.0) == answer_timeout(300.0) == 2.5


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "1e7", "1e10", "1e300", "9" * 400])
def test_what_is_no_number_of_seconds_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_TIMEOUT", text)
    with pytest.raises(PermanentError, match="RECONCILER_TIMEOUT"):
        answer_timeout(60.0)


def test_a_user_is_told_of_one_that_is_wrong(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example("single_training", cli.folder, sandbox.registry)
    monkeypatch.setenv("RECONCILER_TIMEOUT", "soon")
    ended = cli("apply", "single_training")
    assert ended.code == 1
    assert "RECONCILER_TIMEOUT is 'soon'" in ended.err
    assert sandbox.requests() == []


def test_a_registry_that_hangs_is_given_up(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_TIMEOUT", "0.1")
    sandbox.fail("*", "/v2/", "hang", times=None)
    pauses: list[float] = []
    with RegistryClient(f"{sandbox.registry}/examples/app", pause=pauses.append) as registry:
        with pytest.raises(TransientError, match="stopped responding"):
            registry.digest("latest")
        assert pauses == [0.5, 1.0, 2.0]
        with pytest.raises(TransientError, match="stopped responding") as caught:
            registry.check()
        assert caught.value.outcome_unknown


def test_a_platform_that_hangs_is_given_up(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example("single_training", cli.folder, sandbox.registry)
    monkeypatch.setenv("RECONCILER_TIMEOUT", "0.1")
    sandbox.fail("*", "^/api/", "hang", times=None)
    ended = cli("plan", "single_training", "--exit-code")
    assert ended.code == 13
    assert "timed out" in ended.err or "in time" in ended.err
