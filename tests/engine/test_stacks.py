"""A stack depends on config.toml alone, and five trainings called `training` are five stacks."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.diagnostics import UserError
from reconciler.core.events import Event
from reconciler.credentials.target import Target, resolve
from reconciler.engine.recorded import pipeline_at
from reconciler.engine.session import StateNames, stack_of
from reconciler.pipeline.shared import SharedSettings
from reconciler.workspace.config_file import stacks_in
from state.register import Register
from state.snapshot import RecordedResource, Snapshot
from state.stores.sqlite import SqliteStore
from tests.pipeline.conftest import PROCESSING, TRAINING
from tests.state.conftest import AT, run

NAMES = st.sampled_from(["training", "app", "clip", "my app", "team/app", "é"])
IMAGES = st.sampled_from(["training", "team/app", "team/clip", "reg.io:5000/team/clip", "docker.io/team/app"])
ENVIRONMENTS = st.sampled_from([None, "STAGING", "PROD"])


@pytest.fixture(scope="module")
def target() -> Target:
    with pytest.MonkeyPatch.context() as user:
        user.setenv("PICSELLIA_TOKEN", "a token")
        return resolve("my-org", "STAGING")


@st.composite
def configs(draw: st.DrawFn) -> tuple[str, str]:
    """The text of a config.toml, and the name of its stack on STAGING."""
    trains, name, image = draw(st.booleans()), draw(NAMES), draw(IMAGES)
    stack = draw(st.none() | NAMES)
    text = config(name, image, trains=trains, stack=stack)
    environment, of_environment = draw(ENVIRONMENTS), draw(NAMES)
    if environment is not None:
        text += f'\n[reconciler.env.{environment}.reconciler]\nstack = "{of_environment}"\n'
    if environment == "STAGING":
        return text, of_environment
    of_image = {"docker.io/team/app": "team/app"}.get(image, image)
    return text, stack if stack is not None else of_image if trains else name


def config(name: str, image: str, *, trains: bool = True, stack: str | None = None) -> str:
    text = TRAINING if trains else PROCESSING
    before, mark, after = text.partition("[docker]")
    assert mark
    rest = after.partition("\n[")
    docker = f'\nimage_name = "{image}"\nimage_tag = ""\ncpu = "4"\ngpu = 0\n'
    lines = before.splitlines()
    lines = [f'name = "{name}"' if line.startswith("name = ") else line for line in lines]
    own = f'\n[reconciler]\nstack = "{stack}"\n' if stack is not None else ""
    return "\n".join(lines) + f"\n{mark}{docker}{rest[1]}{rest[2]}{own}"


@given(configs(), st.lists(configs(), max_size=3), st.sampled_from(["training", "a/b/c", "x.y"]))
def test_it_depends_on_config_toml_alone(
    target: Target, one: tuple[str, str], neighbours: list[tuple[str, str]], elsewhere: str
) -> None:
    """Neither folder, clone and branch nor the other pipelines matter."""
    text, name = one
    with TemporaryDirectory() as root:
        alone, among = Path(root, "alone"), Path(root, "repository", elsewhere)
        for number, (neighbour, _) in enumerate(neighbours):
            written(Path(root, "repository", f"other {number}"), neighbour)
        shutil.copytree(written(alone, text), among)
        found = {
            stack_of(target, pipeline_at(folder, "STAGING", SharedSettings())) for folder in (alone, among)
        }
        assert {str(stack) for stack in found} == {f"my-org@STAGING/{name}"}
        assert len(found) == 1, "the folder is no part of the identity"
        assert name in stacks_in(among)


def test_another_clone_on_another_branch_has_the_same_stack(tmp_path: Path, target: Target) -> None:
    text = config("training", "team/clip")
    written(tmp_path / "one" / "clip" / "training", text)
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "clip"], ["branch", "other"]):
        identity = ("-c", "user.name=ada", "-c", "user.email=ada@example.com")
        subprocess.run(["git", *identity, *command], cwd=tmp_path / "one", check=True)
    subprocess.run(["git", "clone", "-qb", "other", "one", "two"], cwd=tmp_path, check=True)
    stacks = {
        str(stack_of(target, pipeline_at(tmp_path / clone / "clip" / "training", None, SharedSettings())))
        for clone in ("one", "two")
    }
    assert stacks == {"my-org@STAGING/team/clip"}


def test_five_trainings_called_training_are_five_stacks(tmp_path: Path, target: Target) -> None:
    models = ("clip", "dino", "sam", "unet", "yolo")
    pipelines = [
        pipeline_at(
            written(tmp_path / model / "training", config("training", f"team/training-{model}")),
            None,
            SharedSettings(),
        )
        for model in models
    ]
    stacks = [stack_of(target, pipeline) for pipeline in pipelines]
    assert [stack.pipeline for stack in stacks] == ["training"] * 5
    assert [str(stack) for stack in stacks] == [f"my-org@STAGING/team/training-{model}" for model in models]
    assert len({stack.folder for stack in stacks}) == 5


@pytest.mark.parametrize("written", ["docker.io/team/clip", "index.docker.io/team/clip", "team/clip"])
def test_state_of_a_training_is_found_under_another_name_of_its_repository(
    tmp_path: Path, target: Target, written: str
) -> None:
    """An earlier version named the stack as config.toml writes the image."""
    (tmp_path / "config.toml").write_text(config("training", written))
    pipeline = pipeline_at(tmp_path, "STAGING", SharedSettings())
    old, image = "my-org@STAGING/docker.io/team/clip", "image/docker.io/team/clip"
    recorded = RecordedResource(image, "image", "1.0.0@sha256:0", {"version": "1.0.0"})
    with SqliteStore(tmp_path / "state.db") as store:
        state = Snapshot.new(old, "lineage").with_resource(recorded).written(serial=1, by="0.1.0", at=AT)
        store.save(state, expected_serial=0, lock=None)
        names = StateNames(Register, None)
        stack = str(names.add(target, pipeline))
        assert stack == "my-org@STAGING/team/clip"
        notices: list[Event] = []
        found = names.finding(store, lambda _: True, notices.append)
        loaded = found.load(stack)
        assert loaded is not None
        assert [*loaded.resources] == ["image/team/clip"]
        with found.lock(stack, run("ada"), timeout=0):
            assert list(store.stacks()) == [stack]
    assert len(notices) == 1


def test_a_training_without_an_image_has_no_stack_yet(tmp_path: Path, target: Target) -> None:
    folder = written(tmp_path / "new", config("training", ""))
    with pytest.raises(UserError, match=r"docker\.image_name is empty"):
        stack_of(target, pipeline_at(folder, None, SharedSettings()))
    assert stacks_in(folder) == set()


@pytest.mark.parametrize("name", ["-x", "..", ".", "", " a", "a\\nb", "a\\u0000"])
def test_a_name_that_cannot_select_its_pipeline_is_an_error(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / "app", config("app", "team/app", stack=name))
    with pytest.raises(UserError) as caught:
        pipeline_at(folder, None, SharedSettings())
    [problem] = caught.value.diagnostics
    assert problem.summary.startswith("reconciler.stack")
    assert problem.line == next(
        number
        for number, line in enumerate((folder / "config.toml").read_text().splitlines(), 1)
        if line.startswith("stack = ")
    )


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(text)
    return folder
