"""The commands that use a far end, and a user with two platforms, a registry, and state in a bucket."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example
from tests.state.gcs import Gcs
from tests.state.servers import Bucket, use

APP_NAME = "dataset_cleanup"
PLATFORM, REGISTRY, BUCKET = "^/api/", "^/v2/", "gs://records/team"
EVERYWHERE = (PLATFORM, REGISTRY, BUCKET)
STACK = "STACK"  # replaced by that of TEST
HERE = (APP_NAME, "--env", "TEST")
COMMANDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("login", "--env", "TEST", "--organization", "my-test-org", "--token-stdin"): (PLATFORM,),
    ("whoami", "--env", "TEST"): (PLATFORM,),
    ("deploy", *HERE, "--yes"): EVERYWHERE,
    ("plan", *HERE): EVERYWHERE,
    ("plan", "--all", "--env", "TEST"): EVERYWHERE,
    ("apply", *HERE, "--yes", "--bump", "patch", "--force-bump"): EVERYWHERE,
    ("drift", *HERE): EVERYWHERE,
    ("status", *HERE): EVERYWHERE,
    ("status", "--matrix", "--all"): EVERYWHERE,
    ("image", *HERE): (REGISTRY,),
    ("image", *HERE, "--verify"): (REGISTRY,),
    ("contract", *HERE, "1.0.0", "1.0.1"): (BUCKET,),
    ("list", "--stale", "--env", "TEST"): (BUCKET,),
    ("dashboard", "--out", "pages"): (BUCKET,),
    ("adopt", *HERE, "--yes"): (PLATFORM, BUCKET),
    ("promote", APP_NAME, "--from", "TEST", "--to", "LIVE", "--yes"): EVERYWHERE,
    ("rollback", *HERE, "--yes"): EVERYWHERE,
    ("state", "list"): (BUCKET,),
    ("state", "claims"): (BUCKET,),
    ("state", "diff", STACK, "1", "2"): (BUCKET,),
    ("state", "unlock", STACK): (BUCKET,),
    ("state", "show", STACK): (BUCKET,),
    ("state", "history", STACK): (BUCKET,),
    ("state", "verify", STACK): (BUCKET,),
    ("state", "copy", BUCKET, "elsewhere.db"): (BUCKET,),
    ("state", "forget", STACK, "input/dataset_cleanup/archive", "--yes"): (BUCKET,),
    ("state", "move", STACK, f"{STACK}-moved"): (BUCKET,),
    ("state", "move", f"{STACK}-moved", STACK): (BUCKET,),
    ("destroy", *HERE, "--yes"): (PLATFORM, BUCKET),
}
"""The commands that use a far end, in an order in which each one has something to do."""


@dataclass(frozen=True)
class User:
    """A user with a pipeline that was never applied.

    Attributes:
        sandbox: the platforms TEST and LIVE, beside one registry.
        bucket: the server of the state.
    """

    cli: Cli
    sandbox: Sandbox
    bucket: Gcs

    @property
    def token(self) -> str:
        return self.sandbox.account("TEST").token

    def names(self, far_end: str) -> list[str]:
        """A far end in messages."""
        platforms = [self.sandbox.account(name).url.partition("//")[2] for name in ("TEST", "LIVE")]
        return {PLATFORM: platforms, REGISTRY: [self.sandbox.registry], BUCKET: [BUCKET]}[far_end]

    def arguments(self, command: tuple[str, ...]) -> list[str]:
        """A command of the table, as the user gives it."""
        stack = f"my-test-org@{self.names(PLATFORM)[0]}/{APP_NAME}"
        return [argument.replace(STACK, stack) for argument in command]


@contextmanager
def signed_in(cli: Cli, environments: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """A user with state in a bucket."""
    copy_example(APP_NAME, cli.folder, environments.registry)
    with Gcs("records") as server:
        use(Bucket("", {"GOOGLE_BASE_URL": server.url, "GOOGLE_BEARER_TOKEN": "not-a-secret"}), monkeypatch)
        monkeypatch.setenv("RECONCILER_STATE", BUCKET)
        yield User(cli, environments, server)
