"""An image whose push was cut short is finished by the same run: nothing is built or blamed twice."""

import pytest

import providers.retries
from providers.sandbox import Sandbox
from reconciler.engine import apply, plan
from tests.conftest import Cli, copy_example


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers.retries, "FIRST_DELAY", 0.01)


@pytest.mark.parametrize("bump", [False, True])
@pytest.mark.parametrize("action", [503, "drop-before", "drop-after"])
@pytest.mark.parametrize("tag", ["1.*", "latest"])
def test_a_tag_whose_answer_was_lost(
    tag: str, action: int | str, bump: bool, cli: Cli, sandbox: Sandbox
) -> None:
    pipeline = copy_example("single_training", cli.folder, sandbox.registry)
    if bump:
        assert cli("apply", "single_training").code == 0
        (pipeline / "pipeline.py").write_text("print('other')\n")
    sandbox.clear_requests()
    sandbox.fail("PUT", f"/v2/examples/single_training/manifests/{tag}$", action)  # type: ignore[arg-type]

    ended = cli("apply", "single_training", *(("--bump", "patch") if bump else ()))

    assert ended.code == 0, ended.err
    assert "again in" in ended.err
    puts = [w["path"].rpartition("/")[2] for w in sandbox.writes(service="registry") if w["method"] == "PUT"]
    assert puts.count("latest") == (2 if tag == "latest" else 1)
    assert sum(put.startswith("1.") for put in puts) == (
        2 if tag != "latest" and action != "drop-after" else 1
    )
    assert cli("plan", "single_training", "--exit-code").code == 0


def test_a_version_that_somebody_else_published_meanwhile_is_never_overwritten(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = copy_example("single_training", cli.folder, sandbox.registry)
    theirs = copy_example("single_training", cli.folder / "elsewhere", sandbox.registry)
    (theirs / "pipeline.py").write_text("print('theirs')\n")

    make = apply.plan_pipeline

    def meanwhile(*given: object) -> plan.PlanResult:
        planned = make(*given)  # type: ignore[arg-type]
        with monkeypatch.context() as other:
            other.setattr(apply, "plan_pipeline", make)
            other.setenv("RECONCILER_STATE", str(cli.folder / "other.db"))
            assert cli("apply", str(theirs)).code == 0
        return planned

    monkeypatch.setattr(apply, "plan_pipeline", meanwhile)
    ended = cli("apply", str(mine))

    assert ended.code == 1
    assert "published in the meantime, and is never overwritten" in ended.err
