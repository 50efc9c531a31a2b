"""`promote` gives an environment the very image of another one, and the gate lets nothing else in."""

import html
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.conftest import Cli, Ended, copy_example, training
from tests.schemas import valid
from tests.stories.test_stories import git

NAME = "dataset_cleanup"
REPOSITORY = "examples/dataset_cleanup"


@pytest.fixture
def pipeline(cli: Cli, environments: Sandbox) -> Path:
    """A pipeline whose candidate TEST runs."""
    folder = copy_example(NAME, cli.folder, environments.registry)
    succeed(cli("apply", NAME, "--env", "TEST", "--bump", "rc", "--force-bump", "--yes"))
    environments.clear_requests()
    return folder


def succeed(ended: Ended) -> Ended:
    assert ended.code == 0, ended.out + ended.err
    return ended


def promote(cli: Cli, *more: str) -> Ended:
    return cli("promote", NAME, "--from", "TEST", "--to", "LIVE", *more)


def digests(sandbox: Sandbox, repository: str = REPOSITORY) -> Mapping[str, str | None]:
    with RegistryClient(f"{sandbox.registry}/{repository}") as client:
        return {tag: client.digest(tag) for tag in ("1.0.0", "1.0.1-rc", "1.0.1", "1.0.2", "test", "live")}


def protect(cli: Cli, *lines: str) -> None:
    """Add lines to the table of LIVE, which stands last."""
    file = cli.folder / "reconciler.toml"
    file.write_text(file.read_text() + "".join(f"{line}\n" for line in lines))


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def stack_in_live(sandbox: Sandbox) -> str:
    return f"my-org@{urlsplit(sandbox.account('LIVE').url).netloc}/{NAME}"


def blobs_sent(sandbox: Sandbox) -> list[str]:
    return [one["path"] for one in sandbox.writes(service="registry") if one["method"] == "PATCH"]


def test_a_dry_run_shows_the_promotion_and_writes_nothing(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    before = digests(environments)
    ended = succeed(promote(cli, "--final", "--dry-run", "-o", "json"))
    plan = json.loads(ended.out)
    valid(plan, "plan")
    assert plan["promotion"]["version"] == "1.0.1"
    assert digests(environments) == before
    assert environments.writes() == []


def test_a_candidate_becomes_a_version_of_the_same_digest_without_a_build(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    ended = succeed(promote(cli, "--final", "--yes"))

    tags = digests(environments)
    assert tags["1.0.1-rc"] == tags["1.0.1"] == tags["live"] == tags["test"] is not None
    assert blobs_sent(environments) == []
    assert 'version = "1.0.1"' in (pipeline / "config.toml").read_text()
    assert re.search(r"from +TEST +1\.0\.1-rc +sha256:", ended.out)
    assert re.search(r"to +LIVE +not applied\n", ended.out) and re.search(r"becomes +1\.0\.1\n", ended.out)
    assert cli("plan", NAME, "--env", "LIVE", "--exit-code").code == 0
    assert cli("drift", NAME, "--env", "TEST").code == 0
    rows = [row for row in cli("status", NAME, "--env", "LIVE").out.splitlines() if "my-" in row]
    assert [row.split("sha256")[0].split()[-3:] for row in rows] == [
        ["1.0.1", "1.0.1", "1.0.1"],
        ["1.0.1-rc", "1.0.1-rc", "1.0.1"],
    ]


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_every_plan_that_moves_the_tag_shows_the_version_that_runs_and_the_new_one(
    cli: Cli, environments: Sandbox, pipeline: Path, form: str
) -> None:
    """A release goes to LIVE, then the next one, and LIVE goes back."""
    succeed(promote(cli, "--final", "--yes"))
    edit(pipeline / "pipeline.py", "import", "# changed\nimport")
    succeed(cli("apply", NAME, "--env", "TEST", "--bump", "patch", "--yes"))
    output = () if form == "terminal" else ("-o", form)

    def versions(*command: str) -> list[str]:
        ended = cli(*command, "--env" if command[0] != "promote" else "--to", "LIVE", *output)
        without_tags = html.unescape(re.sub("<[^<>]+>", " ", ended.out))
        return re.findall(r"\bversion\W+(\d\.\d\.\d)\W+(\d\.\d\.\d)\W", without_tags)

    assert versions("promote", NAME, "--from", "TEST", "--dry-run") == [("1.0.1", "1.0.2")]
    assert versions("plan", NAME) == [("1.0.1", "1.0.2")]
    succeed(promote(cli, "--yes"))
    assert versions("rollback", NAME, "--dry-run") == [("1.0.2", "1.0.1")]
    assert versions("plan", NAME) == []


@pytest.mark.parametrize(
    "command",
    [
        ("apply", NAME, "--env", "TEST", "--bump", "minor"),
        ("deploy", NAME, "--env", "TEST", "--bump", "rc"),
        ("deploy", NAME, "--env", "LIVE"),
        ("rollback", NAME, "--env", "TEST", "--to", "1.0.0", "--write"),
        ("promote", NAME, "--from", "TEST", "--to", "LIVE", "--final"),
    ],
    ids=" ".join,
)
def test_an_environment_with_a_channel_leaves_the_image_tag_in_the_files_alone(
    cli: Cli, environments: Sandbox, command: tuple[str, ...]
) -> None:
    """`image_tag` is the tag of environments without a channel, as for the official deploy."""
    folder = copy_example(NAME, cli.folder, environments.registry)
    succeed(cli("apply", NAME, "--env", "TEST", "--yes"))
    if command[0] != "deploy":
        edit(folder / "pipeline.py", "import", "# changed\nimport")
    if command[0] in ("promote", "rollback"):
        succeed(cli("apply", NAME, "--env", "TEST", "--bump", "rc", "--yes"))

    ended = succeed(cli(*command, *(() if command[0] == "deploy" else ("--yes",))))

    assert 'image_tag = ""' in (folder / "config.toml").read_text()
    assert "image_tag" not in ended.out


def test_every_command_agrees_on_the_source_of_a_final_version(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    """TEST runs the image as a candidate until its next apply, which the promotion names."""
    promoted = succeed(promote(cli, "--final", "--yes"))
    [line] = re.findall(
        "TEST has this image as 1.0.1-rc  to record 1.0.1 there:  (reconciler .*)", promoted.out
    )

    assert "No drift. 1 pipeline in sync." in cli("drift", NAME, "--env", "TEST").out
    assert "in sync; the next apply records 1.0.1" in cli("status", NAME, "--env", "TEST").out
    planned = cli("plan", NAME, "--env", "TEST", "--exit-code")
    assert (planned.code, "adopt  published: it is the image of 1.0.1-rc" in planned.out) == (0, True)

    environments.clear_requests()
    succeed(cli(*shlex.split(line)[1:]))
    assert environments.writes() == []
    assert "next apply" not in cli("status", NAME, "--env", "TEST").out
    assert "TEST has" not in succeed(promote(cli, "--final", "--yes")).out


def test_a_second_promotion_does_nothing(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    succeed(promote(cli, "--final", "--yes"))
    environments.clear_requests()
    before = (pipeline / "config.toml").read_bytes()

    ended = succeed(promote(cli, "--final", "--yes"))

    assert "Nothing to do" in ended.out
    assert environments.writes() == [] and (pipeline / "config.toml").read_bytes() == before


def test_the_source_stays_as_it_is_and_its_next_apply_records_the_final_version(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    before = environments.account("TEST").platform.processing(NAME)
    succeed(promote(cli, "--final", "--yes"))
    assert environments.account("TEST").platform.processing(NAME) == before
    environments.clear_requests()

    succeed(cli("apply", NAME, "--env", "TEST", "--yes"))

    assert blobs_sent(environments) == []
    assert digests(environments)["test"] == digests(environments)["1.0.1"]
    assert cli("plan", NAME, "--env", "TEST", "--exit-code").code == 0
    environments.clear_requests()
    succeed(promote(cli, "--final", "--yes"))
    assert environments.writes() == []


def test_without_final_the_version_stays(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    before = (pipeline / "config.toml").read_bytes()

    succeed(promote(cli, "--yes"))

    tags = digests(environments)
    assert tags["live"] == tags["1.0.1-rc"] and tags["1.0.1"] is None
    assert (pipeline / "config.toml").read_bytes() == before


def test_a_release_is_promoted_with_final_as_it_is(cli: Cli, environments: Sandbox) -> None:
    copy_example(NAME, cli.folder, environments.registry)
    succeed(cli("apply", NAME, "--env", "TEST", "--yes"))

    succeed(promote(cli, "--final", "--yes"))

    assert digests(environments)["live"] == digests(environments)["1.0.0"]


def test_another_repository_of_the_registry_gets_the_image_mounted(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    config = pipeline / "config.toml"
    name = f'"{environments.registry}/live/cleanup"'
    config.write_text(f"{config.read_text()}\n[reconciler.env.LIVE.docker]\nimage_name = {name}\n")

    ended = succeed(promote(cli, "--final", "--yes"))

    there = digests(environments, "live/cleanup")
    assert there["1.0.1"] == there["live"] == digests(environments)["1.0.1-rc"] is not None
    assert blobs_sent(environments) == []
    assert "copied without a build" in ended.out
    assert digests(environments)["1.0.1"] is None, "the repository of TEST does not change"
    environments.clear_requests()
    succeed(promote(cli, "--final", "--yes"))
    assert environments.writes() == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("value", "processing/dataset_cleanup#default_cpu 4 -> 9"),
        ("object", "processing/dataset_cleanup"),
        ("tag", f"image/{{registry}}/{REPOSITORY}"),
        ("input", "input/dataset_cleanup/archive"),
    ],
)
def test_drift_of_the_source_is_refused_and_named(
    change: str, named: str, cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    platform = environments.account("TEST").platform
    if change == "value":
        platform.edit_processing(NAME, default_cpu=9)
    elif change == "object":
        platform.delete_processing(NAME)
    elif change == "input":
        platform.delete_input(NAME, "archive")
    else:
        edit(pipeline / "pipeline.py", "import argparse", "import argparse  # better")
        succeed(cli("apply", NAME, "--env", "LIVE", "--bump", "patch", "--yes"))
        edit(pipeline / "pipeline.py", "  # better", "")
        with RegistryClient(f"{environments.registry}/{REPOSITORY}") as client:
            client.tag("live", "test")
    environments.clear_requests()

    ended = promote(cli, "--final", "--yes")

    assert ended.code == 12
    assert "TEST is not as its last apply left it" in ended.err
    assert named.format(registry=environments.registry) in ended.err
    assert f"reconciler apply {NAME} --organization my-test-org --env TEST" in ended.err
    assert environments.writes() == []


def test_pending_changes_of_the_source_are_no_drift(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    edit(pipeline / "config.toml", 'cpu = "4"', 'cpu = "8"')

    succeed(promote(cli, "--final", "--yes"))

    assert environments.account("LIVE").platform.processing(NAME)["default_cpu"] == 8
    assert environments.account("TEST").platform.processing(NAME)["default_cpu"] == 4


@pytest.mark.parametrize("more", [["--yes"], ["--out", "plan.json"]])
def test_a_refused_promotion_is_no_success(cli: Cli, environments: Sandbox, more: list[str]) -> None:
    """A saved one could never be applied."""
    copy_example(NAME, cli.folder, environments.registry)
    assert promote(cli, *more).code == 12


def test_a_source_that_was_never_applied_is_refused(cli: Cli, environments: Sandbox) -> None:
    copy_example(NAME, cli.folder, environments.registry)

    ended = promote(cli, "--yes")

    assert ended.code == 12
    assert "TEST was never applied, or not from this state" in ended.err
    assert environments.writes() == []


def test_other_files_are_refused_with_what_differs_and_the_commit(cli: Cli, environments: Sandbox) -> None:
    pipeline = copy_example(NAME, cli.folder, environments.registry)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "Start")
    succeed(cli("apply", NAME, "--env", "TEST", "--yes"))
    (pipeline / "pipeline.py").write_text("print('later')\n")

    ended = promote(cli, "--yes")

    assert ended.code == 12
    assert "not the source of 1.0.0, which TEST runs: pipeline.py changed" in ended.err
    stash = f"git stash push --include-untracked -- {NAME}"
    assert f"go back to the files that it was made from:  {stash}\n" in ended.err
    git("commit", "--quiet", "--all", "--message", "Edit")
    checkout = r"go back to the files that it was made from:  git checkout [0-9a-f]{40}\n"
    assert re.search(checkout, promote(cli, "--yes").err)


TRAINING, FORGOTTEN = "multi_training", "model-version/SiteDetector/lyon"
SINCE_THE_BUILD = {
    "nothing": [],
    "a state forget": [("state", "forget", TRAINING, FORGOTTEN, "--env", "TEST", "--yes")],
    "an apply of a part": [
        ("apply", NAME, "--env", "TEST", "--target", f"input/{NAME}/report_title", "--yes")
    ],
    "an apply that is refused": [("apply", NAME, "--env", "TEST", "--yes")],
    "a rollback": [
        ("apply", NAME, "--env", "TEST", "--bump", "patch", "--yes"),
        ("rollback", NAME, "--env", "TEST", "--yes"),
    ],
}
"""What ran in TEST at a later commit, with other source, while or before it ran the image of the first."""


@pytest.mark.parametrize("since", SINCE_THE_BUILD)
def test_the_commit_that_a_refusal_names_has_the_files_of_the_image(
    cli: Cli, environments: Sandbox, since: str
) -> None:
    name = TRAINING if since == "a state forget" else NAME
    pipeline = copy_example(name, cli.folder, environments.registry)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "Built")
    succeed(cli("apply", name, "--env", "TEST", "--yes"))
    edit(pipeline / "pipeline.py", "import argparse", "import argparse  # later")
    if name == NAME:
        edit(pipeline / "utils" / "inputs.py", "TEXT, required=False", "TEXT")
    git("commit", "--quiet", "--all", "--message", "Later")
    for command in SINCE_THE_BUILD[since]:
        cli(*command)
    (cli.folder / "notes").write_text("no source\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "Last")

    refused = cli("promote", name, "--from", "TEST", "--to", "LIVE", "--yes").err

    (commit,) = re.findall(
        "go back to the files that it was made from:  git checkout ([0-9a-f]{40})\n", refused
    )
    git("checkout", "--quiet", "--force", commit)
    again = cli("promote", name, "--from", "TEST", "--to", "LIVE", "--yes")
    assert "these files are not the source" not in again.err
    if since != "an apply of a part":  # then TEST has inputs of the later commit
        succeed(again)


def test_other_versions_in_the_files_are_refused(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    edit(pipeline / "config.toml", 'version = "1.0.1-rc"', 'version = "1.0.1"')
    ended = promote(cli, "--yes")
    assert ended.code == 12
    assert "config.toml has version 1.0.1, and TEST runs 1.0.1-rc" in ended.err
    assert f"reconciler promote {NAME} --organization my-org --to LIVE --from TEST --final" in ended.err

    edit(pipeline / "config.toml", 'version = "1.0.1"', 'version = "1.0.9"')
    assert promote(cli, "--final", "--yes").code == 12
    assert environments.writes() == []


def test_a_version_that_is_another_image_is_never_overwritten(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    with RegistryClient(f"{environments.registry}/{REPOSITORY}") as client:
        edit(pipeline / "pipeline.py", "import argparse", "import argparse  # other")
        edit(pipeline / "config.toml", 'version = "1.0.1-rc"', 'version = "1.0.1"')
        succeed(cli("apply", NAME, "--env", "LIVE", "--yes"))
        before = client.digest("1.0.1")
        edit(pipeline / "pipeline.py", "import argparse  # other", "import argparse")

        ended = promote(cli, "--final", "--yes")

        assert ended.code == 12
        assert "1.0.1 is published as another image" in ended.err
        assert client.digest("1.0.1") == before


def test_rollback_goes_back_to_what_the_environment_ran_before_the_promotion(
    cli: Cli, environments: Sandbox
) -> None:
    pipeline = copy_example(NAME, cli.folder, environments.registry)
    succeed(cli("apply", NAME, "--env", "LIVE", "--yes"))
    first = digests(environments)["live"]
    edit(pipeline / "pipeline.py", "import argparse", "import argparse  # better")
    succeed(cli("apply", NAME, "--env", "TEST", "--bump", "rc", "--yes"))
    succeed(promote(cli, "--final", "--yes"))
    assert digests(environments)["live"] != first
    test = environments.account("TEST").platform.processing(NAME)

    succeed(cli("rollback", NAME, "--env", "LIVE", "--yes"))

    tags = digests(environments)
    assert tags["live"] == first == tags["1.0.0"]
    assert tags["test"] == tags["1.0.1-rc"]
    assert environments.account("TEST").platform.processing(NAME) == test
    succeed(promote(cli, "--final", "--yes"))
    assert digests(environments)["live"] == tags["1.0.1-rc"]


def test_rollback_in_another_repository_leaves_that_of_the_source_alone(
    cli: Cli, environments: Sandbox
) -> None:
    pipeline = copy_example(NAME, cli.folder, environments.registry)
    config = pipeline / "config.toml"
    name = f'"{environments.registry}/live/cleanup"'
    config.write_text(f"{config.read_text()}\n[reconciler.env.LIVE.docker]\nimage_name = {name}\n")
    succeed(cli("apply", NAME, "--env", "TEST", "--yes"))
    succeed(promote(cli, "--yes"))
    first = digests(environments, "live/cleanup")["live"]
    edit(pipeline / "pipeline.py", "import argparse", "import argparse  # better")
    succeed(cli("apply", NAME, "--env", "TEST", "--bump", "rc", "--yes"))
    succeed(promote(cli, "--final", "--yes"))
    there = digests(environments)
    assert digests(environments, "live/cleanup")["live"] == there["test"] != first

    succeed(cli("rollback", NAME, "--env", "LIVE", "--yes"))

    assert digests(environments, "live/cleanup")["live"] == first
    assert digests(environments) == there


def test_the_history_says_that_a_run_was_a_promotion(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    succeed(promote(cli, "--final", "--yes"))

    assert "promoted from TEST" in cli("state", "history", stack_in_live(environments)).out
    saves = json.loads(cli("state", "history", stack_in_live(environments), "--json").out)["saves"]
    assert {save["promoted_from"] for save in saves} == {"TEST"}


def test_a_saved_promotion_is_applied_as_it_was_shown(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    succeed(promote(cli, "--final", "--out", "plan.json"))
    assert environments.writes() == []
    assert re.search(r"from +TEST +1\.0\.1-rc", cli("show", "plan.json").out)
    assert json.loads((cli.folder / "plan.json").read_text())["promotion"]["version"] == "1.0.1"

    succeed(cli("apply", "--plan", "plan.json"))

    assert digests(environments)["live"] == digests(environments)["1.0.1-rc"]
    assert "promoted from TEST" in cli("state", "history", stack_in_live(environments)).out


@pytest.mark.parametrize("is_back", [False, True])
def test_a_saved_promotion_of_an_image_that_the_source_left_is_refused(
    cli: Cli, environments: Sandbox, pipeline: Path, is_back: bool
) -> None:
    """With the image as the reason: after a rollback of the source, no file is another one."""
    later = ("apply", NAME, "--env", "TEST", "--bump", "rc", "--yes")
    if is_back:
        edit(pipeline / "pipeline.py", "import argparse", "import argparse  # later")
        succeed(cli(*later))
    succeed(promote(cli, "--out", "plan.json"))
    if is_back:
        succeed(cli("rollback", NAME, "--env", "TEST", "--yes"))
    else:
        edit(pipeline / "pipeline.py", "import argparse", "import argparse  # later")
        succeed(cli(*later))
    environments.clear_requests()

    ended = cli("apply", "--plan", "plan.json")

    assert ended.code == 12 and environments.writes() == []
    assert "TEST ran 1.0." in " ".join(ended.err.split()), ended
    assert "config.toml" not in ended.err


def test_several_pipelines_are_promoted_in_one_run(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    training(cli.folder / "clip" / "training", "clip", environments.registry)
    succeed(cli("apply", "clip/training", "--env", "TEST", "--yes"))

    ended = succeed(
        cli("promote", "--all", "--from", "TEST", "--to", "LIVE", "--final", "--yes", "--json", "run.json")
    )

    assert re.search(r"pipeline +TEST +since +LIVE +becomes", ended.out)
    assert re.search(r"dataset_cleanup +1\.0\.1-rc +since .* not applied +1\.0\.1 ", ended.out)
    report = json.loads((cli.folder / "run.json").read_text())
    assert report["command"] == "promote" and report["totals"]["applied"] == 2
    assert [one["plan"]["asked"]["promote"] for one in report["pipelines"]] == [
        {"from": "TEST", "final": True}
    ] * 2
    environments.clear_requests()
    succeed(cli("promote", "--all", "--from", "TEST", "--to", "LIVE", "--final", "--yes"))
    assert environments.writes() == []


def test_one_pipeline_that_drifted_does_not_stop_the_others(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    training(cli.folder / "clip" / "training", "clip", environments.registry)
    succeed(cli("apply", "clip/training", "--env", "TEST", "--yes"))
    environments.account("TEST").platform.edit_processing(NAME, default_cpu=9)

    ended = cli("promote", "--all", "--from", "TEST", "--to", "LIVE", "--yes")

    assert ended.code == 12
    assert "TEST is not as its last apply left it" in ended.err
    assert "1 applied" in ended.err


def test_a_pipeline_that_cannot_be_read_is_repeated_in_the_environment_of_the_others(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    training(cli.folder / "clip" / "training", "clip", environments.registry)
    (cli.folder / "clip" / "training" / "config.toml").write_text("no = [")

    for verb, *options in (("promote", "--to", "LIVE", "--from", "TEST"), ("apply", "--env", "LIVE")):
        ended = cli(verb, "--all", *options, "--yes")
        assert ended.code == 1
        again = f"reconciler {verb} clip/training --organization my-org {' '.join(options)}"
        assert again in ended.err


def test_the_source_defaults_to_promote_from(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    assert "add --from ENV" in cli("promote", NAME, "--to", "LIVE").err
    protect(cli, 'promote_from = "TEST"')

    succeed(cli("promote", NAME, "--to", "LIVE", "--final", "--yes"))

    assert digests(environments)["live"] == digests(environments)["1.0.1-rc"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "LIVE", "--to", "LIVE"), "the same environment"),
        (("--from", "TEST"), "--to"),
        (("--from", "TEST", "--to", "LIVE", "--out", "p.json", "--yes"), "nothing to approve"),
        (("--from", "TEST", "--to", "LIVE", "--out", "p.json", "--json", "r.json"), "--markdown and --html"),
        (("--from", "TEST", "--to", "LIVE", "--override", " "), "needs a reason"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...], said: str, cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    ended = cli("promote", NAME, *arguments)
    assert ended.code == 2 and said in ended.err


def test_no_login_for_the_source_is_an_error_that_names_its_variable(
    cli: Cli, environments: Sandbox, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_TOKEN")

    ended = promote(cli, "--yes")

    assert ended.code == 1 and "Set TEST_TOKEN" in ended.err
    assert environments.writes() == []


def test_a_token_for_all_environments_is_not_sent_to_one_that_has_its_own(
    cli: Cli, environments: Sandbox, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICSELLIA_TOKEN", environments.account("LIVE").token)
    monkeypatch.setenv("PICSELLIA_ORGANIZATION", "my-org")

    succeed(promote(cli, "--final", "--yes"))

    assert digests(environments)["live"] == digests(environments)["1.0.1-rc"]


# The gate


def test_the_gate_lets_no_other_image_in(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    protect(cli, 'promote_from = "TEST"')
    edit(pipeline / "pipeline.py", "import argparse", "import argparse  # not tried")
    for verb in ("apply", "deploy"):
        environments.clear_requests()
        ended = cli(verb, NAME, "--env", "LIVE", "--bump", "patch", "--yes")
        assert ended.code == 12
        assert (
            "LIVE only gets images that TEST runs in sync (promote_from), and TEST runs 1.0.1-rc" in ended.err
        )
        apply = f"reconciler apply {NAME} --organization my-test-org --env TEST --bump rc"
        assert f"apply your files there first:  {apply}\n" in ended.err
        assert environments.writes() == []


def test_the_gate_names_the_drift_of_the_other_environment(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    protect(cli, 'promote_from = "TEST"')
    environments.account("TEST").platform.edit_processing(NAME, default_cpu=9)

    ended = cli("apply", NAME, "--env", "LIVE", "--yes")

    assert ended.code == 12
    assert "and TEST is not as its last apply left it: processing/dataset_cleanup#default_cpu" in ended.err


def test_an_apply_that_is_a_promotion_passes_the_gate(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    protect(cli, 'promote_from = "TEST"')

    succeed(cli("deploy", NAME, "--env", "LIVE", "--bump", "final", "--yes"))

    assert digests(environments)["live"] == digests(environments)["1.0.1-rc"]


def test_other_changes_pass_the_gate_without_a_look_at_the_other_environment(
    cli: Cli, environments: Sandbox, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect(cli, 'promote_from = "TEST"')
    succeed(promote(cli, "--final", "--yes"))
    environments.account("TEST").platform.edit_processing(NAME, default_cpu=9)
    edit(pipeline / "config.toml", 'cpu = "4"', 'cpu = "8"')
    monkeypatch.delenv("TEST_TOKEN")

    succeed(cli("apply", NAME, "--env", "LIVE", "--yes"))

    assert environments.account("LIVE").platform.processing(NAME)["default_cpu"] == 8


def test_rollback_passes_the_gate(cli: Cli, environments: Sandbox) -> None:
    pipeline = copy_example(NAME, cli.folder, environments.registry)
    succeed(cli("apply", NAME, "--env", "LIVE", "--yes"))
    edit(pipeline / "pipeline.py", "import argparse", "import argparse  # better")
    succeed(cli("apply", NAME, "--env", "TEST", "--bump", "patch", "--yes"))
    protect(cli, 'promote_from = "TEST"')
    succeed(promote(cli, "--yes"))

    succeed(cli("rollback", NAME, "--env", "LIVE", "--yes"))

    assert digests(environments)["live"] == digests(environments)["1.0.0"]


@pytest.mark.parametrize("renamed", ["", "since", "in LIVE"])
@pytest.mark.parametrize("declared", ["in the files", "in the state only"])
def test_no_other_environment_moves_a_tag_that_is_behind_a_gate(
    cli: Cli, environments: Sandbox, pipeline: Path, declared: str, renamed: str
) -> None:
    """TEST and LIVE share a tag, so what is applied in TEST would run in LIVE before anybody tried it."""
    file, config = cli.folder / "reconciler.toml", pipeline / "config.toml"
    if renamed == "in LIVE":
        table = '[reconciler.env.LIVE.metadata]\nname = "cleanup-live"\n\n'
        edit(config, "[reconciler.image]", f"{table}[reconciler.image]")
    edit(file, 'channel = "live"', 'channel = "test"')
    protect(cli, 'promote_from = "TEST"')
    if renamed == "since":
        edit(file, "[environments.TEST]", '[workspace]\nname = "shop"\n\n[environments.TEST]')
        succeed(cli("apply", NAME, "--env", "TEST", "--yes"))
    succeed(promote(cli, "--yes"))
    if declared == "in the state only":
        edit(file, 'channel = "test"\ntoken = "LIVE_TOKEN"', 'channel = "live"\ntoken = "LIVE_TOKEN"')
    if renamed == "since":
        edit(config, f'name = "{NAME}"', 'name = "cleanup-2"')
    edit(pipeline / "pipeline.py", "import argparse", "import argparse  # not tried")
    for verb in ("apply", "deploy"):
        environments.clear_requests()
        ended = cli(verb, NAME, "--env", "TEST", "--bump", "rc", "--yes")
        assert ended.code == 12
        assert "it also changes what LIVE runs, which only gets images that TEST runs in sync" in ended.err
        assert environments.writes() == []

    apply = ("apply", NAME, "--env", "TEST", "--bump", "rc", "--yes")
    succeed(cli(*apply, "--override", "LIVE is not in use yet"))


def test_a_rollback_moves_no_tag_that_is_behind_the_gate_of_another_environment(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    edit(cli.folder / "reconciler.toml", 'channel = "live"', 'channel = "test"')
    edit(pipeline / "pipeline.py", "import argparse", "import argparse  # better")
    succeed(cli("apply", NAME, "--env", "TEST", "--bump", "rc", "--yes"))
    succeed(cli("apply", NAME, "--env", "LIVE", "--yes"))
    protect(cli, 'promote_from = "TEST"')
    environments.clear_requests()

    ended = cli("rollback", NAME, "--env", "TEST", "--to", "1.0.1-rc", "--yes")

    assert ended.code == 12
    assert "it also changes what LIVE runs, which only gets images that TEST runs in sync" in ended.err
    assert "--env TEST --to 1.0.1-rc --override REASON" in " ".join(ended.err.split())
    assert environments.writes() == []
    succeed(cli("rollback", NAME, "--env", "TEST", "--yes", "--override", "the new one is broken"))
    assert digests(environments)["test"] == digests(environments)["1.0.1-rc"]


def test_a_promotion_moves_the_tag_of_others_with_the_same_gate(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    protect(cli, 'promote_from = "TEST"')
    protect(cli, "[environments.EU]", 'host = "https://eu.example.com"', 'organization = "my-eu-org"')
    protect(cli, 'channel = "live"', 'promote_from = "TEST"')
    succeed(promote(cli, "--yes"))
    edit(pipeline / "pipeline.py", "import argparse", "import argparse  # better")
    succeed(cli("apply", NAME, "--env", "TEST", "--bump", "rc", "--yes"))

    ended = succeed(promote(cli, "--yes"))

    assert "this also changes what EU runs" in ended.err


def test_a_plan_exits_with_12_where_the_gate_is_closed(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    protect(cli, 'promote_from = "TEST"')
    edit(pipeline / "pipeline.py", "import argparse", "import argparse  # not tried")

    ended = cli("plan", NAME, "--env", "LIVE", "--bump", "patch", "--exit-code", "--json")

    assert ended.code == 12
    (refusal,) = [step["refusal"] for step in json.loads(ended.out)["steps"] if step["refusal"]]
    assert refusal["reason_code"] == "gate-closed"
    assert refusal["reason_details"]["why"] == "source-runs-another"


def test_an_override_opens_the_gate_and_is_kept(
    cli: Cli, environments: Sandbox, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect(cli, 'promote_from = "TEST"', 'review = "always"')
    edit(pipeline / "pipeline.py", "import argparse", "import argparse  # a fix")
    monkeypatch.delenv("TEST_TOKEN")  # in an emergency, the other environment may be gone

    arguments = ("apply", NAME, "--env", "LIVE", "--bump", "patch", "--yes", "--override", "the site is down")
    ended = succeed(cli(*arguments, "--json", "run.json", "--markdown", "run.md", "--html", "run.html"))

    assert "promote_from and review of reconciler.toml are overridden" in ended.err
    for file in ("run.json", "run.md", "run.html"):
        assert "the site is down" in (cli.folder / file).read_text(), file
    assert "override: the site is down" in cli("state", "history", stack_in_live(environments)).out
    saves = json.loads(cli("state", "history", stack_in_live(environments), "--json").out)["saves"]
    assert {save["override"] for save in saves} == {"the site is down"}


def test_after_a_rollback_drift_says_where_the_tag_points(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    succeed(promote(cli, "--final", "--yes"))
    edit(pipeline / "pipeline.py", "import argparse", "import argparse  # better")
    succeed(cli("apply", NAME, "--env", "TEST", "--bump", "rc", "--yes"))
    succeed(promote(cli, "--final", "--yes"))
    succeed(cli("rollback", NAME, "--env", "LIVE", "--yes"))

    ended = cli("drift", NAME, "--env", "LIVE", "--markdown", "-")

    said = "the tag live is at 1.0.1, not yet at this image"
    assert said in ended.out and said in ended.err
    assert re.search("in the files +the tag live", ended.err)
    assert not re.search("live +(null|the tag test)", ended.err), "the tag of another environment"


VERBS = {
    "apply": ("apply", NAME, "--env", "LIVE", "--yes"),
    "apply --all": ("apply", "--all", "--env", "LIVE", "--yes"),
    "deploy": ("deploy", NAME, "--env", "LIVE", "--yes"),
    "promote": ("promote", NAME, "--from", "TEST", "--to", "LIVE", "--yes"),
    "rollback": ("rollback", NAME, "--env", "LIVE", "--yes"),
    "destroy": ("destroy", NAME, "--env", "LIVE", "--yes"),
}


@pytest.mark.parametrize("arguments", VERBS.values(), ids=VERBS)
def test_without_a_rule_there_is_nothing_to_override(
    cli: Cli, environments: Sandbox, pipeline: Path, arguments: tuple[str, ...]
) -> None:
    for rule in ("", 'review = "never"'):
        protect(cli, *filter(None, [rule]))
        ended = cli(*arguments, "--override", "the site is down")
        assert ended.code == 1
        assert "--override has nothing to override" in ended.err
        assert "reconciler.toml has no promote_from and no review" in ended.err
    assert environments.writes() == []


def test_an_override_says_which_rules_it_overrides(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    protect(cli, 'promote_from = "TEST"')
    override = ("--override", "the site is down")

    in_test = succeed(cli("apply", NAME, "--env", "TEST", "--bump", "rc", "--force-bump", "--yes", *override))
    assert "--override overrides nothing here" in in_test.err and "are overridden" not in in_test.err
    in_live = succeed(cli("apply", NAME, "--env", "LIVE", "--yes", *override))
    assert "promote_from of reconciler.toml is overridden" in in_live.err
    edit(pipeline / "config.toml", 'cpu = "4"', 'cpu = "5"')
    without_image = succeed(cli("apply", NAME, "--env", "LIVE", "--yes", *override))
    assert "--override overrides nothing here" in without_image.err


def test_a_reason_is_short_and_has_no_hidden_characters(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    protect(cli, 'review = "always"')
    apply = ("apply", NAME, "--env", "LIVE", "--yes", "--override")

    ended = cli(*apply, "x" * 301)
    assert ended.code == 2 and "has 301 characters; use at most 300" in ended.err
    succeed(cli(*apply, "one\x1b[2J\u202e\n ::error::two", "--json", "run.json"))

    saves = json.loads(cli("state", "history", stack_in_live(environments), "--json").out)["saves"]
    assert {save["override"] for save in saves} == {r"one\x1b[2J\u202e ::error::two"}


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("see hf_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zZ12", "token"),
        ("the token is {token}", "the value of LIVE_TOKEN"),
    ],
)
def test_a_reason_with_a_secret_is_refused_and_not_shown(
    cli: Cli, environments: Sandbox, pipeline: Path, reason: str, kind: str
) -> None:
    reason = reason.format(token=environments.account("LIVE").token)

    ended = cli("apply", NAME, "--env", "LIVE", "--yes", "--override", reason)

    assert ended.code == 2
    assert "the reason of --override contains" in ended.err and kind in ended.err
    assert reason not in ended.out + ended.err
    assert environments.writes() == []


# Reviews


def review(cli: Cli, what: str) -> None:
    protect(cli, f'review = "{what}"')


def approval(ended: Ended) -> str:
    found = re.search(r"--approve ([0-9a-f]{16})", ended.err)
    assert found, ended.err
    return found[1]


def test_a_plan_needs_its_digest_where_a_review_is_always_required(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    review(cli, "always")
    for consent in ((), ("--yes",)):
        ended = promote(cli, "--final", *consent)
        assert ended.code == 12 and "LIVE requires a review of a plan" in ended.err
        assert "reconciler.toml:" in ended.err
        assert environments.writes() == []

    succeed(promote(cli, "--final", "--approve", approval(ended)))

    succeed(promote(cli, "--final", "--yes"))  # there is nothing to review


@pytest.mark.parametrize("required", ["never", "always"])
def test_a_plan_of_one_pipeline_shows_its_digest(
    required: str, cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    alone = ("plan", NAME, "--env", "LIVE")
    review(cli, required)

    succeed(cli("apply", NAME, "--env", "LIVE", "--approve", approval(cli(*alone))))

    assert "--approve" not in cli(*alone).err  # there is nothing to approve


def test_the_digest_of_another_plan_is_no_review(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    review(cli, "always")
    approved = approval(promote(cli, "--final", "--yes"))
    edit(pipeline / "config.toml", 'cpu = "4"', 'cpu = "8"')

    assert promote(cli, "--final", "--approve", approved).code == 12
    assert environments.writes() == []


def test_a_saved_plan_needs_its_digest_too(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    review(cli, "always")
    for name in ((NAME,), ("--all",)):
        succeed(cli("promote", *name, "--from", "TEST", "--to", "LIVE", "--out", "plan.json"))
        ended = cli("apply", "--plan", "plan.json", "--yes")
        assert ended.code == 12 and "LIVE requires a review" in ended.err
        assert environments.writes() == []
    succeed(cli("apply", "--plan", "plan.json", "--approve", approval(ended)))


def test_only_what_deletes_needs_a_review_where_it_says_so(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    review(cli, "destructive")
    succeed(promote(cli, "--final", "--yes"))
    inputs = pipeline / "utils" / "inputs.py"
    edit(inputs, 'name="archive"', 'name="folder"')

    ended = cli("apply", NAME, "--env", "LIVE", "--bump", "patch", "--yes")
    assert ended.code == 12 and "a plan that deletes or replaces resources" in ended.err
    ended = cli("destroy", NAME, "--env", "LIVE", "--yes")
    assert ended.code == 12 and "LIVE requires a review" in ended.err

    succeed(cli("destroy", NAME, "--env", "LIVE", "--approve", approval(ended)))


def test_several_pipelines_need_the_digest_of_all(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    training(cli.folder / "clip" / "training", "clip", environments.registry)
    succeed(cli("apply", "clip/training", "--env", "TEST", "--yes"))
    review(cli, "always")

    ended = cli("promote", "--all", "--from", "TEST", "--to", "LIVE", "--yes")
    assert ended.code == 12 and "LIVE requires a review" in ended.err

    approve = ("--approve", approval(ended))
    succeed(cli("promote", "--all", "--from", "TEST", "--to", "LIVE", *approve))


def test_a_plan_that_only_fills_the_state_needs_no_review(
    cli: Cli, environments: Sandbox, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training(cli.folder / "clip" / "training", "clip", environments.registry)
    succeed(cli("apply", "clip/training", NAME, "--env", "LIVE", "--yes"))
    review(cli, "always")
    environments.clear_requests()
    for names, state in (((NAME,), "one.db"), ((NAME, "clip/training"), "both.db")):
        monkeypatch.setenv("RECONCILER_STATE", str(cli.folder / ".." / state))
        succeed(cli("apply", *names, "--env", "LIVE", "--yes"))
    assert environments.writes() == []


def test_other_environments_need_no_review(cli: Cli, environments: Sandbox, pipeline: Path) -> None:
    review(cli, "always")
    edit(pipeline / "config.toml", 'cpu = "4"', 'cpu = "8"')
    succeed(cli("apply", NAME, "--env", "TEST", "--yes"))


def test_the_overlay_of_the_source_may_have_the_version(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    """LIVE then gets that version in its own place of config.toml, so that its next apply changes nothing."""
    config = pipeline / "config.toml"
    config.write_text(config.read_text() + '\n[reconciler.env.TEST.metadata]\nversion = "3.0.0"\n')
    succeed(cli("apply", NAME, "--env", "TEST", "--yes"))

    promoted = succeed(promote(cli, "--yes"))

    assert f"{NAME}/config.toml now has version 3.0.0" in promoted.out
    assert '[reconciler.env.TEST.metadata]\nversion = "3.0.0"' in config.read_text()
    for environment in ("TEST", "LIVE"):
        assert cli("plan", NAME, "--env", environment, "--exit-code").code == 0
    assert "Nothing to do" in succeed(promote(cli, "--yes")).out


def test_an_overlay_of_the_source_that_it_does_not_run_is_refused(
    cli: Cli, environments: Sandbox, pipeline: Path
) -> None:
    """The command that the refusal names makes the promotion possible."""
    config = pipeline / "config.toml"
    config.write_text(config.read_text() + '\n[reconciler.env.TEST.metadata]\nversion = "3.0.0"\n')
    edit(config, 'version = "1.0.1-rc"', 'version = "1.0.0"')

    refused = promote(cli, "--yes")

    assert refused.code == 12
    assert "config.toml has version 1.0.0, and TEST runs 1.0.1-rc" in refused.err
    [command] = re.findall("apply your files there first:  (reconciler .*)", refused.err)
    succeed(cli(*shlex.split(command)[1:], "--yes"))
    succeed(promote(cli, "--yes"))
