"""One set of files for two tools: each reads the logins that the other saved, and keeps what is in them."""

import io
import json
import stat
import sys
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.credentials import saved
from reconciler.credentials.saved import Login
from reconciler.credentials.target import resolve
from tests.conftest import Cli
from tests.official.installed import Official

pytestmark = pytest.mark.official

THEIR_VIEW = """
import json
from picsellia_pipelines_cli.commands.auth import _list_saved_contexts
from picsellia_pipelines_cli.utils.env_utils import Environment, get_env_config, read_current_context

organization, environment = read_current_context()
used = organization and get_env_config(None, None)
print(json.dumps({
    "in use": used and [used["organization_name"], used["env"], used["host"], used["api_token"]],
    "saved": [f"{organization}@{environment.value}" for organization, environment in _list_saved_contexts()],
}))
"""
THEIR_WRITES = """
from picsellia_pipelines_cli.utils.env_utils import Environment, env_key, set_current_context, write_env_line

write_env_line(env_key("Acme_Inc", Environment.PROD), "new-token")
write_env_line(env_key("later", Environment.LOCAL), "local-token")
set_current_context("later", Environment.LOCAL)
"""


def test_they_read_what_we_wrote_and_we_read_what_they_wrote_into_it(home: Path, official: Official) -> None:
    def they_see() -> dict[str, object]:
        seen: dict[str, object] = json.loads(
            official.code(THEIR_VIEW, cwd=home, environment={"HOME": str(home)})
        )
        return seen

    saved.save(Login("Acme_Inc", "PROD"), "prod-token")
    saved.save(Login("my-org", "STAGING"), "staging-token")
    saved.save(Login("my-org", "CUSTOM"), "custom/token+=", "https://picsellia.example:8443")
    assert they_see() == {
        "in use": ["my-org", "CUSTOM", "https://picsellia.example:8443", "custom/token+="],
        "saved": ["Acme_Inc@PROD", "my-org@CUSTOM", "my-org@STAGING"],
    }

    official.code(THEIR_WRITES, cwd=home, environment={"HOME": str(home)})
    assert " ".join(map(str, saved.logins())) == "Acme_Inc@PROD later@LOCAL my-org@CUSTOM my-org@STAGING"
    used = resolve(None, None, {})
    assert (used.organization, used.environment.name, used.token) == ("later", "LOCAL", "local-token")
    assert resolve("Acme_Inc", "PROD", {}).token == "new-token"
    assert resolve("my-org", "CUSTOM", {}).host == "https://picsellia.example:8443"

    saved.forget([Login("later", "LOCAL"), Login("my-org", "CUSTOM")])
    assert they_see() == {"in use": None, "saved": ["Acme_Inc@PROD", "my-org@STAGING"]}
    saved.use(Login("Acme_Inc", "PROD"))
    assert they_see()["in use"] == ["Acme_Inc", "PROD", "https://app.picsellia.com", "new-token"]


def test_an_organization_whose_name_has_a_blank_is_found_by_both(home: Path, official: Official) -> None:
    """The official CLI cannot read back what it writes for one itself; it can read ours."""
    saved.save(Login("Acme Inc", "PROD"), "prod-token")
    seen = json.loads(official.code(THEIR_VIEW, cwd=home, environment={"HOME": str(home)}))
    assert seen["in use"] == ["Acme Inc", "PROD", "https://app.picsellia.com", "prod-token"]
    assert resolve(None, None, {}).token == "prod-token"


def test_their_commands_and_ours_take_turns_at_one_login(
    cli: Cli, sandbox: Sandbox, home: Path, official: Official, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PICSELLIA_TOKEN", "PICSELLIA_ORGANIZATION", "PICSELLIA_ENV", "PICSELLIA_CUSTOM_ENV"):
        monkeypatch.delenv(name)
    where = ("--organization", sandbox.organization, "--env", "CUSTOM")
    environment = {"HOME": str(home)}

    official.cli(
        "login", *where, "--token", sandbox.token, cwd=home, environment=environment, answers=sandbox.url
    )
    files = [saved.credentials_file(), saved.context_file()]
    theirs = [file.read_bytes() for file in files]
    assert cli("whoami").code == 0

    monkeypatch.setattr(sys, "stdin", io.StringIO(sandbox.token))
    assert cli("login", *where, "--token-stdin").code == 0
    assert [file.read_bytes() for file in files] == theirs, "the same login is the same bytes"
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]

    printed = official.cli("switch", *where, cwd=home, environment=environment, answers="\n")
    assert f"Context switched to org={sandbox.organization} env=CUSTOM" in printed
    assert cli("logout").code == 0
    assert "no organization is selected" in cli("whoami").err
