"""A field that `ignore_changes` names may keep another image than the files: every output says so.

An ignored field is neither drift nor a conflict, and changes no exit code. It is not in sync either.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

NAME = "dataset_cleanup"
PROCESSING = f"processing/{NAME}"
TEST, LIVE = ("--env", "TEST"), ("--env", "LIVE")
OTHER_IMAGE = "other/app"
TAGS = {"pinned": "1.0.1", "channel": "test", "shared": "latest", "pinned beside a shared one": "1.0.1"}
"""How TEST names its image -> the tag that it registers for 1.0.1."""
CHANNELS = {"shared": "latest", "pinned beside a shared one": "latest"}
IGNORED = [(), ("docker_tag",), ("docker_image",), ("docker_image", "docker_tag")]


class World(Struct):
    """A pipeline that TEST runs, with these ignored fields."""

    cli: Cli
    sandbox: Sandbox
    mode: str
    ignored: tuple[str, ...]
    applied: str = "1.0.1"

    @property
    def repository(self) -> str:
        return f"{self.sandbox.registry}/examples/{NAME}"

    @property
    def live(self) -> dict[str, str]:
        found = self.sandbox.account("TEST").platform.processing(NAME)
        assert found is not None
        return {field: found[field] for field in ("docker_image", "docker_tag")}

    @property
    def differing(self) -> dict[str, str]:
        """The fields that are not as in the files, which have 1.0.1, with their live values."""
        desired = {"docker_image": self.repository, "docker_tag": TAGS[self.mode]}
        return {name: value for name, value in self.live.items() if value != desired[name]}

    def digest(self, tag: str) -> str | None:
        with RegistryClient(self.repository) as registry:
            return registry.digest(tag)

    @property
    def runs(self) -> str | None:
        """The digest of the image that TEST runs; None if it is that of another repository."""
        live = self.live
        return self.digest(live["docker_tag"]) if live["docker_image"] == self.repository else None

    def edit(self, **fields: str) -> None:
        self.sandbox.account("TEST").platform.edit_processing(NAME, **fields)

    def change_source(self) -> None:
        (self.cli.folder / NAME / "pipeline.py").write_text("print('other')\n")

    def expect(self, *arguments: str) -> None:
        ended = self.cli(*arguments)
        assert ended.code == 0, (arguments, ended)


def world(cli: Cli, sandbox: Sandbox, mode: str, ignored: tuple[str, ...]) -> World:
    """TEST has applied 1.0.0, changed the source, and applied 1.0.1; so has LIVE, if both share a tag."""
    config = copy_example(NAME, cli.folder, sandbox.registry) / "config.toml"
    settings = f'[reconciler.ignore_changes]\n"{PROCESSING}" = {json.dumps(ignored)}\n' if ignored else ""
    settings += '[reconciler.env.TEST.reconciler]\npin = "version"\n' if "pinned" in mode else ""
    text = config.read_text()
    config.write_text(text.replace("[reconciler.image]", f"{settings}[reconciler.image]"))
    made, is_shared = World(cli, sandbox, mode, ignored), mode in CHANNELS
    if is_shared:
        workspace = cli.folder / "reconciler.toml"
        workspace.write_text(re.sub("(?m)^channel.*\n", "", workspace.read_text()))
    for change in (None, made.change_source):
        bump = ("--bump", "patch") if change else ()
        if change:
            change()
        made.expect("apply", NAME, *TEST, "--yes", *bump)
        if is_shared:
            made.expect("apply", NAME, *LIVE, "--yes")
    return made


def check(made: World) -> None:
    """What `drift`, `plan` and `status` say, from what runs, and the fields and tags of all three worlds."""
    differing = made.differing
    ignored = {name: value for name, value in differing.items() if name in made.ignored}
    drifted = [name for name in differing.keys() - ignored.keys() if made.applied == "1.0.1"]
    files = made.digest("1.0.1")
    has_to_move = made.digest(CHANNELS.get(made.mode, "test")) != files
    is_pending = bool(differing.keys() - ignored.keys()) or has_to_move
    code = 11 if drifted else 10 if is_pending else 0
    count = f"{len(ignored)} field{'s'[: len(ignored) > 1]} ignored (ignore_changes)" if ignored else ""

    report = made.cli.folder.parent / "report.json"
    drift = made.cli("drift", NAME, *TEST, "--json", str(report))
    plan = made.cli("plan", NAME, *TEST, "--exit-code")
    assert (drift.code, plan.code) == (code, code), (drift, plan)
    is_in_sync = code == 0 and not ignored
    assert f"{int(is_in_sync)} pipeline{'s'[: not is_in_sync]} in sync." in drift.out
    for out in (drift.out, plan.out):
        assert (count in out) if ignored else ("ignored" not in out), out
    (stack,) = json.loads(report.read_text())["stacks"]
    assert stack["ignored"] == [f"{PROCESSING}#{name}" for name in sorted(ignored)]
    if ignored and code in (0, 10):
        fields = ", ".join(sorted(ignored))
        assert f"{PROCESSING}  unchanged  differs only in ignored fields: {fields}" in plan.out
    for out in (drift.out, plan.out):
        for tag, version in re.findall(r"the tag (\S+) is at (\S+),", out):
            assert made.digest(tag) == made.digest(version), out

    row = row_of(made)
    assert (row["version"], row["files_version"]) == (made.applied, "1.0.1")
    assert row["running_digest"] == made.runs
    if code:
        expected = "different", row["drift"]
    elif is_in_sync:
        assert made.runs == files == row["digest"]
        expected = "in-sync", "in sync"
    elif made.runs == files:
        expected = "ignored", count.removesuffix(" (ignore_changes)")
    else:
        values = " and ".join(f"{name} {value}" for name, value in sorted(ignored.items()))
        verb = "are" if len(ignored) > 1 else "is"
        expected = "ignored-image", f"not the image of the files, as {values} {verb} ignored"
    assert (row["drift_code"], row["drift"]) == expected
    assert expected[1] in made.cli("status", NAME, *TEST).out


def row_of(made: World) -> dict[str, Any]:
    document = json.loads(made.cli("status", NAME, *TEST, "--json").out)
    organization = made.sandbox.account("TEST").organization
    (row,) = (row for row in document["rows"] if row["environment"].startswith(f"{organization}@"))
    return dict(row)


@pytest.mark.parametrize("ignored", IGNORED, ids=lambda fields: "+".join(fields) or "none")
@pytest.mark.parametrize("mode", TAGS)
def test_nothing_is_in_sync_that_is_not(
    cli: Cli, environments: Sandbox, mode: str, ignored: tuple[str, ...]
) -> None:
    made = world(cli, environments, mode, ignored)
    check(made)
    before = made.live
    made.edit(docker_tag="1.0.0" if "docker_tag" not in made.differing else "latest")
    check(made)
    made.edit(docker_tag="test" if mode == "pinned" else "1.0.1")  # another tag of the image of the files
    check(made)
    made.edit(**before)
    made.edit(docker_image=OTHER_IMAGE)
    check(made)
    made.edit(**before)
    made.expect("rollback", NAME, *TEST, "--yes")
    made.applied = "1.0.0"
    check(made)


OUTPUTS = {
    "drift": ("drift", "--all", *TEST),
    "drift --markdown": ("drift", "--all", *TEST, "--markdown", "FILE"),
    "drift --html": ("drift", "--all", *TEST, "--html", "FILE"),
    "drift --junit": ("drift", "--all", *TEST, "--junit", "FILE"),
    "status": ("status", "--all"),
    "status --matrix": ("status", "--all", "--matrix"),
    "status --matrix --html": ("status", "--all", "--matrix", "--html", "FILE"),
    "plan": ("plan", NAME, *TEST),
    "plan --all": ("plan", "--all", *TEST),
    "plan --all --markdown": ("plan", "--all", *TEST, "--markdown", "FILE"),
    "apply --all": ("apply", "--all", *TEST, "--yes"),
}


def test_each_output_says_that_a_field_is_ignored(cli: Cli, environments: Sandbox, tmp_path: Path) -> None:
    made = world(cli, environments, "pinned", ("docker_tag",))
    for name, words in OUTPUTS.items():
        file = tmp_path / "report"
        ended = made.cli(*(str(file) if word == "FILE" else word for word in words))
        assert ended.code == 0, (name, ended)
        text = file.read_text() if "FILE" in words else ended.out
        assert "ignored" in text, name
        text = re.sub(r"<style.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL) if "html" in name else text
        # The graph of a report has the other resources, which are in sync.
        assert "in sync" not in re.sub(r"\b0\s+pipelines in sync|(image|input)/\S+\s+in sync", "", text), name


@pytest.mark.parametrize("ignored", IGNORED, ids=lambda fields: "+".join(fields) or "none")
@pytest.mark.parametrize("mode", ["pinned", "channel"])
def test_an_image_that_an_environment_does_not_run_is_not_promoted_from_it(
    cli: Cli, environments: Sandbox, mode: str, ignored: tuple[str, ...]
) -> None:
    """Neither by `promote` nor through the gate of the other one, whichever ignored field is the reason."""
    made = world(cli, environments, mode, ignored)
    workspace = cli.folder / "reconciler.toml"
    workspace.write_text(
        workspace.read_text().replace("[environments.LIVE]", '[environments.LIVE]\npromote_from = "TEST"')
    )
    before = made.live
    promotion = "promote", NAME, "--from", "TEST", "--to", "LIVE", "--dry-run"
    for live in (before, {**before, "docker_tag": "1.0.0"}, {**before, "docker_image": OTHER_IMAGE}):
        made.edit(**live)
        is_proved = made.runs == made.digest("1.0.1")
        for command in (promotion, ("plan", NAME, *LIVE)):
            planned = cli(*command)
            assert ("refused: " in planned.err) == (not is_proved), (live, planned)
            if live == before and not is_proved:
                assert f"as ignore_changes names {' and '.join(ignored)}" in planned.err
                assert "remove these fields from ignore_changes, and apply your files there" in planned.err
