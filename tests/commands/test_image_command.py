"""`reconciler image` reads only the registry, and prints data for scripts."""

import json
from pathlib import Path
from typing import Any

import pytest

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.layers import appended_mark, layers
from providers.docker.registry.manifests import Blob, PublishedImage
from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example


def document(cli: Cli, *options: str) -> dict[str, Any]:
    ended = cli("image", "dataset_cleanup", "--json", *options)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_image_needs_no_token_no_platform_and_no_state(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert document(cli)["published"] is None
    assert cli("apply", "dataset_cleanup").code == 0
    (pipeline / "utils" / "cleaning.py").rename(pipeline / "utils" / "cleanup.py")
    known = document(cli)
    for name in ("PICSELLIA_TOKEN", "PICSELLIA_ORGANIZATION", "PICSELLIA_ENV", "PICSELLIA_CUSTOM_ENV"):
        monkeypatch.delenv(name)
    sandbox.clear_requests()

    unknown = document(cli)

    assert known["differing"] == ["utils/cleaning.py moved to utils/cleanup.py"]
    assert unknown["differing"] is None
    for found in (known, unknown):
        assert (found["verdict"], found["apply"]) == ("source-changed", "refuse")
        assert found["builder"]["name"] == "append"
        assert found["published"]["source_key"] != found["source"]["key"]
        assert found["tags"] == dict.fromkeys(("1.0.0", "latest"), found["published"]["digest"])
        assert [layer["of_base"] for layer in found["published"]["layers"]] == [True, True, True, False]
        assert found["published"]["size"] == sum(layer["size"] for layer in found["published"]["layers"])
    assert "not read: no organization is selected" in cli("image", "dataset_cleanup").out
    assert {request["path"].split("/")[1] for request in sandbox.requests()} == {"v2"}
    assert sandbox.writes() == []


def test_an_image_of_another_tool_is_reported_as_such(cli: Cli, sandbox: Sandbox) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup").code == 0
    with RegistryClient(f"{sandbox.registry}/base/python") as base:
        image = base.image("3.11")
        assert image is not None
        content = base.manifest("3.11")
        assert content is not None
        with RegistryClient(f"{sandbox.registry}/examples/dataset_cleanup") as client:
            config = Blob("", json.loads(content.content)["config"]["digest"], 0)
            client.mount(config.digest, base.repository)
            for tag in ("1.0.0", "latest"):
                client.put_manifest(tag, content.media_type, content.content)

    shown = cli("image", "dataset_cleanup", "--organization", "another").out

    assert "! 1.0.0  foreign" in shown
    assert "none: another tool pushed it" in shown
    for option in ("--bump patch", "--accept-foreign"):
        assert f"reconciler apply dataset_cleanup --organization another --env CUSTOM {option}" in shown


def test_an_unreachable_registry_is_an_error(cli: Cli, sandbox: Sandbox, no_pauses: None) -> None:
    copy_example("dataset_cleanup", cli.folder, "127.0.0.1:1")
    ended = cli("image", "dataset_cleanup")
    assert ended.code == 1
    assert "image/127.0.0.1:1/examples/dataset_cleanup could not be read" in ended.err
    assert ended.out == ""


def test_a_repository_in_its_own_image_is_warned_about(cli: Cli, home: Path) -> None:
    pipeline = copy_example("dataset_cleanup", cli.folder, "reg.io")
    (pipeline / ".git").mkdir()
    (pipeline / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    ignored = (pipeline / ".dockerignore").read_text()
    (pipeline / ".dockerignore").write_text("")
    assert "warning: the image would contain the folder .git" in cli("validate", "dataset_cleanup").err
    (pipeline / ".dockerignore").write_text(f"{ignored}\n.git\n")
    assert cli("validate", "dataset_cleanup").err == ""


def test_a_virtual_environment_in_the_image_is_warned_about_whatever_its_name(cli: Cli, home: Path) -> None:
    pipeline = copy_example("dataset_cleanup", cli.folder, "reg.io")
    (pipeline / "env").mkdir()
    (pipeline / "env" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    told = cli("validate", "dataset_cleanup").err
    assert "warning: the image would contain the folder env" in told
    assert "Add env to .dockerignore" in told


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("/bin/sh -c #(nop) COPY dir:1 in /app ", "COPY dir:1 in /app"),
        ("/bin/sh -c pip install  x", "RUN pip install x"),
        ("RUN /bin/sh -c pip install x # buildkit", "RUN pip install x"),
        ("RUN |1 TOKEN=hunter2 /bin/sh -c pip install x # buildkit", "RUN pip install x"),
        ("|2 TOKEN=hunter2 B=/bin/sh /bin/sh -c pip install x", "RUN pip install x"),
        ("COPY . /app # buildkit", "COPY . /app"),
        ("", ""),
    ],
)
def test_an_instruction_is_shown_as_in_a_dockerfile(written: str, shown: str) -> None:
    history = [{"created_by": "ENV A=1", "empty_layer": True}, {"created_by": written}]
    [layer] = layers(published(history, 1))
    assert layer.instruction == shown
    assert layer.of_base is None


@pytest.mark.parametrize(("count", "of_base"), [(1, [True, True, False]), (2, [True, False, False])])
def test_the_last_layers_of_append_are_told_from_its_base(count: int, of_base: list[bool]) -> None:
    """Also if the base was made by `append` itself, and so has a layer of its own."""
    base = [{"created_by": "ADD rootfs.tar /"}, {"created_by": f"COPY . /base {appended_mark(1, 1)}"}]
    ours = [{"created_by": f"COPY . /app {appended_mark(number + 1, count)}"} for number in range(count)]
    found = layers(published([*base, *ours][-3:], 3))
    assert [layer.of_base for layer in found] == of_base
    assert found[-1].instruction == "COPY . /app"


def test_an_inconsistent_history_is_left_out() -> None:
    assert [layer.instruction for layer in layers(published([{"created_by": "COPY . /"}], 2))] == ["", ""]


def published(history: list[dict[str, Any]], count: int) -> PublishedImage:
    return PublishedImage(
        digest="sha256:1",
        media_type="",
        manifest_digest="sha256:1",
        manifest_media_type="",
        platform="linux/amd64",
        config={"history": history},
        layers=tuple(Blob("", f"sha256:{number}", 1) for number in range(count)),
    )
