"""One sandbox serves several environments and organizations; none of them sees anything of another."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import picsellia
import pytest
import requests
from picsellia import exceptions

from providers.picsellia.kinds import KINDS
from providers.sandbox import Account, Environment, Sandbox, SandboxError, Settings
from providers.sandbox.images import OCI_MANIFEST

SETTINGS = Settings(
    environments=(Environment("TEST", ("north", "south")), Environment("LIVE", ("north", "Équipe Sud")))
)


@pytest.fixture(scope="module")
def _running() -> Iterator[Sandbox]:
    with Sandbox(SETTINGS) as sandbox:
        yield sandbox


@pytest.fixture
def several(_running: Sandbox) -> Sandbox:
    _running.reset()
    return _running


@pytest.fixture
def accounts(several: Sandbox) -> list[Account]:
    """All organizations, each with a processing, an input, a model and a version of the same names."""
    found = [
        several.account(environment.name, organization)
        for environment in SETTINGS.environments
        for organization in environment.organizations
    ]
    for account in found:
        account.platform.create_processing("app", description=account.url + account.organization)
        account.platform.add_input("app", "text")
        account.platform.create_model("Apples")
        account.platform.create_version("Apples", "v1", framework="ONNX")
    return found


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def client(account: Account, session: requests.Session) -> "picsellia.Client":
    return picsellia.Client(
        api_token=account.token,
        organization_name=account.organization,
        host=account.url,
        session=session,
    )


def test_the_sdk_works_in_each_of_them(accounts: list[Account]) -> None:
    ids = set()
    for account in accounts:
        with requests.Session() as session:
            sdk = client(account, session)
            (processing,) = sdk.list_processings()
            (model,) = sdk.list_models()
            version = model.get_version("v1")
            version.update(docker_image_name="registry/train", docker_tag="1.0.0")
            processing.update(default_cpu=7)
            ids |= {sdk.id, processing.id, model.id, version.id}
            assert sdk.get_processing("app") == processing
        assert account.platform.processing("app")["default_cpu"] == 7
        assert account.platform.version("Apples", "v1")["docker_tag"] == "1.0.0"
    assert len(ids) == 4 * len(accounts), "ids are unique over all organizations"


def test_a_token_opens_its_own_organization_only(accounts: list[Account]) -> None:
    assert len({account.token for account in accounts}) == len(accounts)
    for one, other in itertools.permutations(accounts, 2):
        stranger = Account(
            lambda *_, **__: {"id": ""},
            other.environment,
            other.url,
            other.organization,
            one.token,
            one.read_only_token,
        )
        message = "No organization is named" if one.url == other.url else "credentials"
        with requests.Session() as session, pytest.raises(exceptions.PicselliaError, match=message):
            client(stranger, session)


def test_no_call_reaches_an_object_of_another_organization(
    several: Sandbox, accounts: list[Account], session: requests.Session
) -> None:
    """Every call of every kind, with the ids of each other organization."""
    before = contents(accounts)
    calls = 0
    known = {account: list(calls_on(account)) for account in accounts}
    several.clear_requests()
    for one, other in itertools.permutations(accounts, 2):
        for method, path in known[other]:
            answer = session.request(
                method,
                one.url + path,
                json={"name": "taken", "docker_tag": "9"} if method != "GET" else None,
                headers={"Authorization": f"Bearer {one.token}"},
                timeout=30,
            )
            assert answer.status_code == 404, (method, path, answer.text)
            calls += 1
    assert calls == len(several.requests()) > 200
    assert contents(accounts) == before


def calls_on(account: Account) -> Iterator[tuple[str, str]]:
    """Every call with the id of an object of this organization."""
    platform = account.platform
    with requests.Session() as session:
        organization = client(account, session).id
    ids = {
        "organization": organization,
        "processing": platform.processing("app")["id"],
        "model": platform.model("Apples")["id"],
        "model-version": platform.version("Apples", "v1")["id"],
    }
    yield "GET", f"/api/organization/{organization}"
    for name, kind in KINDS.items():
        facts = kind.facts.collection
        if facts is None:
            continue
        path = facts.path.replace("{parent}", ids[kind.facts.parent or "organization"])
        yield from (("GET", path), ("POST", path))
        yield from (("GET", f"{path}/find?{key}=v1") for key in facts.find_by)
        item = facts.item.replace("{parent}", ids[kind.facts.parent or "organization"])
        item = item.replace("{name}", "text").replace("{id}", ids.get(name, ""))
        yield from ((method, item) for method in (facts.change_method, "DELETE"))
        if "{id}" in facts.item:
            yield "GET", item


def contents(accounts: list[Account]) -> list[object]:
    return [
        [
            account.platform.processings(),
            account.platform.inputs("app"),
            account.platform.models(),
            account.platform.versions("Apples"),
        ]
        for account in accounts
    ]


def test_the_registry_is_one_and_has_one_address(several: Sandbox, session: requests.Session) -> None:
    assert session.get(f"http://{several.registry}/v2/base/python/manifests/3.11", timeout=30).ok
    elsewhere = session.get(f"{several.account('LIVE').url}/v2/base/python/manifests/3.11", timeout=30)
    assert elsewhere.status_code == 404
    assert several.registry in elsewhere.json()["errors"][0]["message"]


def test_each_token_is_a_password_of_a_registry_that_wants_one(
    several: Sandbox, accounts: list[Account], session: requests.Session
) -> None:
    several.switch(registry_auth=True)
    url = f"http://{several.registry}/v2/base/python/manifests/3.11"
    manifest = session.get(url, auth=("robot", accounts[0].token), timeout=30).content
    for account in accounts:
        for token, status in ((account.token, 201), (account.read_only_token, 403)):
            answer = session.put(
                url, manifest, auth=("robot", token), headers={"Content-Type": OCI_MANIFEST}, timeout=30
            )
            assert answer.status_code == status


def test_the_log_and_faults_can_be_for_one_environment(several: Sandbox, session: requests.Session) -> None:
    test, live = several.account("TEST"), several.account("LIVE")
    several.fail("GET", "/api/home/ping$", 503, times=None, environment="LIVE")
    several.clear_requests()
    answered = [
        session.get(
            f"{account.url}/api/home/ping", headers={"Authorization": f"Bearer {account.token}"}, timeout=30
        ).status_code
        for account in (test, live)
    ]
    assert answered == [200, 503]
    logged = {name: several.requests(environment=name) for name in ("TEST", "LIVE")}
    assert [[entry["status"] for entry in logged[name]] for name in logged] == [[200], [503]]


def test_a_reset_empties_all_of_them(several: Sandbox, accounts: list[Account]) -> None:
    several.switch(unknown_enums=True)
    assert [len(account.platform.processings()) for account in accounts] == [2] * 4
    several.reset()
    assert [account.platform.processings() for account in accounts] == [[]] * 4


def test_they_are_the_same_after_a_restart_and_in_a_process_of_their_own(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path, environments=SETTINGS.environments)
    with Sandbox(settings, subprocess=True) as sandbox:
        before = [
            sandbox.account(name).platform.create_processing("app", description=name)
            for name in ("TEST", "LIVE")
        ]
        tokens = [sandbox.account(name).token for name in ("TEST", "LIVE")]
    with Sandbox(settings) as sandbox:
        assert [sandbox.account(name).platform.processing("app") for name in ("TEST", "LIVE")] == before
        assert [sandbox.account(name).token for name in ("TEST", "LIVE")] == tokens
        with pytest.raises(SandboxError, match="no organization east"):
            sandbox.account("TEST", "east")


def test_the_code_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "sandbox.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    with Sandbox() as sandbox:
        call = blocks[0].replace("http://localhost:8000", sandbox.url)
        assert eval(call, {"Client": picsellia.Client}).name == "sandbox"
    exec(blocks[1], {})
    assert "sandbox-token-" in capsys.readouterr().out


@pytest.mark.parametrize(
    "environments",
    [
        (Environment("TEST"), Environment("TEST")),
        (Environment("TEST", ("north", "north")),),
        (Environment("TEST", ()),),
    ],
)
def test_names_that_are_not_clear_are_refused(environments: tuple[Environment, ...]) -> None:
    with pytest.raises(ValueError):
        Settings(environments=environments)
