"""A token crosses a network only with encryption, unless the user allows it where the address comes from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from providers.docker.builders import engine
from providers.http import Session
from providers.picsellia.platform import Platform
from providers.sandbox import Sandbox
from reconciler.api.environments import Environment
from reconciler.core.platforms import is_plain
from reconciler.credentials.target import resolve
from state.errors import StoreUnavailableError
from state.stores.opening import open_store
from tests.conftest import Cli, copy_example
from tests.docker.proxy import Answer, Proxy, proxy_to

HOST: Final = "http://picsellia.internal:8000"
TOKEN: Final = "token-of-the-platform"
FILE: Final = f"""\
[environments.EU]
organization = "my-org"
host = "{HOST}"
"""


@pytest.fixture
def network(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Everything that is sent to other machines by http."""
    with proxy_to("") as proxy:
        proxy.answering = lambda method, path, body, who: Answer(401, b"{}")
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{proxy.address}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PICSELLIA_TOKEN", TOKEN)
        monkeypatch.setenv("PICSELLIA_ORGANIZATION", "my-org")
        yield proxy


@pytest.mark.parametrize("command", ["whoami", "drift", "plan", "login"])
def test_no_token_crosses_a_network_in_the_open(
    command: str, network: Proxy, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICSELLIA_ENV", "CUSTOM")
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", HOST)
    (cli.folder / "app").mkdir()
    (cli.folder / "app" / "config.toml").write_text(
        "[metadata]\nname = 'app'\nversion = '1.0.0'\ntype = 'PRE_ANNOTATION'\n[execution]\n"
        "[docker]\nimage_name = 'user/app'\n[reconciler.image]\nbuilder = 'append'\nbase = 'user/base'\n"
    )
    arguments = {
        "whoami": ["whoami"],
        "login": ["login", "--host", HOST, "--organization", "my-org"],
    }.get(command, [command, "app"])
    if command == "login":
        monkeypatch.setattr(
            "sys.stdin", type("Pipe", (), {"isatty": lambda s: False, "read": lambda s: TOKEN})()
        )
        arguments.append("--token-stdin")

    ended = cli(*arguments)

    assert ended.code in (1, 13), ended.err
    assert f"would be sent to {HOST} without encryption" in ended.err + ended.out
    assert "PICSELLIA_ALLOW_HTTP=true" in ended.err + ended.out
    assert network.seen == []

    monkeypatch.setenv("PICSELLIA_ALLOW_HTTP", "true")
    if command == "login":
        monkeypatch.setattr(
            "sys.stdin", type("Pipe", (), {"isatty": lambda s: False, "read": lambda s: TOKEN})()
        )
    cli(*arguments)
    assert any("/api/organizations/find" in seen.path for seen in network.seen)


def test_an_address_of_the_workspace_is_allowed_there(network: Proxy, cli: Cli) -> None:
    file = cli.folder / "reconciler.toml"
    file.write_text(FILE)
    ended = cli("whoami", "--env", "EU")
    assert (ended.code, network.seen) == (1, [])
    assert "environments.EU.host has no encryption" in ended.err
    assert f"{file}:3" in ended.err or "reconciler.toml:3" in ended.err

    file.write_text(f"{FILE}allow_http = true\n")
    cli("whoami", "--env", "EU")
    assert network.seen


def test_the_allowance_of_a_file_is_for_its_own_address(
    network: Proxy, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cli.folder / "reconciler.toml").write_text(f"{FILE}allow_http = true\n")
    monkeypatch.setenv("PICSELLIA_EU_ENV", "http://elsewhere.internal")
    ended = cli("whoami", "--env", "EU")
    assert "would be sent to http://elsewhere.internal without encryption" in ended.err + ended.out
    assert network.seen == []


def test_a_program_is_refused_as_well(network: Proxy) -> None:
    target = Environment("EU", "my-org", host=HOST, token=TOKEN).target()
    assert not target.allows_http
    assert resolve("my-org", "LOCAL", {"PICSELLIA_TOKEN": TOKEN}).host == "http://localhost:8000"


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        *(("https://h.example.com", False), ("http://localhost:8000", False), ("http://127.0.0.1", False)),
        *(("http://[::1]:80", False), ("http://h.example.com", True), ("http://10.0.0.5:8000", True)),
        *(("http://localhost.example.com", True), ("http://app.localhost", True), ("http://0.0.0.0", True)),
    ],
)
def test_this_machine_needs_no_encryption(address: str, plain: bool) -> None:
    assert is_plain(address) == plain


BUCKETS: Final = {
    "s3://bucket/x": ("AWS", "ENDPOINT_URL"),
    "gs://bucket/x": ("GOOGLE", "BASE_URL"),
    "az://bucket/x": ("AZURE", "STORAGE_ENDPOINT"),
}


@pytest.mark.parametrize("url", BUCKETS)
def test_no_state_crosses_a_network_in_the_open(
    url: str, network: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix, name = BUCKETS[url]
    monkeypatch.setenv(f"{prefix}_{name}", "http://storage.internal:9000")
    with pytest.raises(StoreUnavailableError, match="without encryption") as problem:
        open_store(url, patience=1).stacks()
    assert f"{prefix}_ALLOW_HTTP=true" in problem.value.hint
    assert network.seen == []


def test_an_allowed_bucket_is_opened(network: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ENDPOINT_URL": "http://storage.internal:9000", "ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "key")
    with pytest.raises(StoreUnavailableError) as problem:
        open_store("s3://bucket/x", patience=1).stacks()
    assert "without encryption" not in problem.value.message


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_request_to_this_machine_uses_a_proxy(scheme: str, host: str, network: Proxy) -> None:
    """The proxy is usually another machine, and would read the token: nor does a redirect lead there."""
    url, session = f"{scheme}://{host}:8000/api", Session()
    there = f"{scheme}://picsellia.internal/api"
    for verify in (None, True):  # the short way, and that of requests
        assert session.merge_environment_settings(url, {}, None, verify, None)["proxies"] == {}
        assert session.merge_environment_settings(there, {}, None, verify, None)["proxies"]
    redirected = requests.Request("GET", url, headers={"Proxy-Authorization": "Basic eDp5"}).prepare()
    proxies = dict.fromkeys(("http", "https"), f"http://me:password@{network.address}")
    assert session.rebuild_proxies(redirected, proxies) == {}
    assert "Proxy-Authorization" not in redirected.headers
    assert session.rebuild_proxies(requests.Request("GET", there).prepare(), {})


def test_a_platform_on_this_machine_is_used_without_the_proxy(
    cli: Cli, sandbox: Sandbox, network: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICSELLIA_TOKEN", sandbox.token)
    monkeypatch.setenv("PICSELLIA_ORGANIZATION", sandbox.organization)
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    for command in ("whoami", "plan", "apply", "drift", "status", "destroy"):
        options = ["--yes"] if command in ("apply", "destroy") else []
        ended = cli(command, *(["dataset_cleanup"] if command != "whoami" else []), *options)
        assert ended.code in (0, 10), f"{command}: {ended.err}"
        assert network.seen == [], command
    assert sandbox.writes()


@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_to_the_same_platform_uses_no_proxy_either(status: int, network: Proxy) -> None:
    with proxy_to("") as home:

        def answer(method: str, path: str, body: bytes, who: str) -> Answer:
            if path.startswith("/moved"):
                return Answer(200, b'{"id": "1"}')
            return Answer(status, headers={"Location": f"http://{home.address}/moved{path}"})

        home.answering = answer
        with Platform(f"http://{home.address}", TOKEN, "my-org"):
            pass
        assert [seen.authorization for seen in home.seen] == [f"Bearer {TOKEN}"] * 2
    assert network.seen == []


def test_an_engine_on_this_machine_is_used_without_the_proxy(
    network: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A push sends the login for the registry to it."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    version = Answer(200, b'{"ApiVersion": "1.44"}', {"Content-Type": "application/json"})
    network.answering = lambda method, path, body, who: version  # docker-py asks before it can be told
    with proxy_to("") as home:
        home.answering = lambda method, path, body, who: version
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{home.address}")
        with engine._engine(5) as api:
            network.seen.clear()
            api.push("reg.io/app", auth_config={"username": "me", "password": TOKEN})
        assert home.requests("POST", "/images/reg.io/app/push")
    assert network.seen == []
