"""A secret in the build context is refused before any request. A published secret is found."""

import gzip
import io
import json
import re
import tarfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import OCI_MANIFEST, Blob, sha256
from providers.docker.source import secret_scan
from providers.protocol import silent
from providers.sandbox import Fault, Sandbox
from tests.conftest import Cli, copy_example
from tests.docker.tokens import tokens

NAME = "dataset_cleanup"
TOKEN = tokens()["picsellia variable"]
GITHUB = tokens()["github fine"]
TODAY = datetime.now(UTC).date()


@pytest.fixture
def pipeline(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example(NAME, cli.folder, sandbox.registry)


def accept(pipeline: Path, path: str, until: date) -> None:
    with (pipeline / "config.toml").open("a") as config:
        config.write(f'\n[[reconciler.image.accepted_secrets]]\npath = "{path}"\n')
        config.write(f'reason = "for tests"\nuntil = {until}\n')


def line_of(path: Path, text: str) -> int:
    return path.read_text().splitlines().index(text) + 1


@pytest.mark.parametrize("ignore_file", [True, False])
@pytest.mark.parametrize(
    "command",
    [
        ["apply", NAME],
        ["apply", NAME, "--yes"],
        ["deploy", NAME, "--yes"],
        ["apply", NAME, "--bump", "patch"],
    ],
)
def test_a_token_in_an_env_file_is_refused_before_anything_is_sent(
    cli: Cli, sandbox: Sandbox, pipeline: Path, command: list[str], ignore_file: bool
) -> None:
    if ignore_file:
        (pipeline / ".dockerignore").write_text("*.log\n")
    (pipeline / ".env").write_text(f"# mine\n{TOKEN}\n")
    before = (pipeline / "config.toml").read_bytes()

    ended = cli(*command)

    assert ended.code == 12, ended.err
    assert "the image would hold an environment file" in ended.err
    assert f"{NAME}/.env:2" in ended.err
    assert "Add .env to .dockerignore" in ended.err
    assert 'secrets = ["NAME"]' in ended.err
    assert "accepted_secrets" in ended.err
    assert TOKEN.partition("=")[2][:8] not in ended.out + ended.err
    assert sandbox.writes() == []
    assert (pipeline / "config.toml").read_bytes() == before

    (pipeline / ".dockerignore").write_text(".env\n")
    assert cli(*command).code == 0


def test_every_command_that_reads_the_files_reports_the_secret(
    cli: Cli, sandbox: Sandbox, pipeline: Path
) -> None:
    (pipeline / "utils" / "client.py").write_text(f"import x\n\nKEY = '{GITHUB}'\n")
    said = f"{NAME}/utils/client.py:3"

    validated = cli("validate", NAME)
    assert (validated.code, said in validated.err) == (12, True)
    assert sandbox.requests() == [], "offline"

    planned = cli("plan", NAME)
    assert (planned.code, said in planned.err) == (0, True)
    assert cli("plan", NAME, "--exit-code").code == 12
    document = json.loads(cli("plan", NAME, "--json").out)
    (problem,) = [each for each in document["diagnostics"] if each["severity"] == "error"]
    assert problem["summary"] == "the image would hold a GitHub token"
    assert (Path(problem["file"]).name, problem["line"]) == ("client.py", 3)
    assert cli("plan", "--all", "--exit-code").code == 12
    assert sandbox.writes() == []


def test_deploy_asks_for_no_version_of_a_source_with_a_secret(
    cli: Cli, sandbox: Sandbox, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("deploy", NAME, "--yes").code == 0
    (pipeline / ".netrc").write_text("machine a login b password c\n")
    sandbox.clear_requests()

    def asked(*_: object, **__: object) -> str:
        raise AssertionError("asked for a version")

    monkeypatch.setattr("reconciler.cli.prompts.is_interactive", lambda: True)
    monkeypatch.setattr("reconciler.cli.handlers.deploy.choose", asked)
    ended = cli("deploy", NAME, "--yes")
    assert ended.code == 12, ended.err
    assert "the image would hold a file of credentials" in ended.err
    assert sandbox.writes() == []


def test_settings_are_searched(cli: Cli, sandbox: Sandbox, pipeline: Path) -> None:
    config = pipeline / "config.toml"
    line = f'env = {{ MODE = "fast", HF_TOKEN = "{tokens()["hugging face"]}" }}'
    config.write_text(config.read_text().replace('builder = "append"', f'builder = "append"\n{line}'))
    ended = cli("apply", NAME)
    assert ended.code == 12
    assert ended.err.count("the image would hold") == 2, "one finding for the line, and the refusal"
    assert f"config.toml:{line_of(config, line)}" in ended.err
    assert sandbox.writes() == []

    (pipeline / ".dockerignore").write_text("config.toml\n")
    ended = cli("apply", NAME)
    assert (ended.code, f"config.toml:{line_of(config, line)}" in ended.err) == (12, True)


def test_an_entrypoint_is_searched_and_its_token_not_shown(
    cli: Cli, sandbox: Sandbox, pipeline: Path
) -> None:
    config, plain = pipeline / "config.toml", (pipeline / "config.toml").read_text()
    assert cli("apply", NAME).code == 0
    line = f'entrypoint = ["python", "--token={GITHUB}"]'
    config.write_text(
        re.sub("(?m)^entrypoint = .*\n", "", plain).replace(
            'builder = "append"', f'builder = "append"\n{line}'
        )
    )
    (pipeline / ".dockerignore").write_text("config.toml\n")
    sandbox.clear_requests()

    ended = cli("apply", NAME, "--bump", "patch")
    assert (ended.code, f"config.toml:{line_of(config, line)}" in ended.err) == (12, True), ended.err
    assert sandbox.writes() == []
    shown = cli("image", NAME)
    for text in (ended.out, ended.err, shown.out, shown.err, cli("image", NAME, "--json").out):
        assert GITHUB not in text
    assert "--token=(a secret, not shown)" in shown.out


def test_no_setting_of_another_tools_image_shows_a_token(cli: Cli, sandbox: Sandbox, pipeline: Path) -> None:
    settings: dict[str, object] = {
        "created": GITHUB,
        "config": {
            "Entrypoint": ["python", f"--token={GITHUB}"],
            "Labels": {"org.opencontainers.image.revision": GITHUB},
        },
        "history": [{"created_by": f"RUN curl -H {GITHUB}"}],
    }
    repository = f"{sandbox.registry}/examples/dataset_cleanup"
    publish(repository, [layer({"app/a.py": b"print(1)"})], settings)

    found = cli("image", NAME, "--secrets")
    assert found.code == 12, found.err
    assert "setting Entrypoint" in found.out
    assert "history 1" in found.out
    assert GITHUB not in found.out + found.err


@pytest.mark.parametrize("path", ["./key.pem", "keys/../key.pem", ".//key.pem"])
def test_an_acceptance_matches_any_spelling_of_its_path(cli: Cli, pipeline: Path, path: str) -> None:
    (pipeline / "key.pem").write_text(tokens()["rsa key"])
    accept(pipeline, path, TODAY)
    ended = cli("validate", NAME)
    assert ended.code == 0, ended.err
    assert "accepted_secrets" not in ended.err


def test_an_acceptance_has_a_last_day(cli: Cli, sandbox: Sandbox, pipeline: Path) -> None:
    (pipeline / "key.pem").write_text(tokens()["rsa key"])
    plain = (pipeline / "config.toml").read_text()

    accept(pipeline, "key.pem", TODAY - timedelta(days=1))
    ended = cli("apply", NAME)
    assert ended.code == 12
    assert f"acceptance expired on {TODAY - timedelta(days=1)} (for tests)" in ended.err
    assert sandbox.writes() == []

    (pipeline / "config.toml").write_text(plain)
    accept(pipeline, "key.pem", TODAY)
    assert cli("validate", NAME).code == 0
    assert cli("apply", NAME).code == 0


def test_an_unused_acceptance_is_reported_with_its_line(cli: Cli, pipeline: Path) -> None:
    accept(pipeline, "keys.pem", TODAY)
    ended = cli("validate", NAME)
    assert ended.code == 0
    assert "accepted_secrets names keys.pem, which contains no secret" in ended.err
    line = line_of(pipeline / "config.toml", "[[reconciler.image.accepted_secrets]]")
    assert f"config.toml:{line}" in ended.err


def test_a_certificate_an_example_and_a_model_configuration_are_no_secrets(cli: Cli, pipeline: Path) -> None:
    (pipeline / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG\n")
    (pipeline / ".env.example").write_text("PICSELLIA_TOKEN=\n")
    (pipeline / "config.json").write_text('{"hidden_size": 768}')
    assert cli("validate", NAME).code == 0


def test_many_secrets_are_counted_and_the_first_are_listed(cli: Cli, pipeline: Path) -> None:
    for number in range(30):
        (pipeline / f"key_{number:02}.pem").write_text(tokens(number)["key"])
    ended = cli("validate", NAME)
    assert ended.code == 12
    assert "key_19.pem" in ended.err and "key_20.pem" not in ended.err
    assert "and 10 more secrets" in ended.err


def test_a_published_secret_is_a_warning(
    cli: Cli, sandbox: Sandbox, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example after an acceptance expired: there is no build, and the secret is already public."""
    (pipeline / ".env").write_text(f"{TOKEN}\n")
    accept(pipeline, ".env", TODAY)
    assert cli("apply", NAME).code == 0
    sandbox.clear_requests()

    planned = cli("plan", NAME, "--exit-code")
    assert planned.code == 0
    assert "accepted" not in planned.err
    with monkeypatch.context() as later:
        later.setattr(secret_scan, "today", lambda: TODAY + timedelta(days=1))
        applied = cli("apply", NAME)
    assert applied.code == 0
    assert "warning: the published image holds an environment file" in applied.err
    assert "Revoke it, then publish a version without it." in applied.err

    found = cli("image", NAME, "--secrets")
    assert found.code == 12, found.err
    assert "experiment/dataset_cleanup/.env" in found.out
    assert "an environment file" in found.out
    assert TOKEN.partition("=")[2][:8] not in found.out + found.err
    document = json.loads(cli("image", NAME, "--json", "--secrets").out)["secrets"]
    assert [each["path"] for each in document["found"]] == ["experiment/dataset_cleanup/.env"]
    assert document["of_base"] > 0
    assert sandbox.writes() == []


def test_a_clean_image_has_no_secrets(cli: Cli, sandbox: Sandbox, pipeline: Path) -> None:
    assert cli("apply", NAME).code == 0
    found = cli("image", NAME, "--secrets")
    assert found.code == 0, found.err
    assert "no secrets in 1 layer and the settings" in found.out


def layer(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def publish(repository: str, layers: list[bytes], config: dict[str, object]) -> None:
    """Publish an image as another tool could make it."""
    whole = json.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [sha256(each) for each in layers]},
            **config,
        }
    ).encode()
    blobs = [Blob("application/vnd.oci.image.layer.v1.tar+gzip", sha256(each), len(each)) for each in layers]
    top = Blob("application/vnd.oci.image.config.v1+json", sha256(whole), len(whole))
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": top.descriptor(),
        "layers": [blob.descriptor() for blob in blobs],
    }
    with RegistryClient(repository) as client:
        for blob, content in zip([*blobs, top], [*layers, whole], strict=True):
            client.upload(blob, lambda start, content=content: [content[start:]], silent)  # type: ignore[misc]
        client.put_manifest("1.0.0", OCI_MANIFEST, json.dumps(manifest).encode())


def test_every_layer_and_setting_of_another_tools_image_is_searched(
    cli: Cli, sandbox: Sandbox, pipeline: Path
) -> None:
    """Including files that a later layer deletes. An unreadable layer is not clean."""
    key, hugging = tokens()["openssh key"].encode(), tokens()["hugging face"].encode()
    first = gzip.compress(layer({"root/.ssh/id_ed25519": key, "etc/passwd": b"root:x:0:0\n"}))
    parts = layer({"app/weights.bin": bytes(3_000_000) + b" " + hugging + b" " + bytes(3_000_000)})
    second = gzip.compress(parts[:5000]) + gzip.compress(parts[5000:])
    plain = layer({"root/.ssh/.wh.id_ed25519": b"", "app/clean.py": b"print(1)"})
    repository = f"{sandbox.registry}/examples/dataset_cleanup"
    settings = {
        "config": {"Env": ["PATH=/bin", f"GH={GITHUB}"], "Labels": {"a": "b"}},
        "history": [
            {"created_by": "COPY . /"},
            {"created_by": "RUN |1 PIP_PASSWORD=correct-horse-battery /bin/sh -c pip install x # buildkit"},
            {"created_by": "COPY x /"},
        ],
    }
    publish(repository, [first, second, plain], settings)

    document = json.loads(cli("image", NAME, "--json", "--secrets").out)["secrets"]
    assert [(each["layer"], each["path"]) for each in document["found"]] == [
        (None, "environment GH"),
        (None, "history 2"),
        (sha256(first), "root/.ssh/id_ed25519"),
        (sha256(second), "app/weights.bin"),
    ]
    assert (document["unread"], document["searched"], document["of_base"]) == ([], 3, 0)

    publish(repository, [first, b"\x28\xb5\x2f\xfd" + bytes(100)], {"config": {}})
    ended = cli("image", NAME, "--secrets")
    assert ended.code == 13
    assert "compressed with zstd" in ended.out
    assert "id_ed25519" in ended.out


def test_a_registry_that_stops_answering_is_not_waited_for_at_each_layer(
    cli: Cli, sandbox: Sandbox, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [gzip.compress(layer({f"app/{number}.py": b"print(1)"})) for number in range(5)]
    publish(f"{sandbox.registry}/examples/dataset_cleanup", layers, {"config": {}})
    monkeypatch.setenv("RECONCILER_TIMEOUT", "0.5")
    first = sha256(layers[0])
    sandbox.switch(faults=[Fault(f"/blobs/{first}", "hang", times=None)])
    sandbox.clear_requests()
    ended = cli("image", NAME, "--json", "--secrets")
    assert ended.code == 13, ended.err
    assert len(json.loads(ended.out)["secrets"]["unread"]) == 5
    asked = [request["path"] for request in sandbox.requests() if request["method"] == "GET"]
    assert not any(sha256(each) in path for each in layers[1:] for path in asked)
