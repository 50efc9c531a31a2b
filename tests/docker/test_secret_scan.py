"""Secrets in a build context: found before the first byte goes anywhere, whichever builder is used."""

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from providers.docker.builders.select import BuilderName, select
from providers.docker.registry.published_secrets import secrets_of_configuration
from providers.docker.source.archive import archive
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource, context
from providers.docker.source.secret_scan import Secret, SecretError, secrets_of
from providers.hiding import HIDDEN
from providers.protocol import silent
from reconciler.pipeline.schema import ImageOptions
from tests.docker.proxy import Answer, proxy_to
from tests.docker.tokens import tokens
from tests.services import Registry

TOKEN = tokens()["github classic"]
PICSELLIA = tokens()["picsellia variable"].partition("=")[2]
TODAY = datetime.now(UTC).date()


def found(folder: Path, **settings: object) -> list[tuple[str, int | None]]:
    source = ImageSource(folder=folder, **settings)  # type: ignore[arg-type]
    return [(secret.path, secret.line) for secret in secrets_of(source)]


def test_a_small_pipeline_has_no_secrets(folder: Path) -> None:
    assert found(folder) == []


def test_a_token_is_found_with_its_file_and_line(folder: Path) -> None:
    (folder / "utils" / "steps.py").write_text(f"STEPS = 3\n\nTOKEN = '{TOKEN}'\n")
    (folder / "weights.bin").write_bytes(os.urandom(70_000) + b"\0" + TOKEN.encode() + b"\0")
    assert list(secrets_of(ImageSource(folder=folder))) == [
        Secret("utils/steps.py", "a GitHub token", 3),
        Secret("weights.bin", "a GitHub token"),
    ]


def test_an_ignored_file_is_not_in_the_image(folder: Path) -> None:
    (folder / ".env").write_text("A=b\n")
    assert found(folder) == [(".env", None)]
    (folder / ".dockerignore").write_text(".env\n")
    assert found(folder) == []


def test_a_file_of_secrets_names_the_line_of_a_token_in_it(folder: Path) -> None:
    (folder / ".env").write_text(f"A=b\nB={TOKEN}\n")
    assert found(folder) == [(".env", 2)]
    (folder / ".env").write_text("")
    assert found(folder) == [], "an empty file holds none"


def test_a_link_is_no_copy(folder: Path) -> None:
    (folder / ".env").symlink_to("/etc/hostname")
    assert found(folder) == []


def test_a_registry_login(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {"reg.io": {"auth": "dXNlcjpwYXNz"}}}, indent=1))
    assert found(folder) == [("config.json", 4)]


def test_the_packed_bytes_are_searched_not_those_on_disk(folder: Path) -> None:
    (folder / "config.toml").write_text(f"# {TOKEN}\n")
    assert found(folder, replaced={"config.toml": b"clean"}) == []
    assert found(folder, replaced={"config.toml": f"a\n{TOKEN}".encode()}) == [("config.toml", 2)]


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        (f"ENV PICSELLIA_TOKEN={PICSELLIA}", True),
        (f"ENV PICSELLIA_TOKEN {PICSELLIA}", True),
        ("ENV A=b DB_PASSWORD='correct horse battery'", True),
        ("ARG PIP_TOKEN=not-so-random", True),
        ("ARG PIP_TOKEN", False),
        ("ENV HF_TOKEN=$HF_TOKEN", False),
        ("ENV HF_HOME=/cache/huggingface", False),
        (f"RUN curl -H 'Authorization: Bearer {PICSELLIA}' example.com", True),
        ("RUN --mount=type=secret,id=PIP_TOKEN pip install x", False),
    ],
)
@pytest.mark.parametrize("ignored", [True, False])
def test_the_dockerfile_whether_it_is_in_the_context_or_not(
    folder: Path, line: str, secret: bool, ignored: bool
) -> None:
    (folder / "Dockerfile").write_text(f"FROM scratch\n{line}\n")
    (folder / ".dockerignore").write_text("Dockerfile\n" if ignored else "")
    assert found(folder) == ([("Dockerfile", 2)] if secret else [])


RUN_SECRETS = (
    "export DB_PASSWORD=hunter2-correct-horse && make",
    "pip install --index-url https://me:hunter2x@pypi.example.com/simple x",
    "tool --password=hunter2-correct-horse",
    f"curl -H 'Authorization: Bearer {PICSELLIA}' example.com",
    f"echo {TOKEN}",
    f"login('{TOKEN}')",
)
HEREDOCS = {
    "RUN <<EOF\n{}\nEOF": 1,
    "RUN <<-'EOF' bash -e\n\tset -x\n\t{}\n\tEOF": 2,
    "ONBUILD RUN python3 <<EOF\n\n{}\nEOF": 2,
    "RUN <<ONE && sh <<TWO\nmake\nONE\nmake\n{}\nTWO": 4,
    "RUN a \\\n  b <<EOF\n{}\nEOF": 2,
}


@pytest.mark.parametrize("heredoc", HEREDOCS)
@pytest.mark.parametrize("line", RUN_SECRETS)
def test_a_line_that_is_run_is_searched_alike_in_a_heredoc(folder: Path, line: str, heredoc: str) -> None:
    (folder / "Dockerfile").write_text(f"FROM scratch\nRUN {line}\n")
    assert found(folder) == [("Dockerfile", 2)]
    (folder / "Dockerfile").write_text(f"FROM scratch\n{heredoc.format(line)}\nENV A=1\n")
    assert found(folder) == [("Dockerfile", 2 + HEREDOCS[heredoc])]
    (folder / "Dockerfile").write_text(f"FROM scratch\n{heredoc.format('make')}\nENV A=1\n")
    assert found(folder) == []


@pytest.mark.parametrize(
    ("instruction", "secret"),
    [
        ("COPY <<EOF /app/.env", True),
        ("COPY --chmod=600 <<EOF /root/.netrc", True),
        ('ADD <<"EOF" "/root/.pypirc"', True),
        ("ONBUILD COPY <<EOF .env", True),
        ("COPY <<EOF /app/.env.example", False),
        ("COPY <<EOF /app/notes.txt", False),
    ],
)
def test_a_file_that_a_heredoc_makes_counts_by_its_name(folder: Path, instruction: str, secret: bool) -> None:
    (folder / "Dockerfile").write_text(f"FROM scratch\n{instruction}\nMODE=fast\nEOF\n")
    assert found(folder) == ([("Dockerfile", 3)] if secret else [])


def test_a_file_that_a_heredoc_makes_in_a_folder_has_the_name_of_its_end(folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY <<.env /app/\nMODE=fast\n.env\n")
    assert found(folder) == [("Dockerfile", 3)]


@pytest.mark.parametrize("shape", sorted(tokens()))
def test_a_search_while_the_source_is_hashed_finds_what_a_search_alone_finds(
    folder: Path, shape: str
) -> None:
    token = tokens()[shape]
    for name in ("a.py", "b/c.txt", ".env", "config.json", "api_token"):
        path = folder / "found" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"x = 1\n{token}\n")
    (folder / "large.py").write_text(f"{'x = 1' * 30_000}\n{token}\n")
    (folder / "small.clean").write_text("x = 1\n")
    (folder / "large.clean").write_text("x = 1\n" * 30_000)
    (folder / "wide.txt").write_text(f"{token}\n", "utf-16")
    (folder / "link.py").symlink_to("found/a.py")
    (folder / "config.toml").write_text(f"# {token}\n")
    replaced = {"config.toml": f"\n# {token}\n".encode()}
    source = ImageSource(folder=folder, keyed=replaced, replaced=replaced)

    suspects = fingerprint(source, search=True).suspects

    assert suspects is not None and not any(path.endswith(".clean") for path in suspects)
    assert list(secrets_of(source, suspects=suspects)) == list(secrets_of(source)) != []


def test_each_clean_file_is_read_once_for_its_key_and_its_secrets(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = os.open

    def note(path: str, *arguments: int, **options: int | None) -> int:
        opened.append(str(path))
        return real(path, *arguments, **options)

    (folder / "large.bin").write_bytes(bytes(200_000))
    monkeypatch.setattr(os, "open", note)
    source = ImageSource(folder=folder)
    suspects = fingerprint(source, search=True).suspects
    assert list(secrets_of(source, suspects=suspects)) == []
    counts = {path: opened.count(path) for path in opened if not path.endswith("Dockerfile")}
    assert len(counts) > 1 and set(counts.values()) == {1}


def test_build_arguments_and_variables(folder: Path) -> None:
    source = ImageSource(
        folder=folder,
        build_args={"VERSION": "1", "X": TOKEN, "PICSELLIA_TOKEN": PICSELLIA},
        env={"HF_TOKEN": tokens()["hugging face"], "MODE": "fast", "SSH_PASSWORD": "hunter2hunter2"},
        replaced={"pipelines/a/config.toml": b""},
    )
    assert [(secret.setting, secret.path) for secret in secrets_of(source)] == [
        (setting, "pipelines/a/config.toml")
        for setting in ("build_args.X", "build_args.PICSELLIA_TOKEN", "env.HF_TOKEN", "env.SSH_PASSWORD")
    ]


SETTINGS: dict[str, object] = {
    "entrypoint": ("python", f"--token={TOKEN}"),
    "workdir": f"/app/{TOKEN}",
    "base": f"python:{TOKEN}",
    "platform": f"linux/{TOKEN}",
    "dockerfile": f"{TOKEN}/Dockerfile",
    "target": TOKEN,
    "secrets": {TOKEN: "A"},
    "cache_from": (f"type=registry,token={TOKEN}",),
    "cache_to": (f"type=registry,token={TOKEN}",),
    "sbom_generator": f"sbom:{TOKEN}",
    "build_args": {TOKEN: "a"},
    "env": {"A": TOKEN},
}
NEVER_IN_AN_IMAGE = {"builder", "context", "accepted_secrets", "config", "provenance", "sbom"}


@pytest.mark.parametrize("setting", ImageOptions.__struct_fields__)
def test_every_setting_of_the_image_is_searched(folder: Path, setting: str) -> None:
    if setting in NEVER_IN_AN_IMAGE:
        return
    source = ImageSource(folder=folder, **{setting: SETTINGS[setting]})  # type: ignore[arg-type]
    found = [(secret.setting.partition(".")[0], secret.kind) for secret in secrets_of(source)]
    assert found == [(setting, "a GitHub token")]


@pytest.mark.parametrize(
    ("entrypoint", "secret"),
    [
        (("env", "DB_PASSWORD=hunter2", "python"), True),
        (("python", "--api-token", PICSELLIA), True),
        (("python", "--index", "https://me:hunter2@host/simple"), True),
        (("python", "--token-file", "/run/secrets/token"), False),
        (("python", "--password=$DB_PASSWORD"), False),
    ],
)
def test_an_entrypoint_is_judged_like_one_of_a_dockerfile(
    folder: Path, entrypoint: tuple[str, ...], secret: bool
) -> None:
    assert bool([*secrets_of(ImageSource(folder=folder, entrypoint=entrypoint))]) is secret
    (folder / "Dockerfile").write_text(f"FROM scratch\nENTRYPOINT {json.dumps(entrypoint)}\n")
    assert bool(found(folder)) is secret
    config = {"config": {"Entrypoint": list(entrypoint)}}
    assert [each.path for each in secrets_of_configuration(config)] == ["setting Entrypoint"] * secret


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"config": {"Entrypoint": ["a", f"--x={TOKEN}"]}}, "setting Entrypoint"),
        ({"config": {"Cmd": [TOKEN]}}, "setting Cmd"),
        ({"config": {"Healthcheck": {"Test": ["CMD", TOKEN]}}}, "setting Healthcheck"),
        ({"config": {"OnBuild": ["RUN true", f"RUN x {TOKEN}"]}}, "on build 2"),
        ({"config": {"User": TOKEN}}, "setting User"),
        ({"config": {"WorkingDir": f"/{TOKEN}"}}, "setting WorkingDir"),
        ({"config": {"Volumes": {f"/{TOKEN}": {}}}}, "setting Volumes"),
        ({"config": {"ExposedPorts": {TOKEN: {}}}}, "setting ExposedPorts"),
        ({"config": {"StopSignal": TOKEN}}, "setting StopSignal"),
        ({"config": {"Shell": ["sh", TOKEN]}}, "setting Shell"),
        ({"config": {"Env": [f"A={TOKEN}"]}}, "environment A"),
        ({"config": {"Env": [f"{TOKEN}=a"]}}, f"environment {HIDDEN}"),
        ({"config": {"Labels": {TOKEN: "a"}}}, f"label {HIDDEN}"),
        ({TOKEN: "a"}, f"setting {HIDDEN}"),
        ({"config": {"Labels": {"a": TOKEN}}}, "label a"),
        ({"author": TOKEN}, "setting author"),
        ({"comment": TOKEN}, "setting comment"),
        ({"container_config": {"Cmd": [TOKEN]}}, "setting container_config"),
        ({"history": [{"created_by": "RUN a"}, {"comment": TOKEN}]}, "history 2"),
        ({"history": [{"author": TOKEN}]}, "history 1"),
    ],
)
def test_every_text_of_a_configuration_is_searched(config: dict[str, object], place: str) -> None:
    assert [(each.path, each.kind) for each in secrets_of_configuration(config)] == [
        (place, "a GitHub token")
    ]


def test_a_plain_configuration_has_no_secrets() -> None:
    number = "0a" * 32
    config = {
        "id": number,
        "architecture": "amd64",
        "config": {"Image": f"sha256:{number}", "User": "", "Cmd": None, "OnBuild": None, "Volumes": None},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{number}"]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "RUN make", "empty_layer": True}],
    }
    assert list(secrets_of_configuration(config)) == []


@pytest.fixture(params=["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """A time zone of this machine. At any time, one of them has another date than UTC."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


def test_an_accepted_one_is_packed_until_its_last_day_in_utc(zone: str, folder: Path) -> None:
    (folder / "key.pem").write_text(tokens()["rsa key"])

    def pack(until: date) -> bytes:
        source = ImageSource(folder=folder, accepted_secrets={"key.pem": until})
        return b"".join(archive(source, context(source)))

    assert b"PRIVATE KEY" in pack(TODAY)
    assert b"PRIVATE KEY" in pack(TODAY + timedelta(days=1))
    with pytest.raises(SecretError, match=r"would hold a private key \(key.pem:1\)"):
        pack(TODAY - timedelta(days=1))


@pytest.mark.parametrize("shape", sorted(tokens()))
def test_no_message_holds_a_secret(folder: Path, shape: str) -> None:
    token = tokens()[shape]
    (folder / "notes.txt").write_text(token)
    source = ImageSource(folder=folder, build_args={"TOKEN": token})
    with pytest.raises(SecretError) as caught:
        archive(source, context(source))
    said = repr(caught.value.secrets) + str(caught.value) + caught.value.hint
    assert not any(token[at : at + 8] in said for at in range(12, len(token) - 8) if " " not in token)
    assert token[-16:] not in said


WAYS = ["a file", "the Dockerfile", "a build argument"]


@pytest.mark.registry
@pytest.mark.parametrize("where", WAYS)
@pytest.mark.parametrize("name", get_args(BuilderName)[1:])
def test_no_builder_sends_a_byte(
    registry: Registry,
    push_base: Callable[..., str],
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    name: BuilderName,
    where: str,
) -> None:
    """With a registry, an Engine and a `docker` command that note everything that reaches them."""
    if where == "a file":
        (folder / "utils" / "zz.py").write_text(f"TOKEN = '{TOKEN}'\n")
    if where == "the Dockerfile":
        (folder / "Dockerfile").write_text(f"FROM scratch\nENV GH={TOKEN}\nCOPY . /\n")
    arguments = {"GH": TOKEN} if where == "a build argument" else {}
    calls = tmp_path_factory.mktemp("bin") / "calls"
    command = calls.with_name("docker")
    command.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    base = push_base(registry, "secrets/base")
    with proxy_to(registry.address) as door, proxy_to("") as engine:
        version = json.dumps({"ApiVersion": "1.43", "Version": "24.0"}).encode()
        engine.answering = lambda method, path, body, who: Answer(200, version)
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{engine.address}")
        source = ImageSource(folder=folder, build_args=arguments, base=base)
        with pytest.raises(SecretError):
            select(name, source).publish(source, f"{door.address}/secrets/app", "1.0.0", {}, silent)
    assert [seen.method for seen in door.seen if seen.method not in ("GET", "HEAD")] == []
    assert [seen.path for seen in engine.seen if "build" in seen.path or seen.received] == []
    assert not calls.exists() or "build" not in calls.read_text()
