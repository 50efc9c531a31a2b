"""A value comes from the first source that has it: flag, variable, reconciler.toml, saved file, default."""

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest

from reconciler.core.diagnostics import UserError
from reconciler.credentials.target import Target, resolve
from reconciler.workspace.reader import find_workspace

SOURCES = ("flag", "variable", "file", "saved")
"""In their order; "default" comes last."""
EVERY = [
    frozenset(source for source, here in zip(SOURCES, chosen, strict=True) if here)
    for chosen in product([True, False], repeat=len(SOURCES))
]
SETS = pytest.mark.parametrize(
    "sources", EVERY, ids=lambda sources: "-".join(s for s in SOURCES if s in sources) or "none"
)


class User:
    """A user with values in some sources: each value is the name of its source."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.saved = home / ".config" / "picsellia"
        self.saved.mkdir(parents=True)
        self.folder = folder
        folder.mkdir()
        self.variables: dict[str, str] = {}
        self.organization: str | None = None

    def save(self, context: Mapping[str, str], entries: Mapping[str, str]) -> None:
        (self.saved / "context.json").write_text(json.dumps(context))
        (self.saved / ".env").write_text("".join(f"'{name}'={value}\n" for name, value in entries.items()))

    def declare(self, text: str) -> None:
        (self.folder / "reconciler.toml").write_text(text)

    def target(self, environment: str | None = None) -> Target:
        declared = find_workspace(self.folder).declared()
        return resolve(self.organization, environment, self.variables, declared)

    @property
    def places(self) -> dict[str, str]:
        """How a target names the files."""
        return {
            "file": f"{self.folder / 'reconciler.toml'}:",
            "context": str(self.saved / "context.json"),
            "entries": str(self.saved / ".env"),
        }


@pytest.fixture
def user(home: Path, tmp_path: Path) -> User:
    return User(home, tmp_path / "workspace")


def first(sources: frozenset[str]) -> str:
    return next((source for source in SOURCES if source in sources), "default")


@SETS
def test_the_environment(user: User, sources: frozenset[str]) -> None:
    """A reconciler.toml declares environments; it chooses none."""
    names = {"flag": "LOCAL", "variable": "STAGING", "saved": "CUSTOM", "default": "PROD"}
    user.variables = {"PICSELLIA_TOKEN": "t", "PICSELLIA_CUSTOM_ENV": "https://c.example"}
    user.organization = "org"
    if "variable" in sources:
        user.variables["PICSELLIA_ENV"] = "staging"
    if "file" in sources:
        user.declare('[environments.EU]\norganization = "eu"\nhost = "https://eu.example"')
    if "saved" in sources:
        user.save({"env": "CUSTOM"}, {})

    target = user.target("local" if "flag" in sources else None)

    chosen = first(sources - {"file"})
    assert target.environment.name == names[chosen]
    assert (
        target.environment_from
        == {
            "flag": "--env",
            "variable": "PICSELLIA_ENV",
            "saved": user.places["context"],
            "default": "default",
        }[chosen]
    )


@SETS
def test_the_organization(user: User, sources: frozenset[str]) -> None:
    user.variables = {"PICSELLIA_TOKEN": "t"}
    if "flag" in sources:
        user.organization = "flag"
    if "variable" in sources:
        user.variables["PICSELLIA_ORGANIZATION"] = "variable"
    if "file" in sources:
        user.declare('[environments.STAGING]\norganization = "file"')
    if "saved" in sources:
        user.save({"organization": "saved", "env": "PROD"}, {})
    if not sources:
        with pytest.raises(UserError, match="no organization"):
            user.target("STAGING")
        return

    target = user.target("STAGING")

    assert target.organization == first(sources)
    assert (
        target.organization_from
        == {
            "flag": "--organization",
            "variable": "PICSELLIA_ORGANIZATION",
            "file": f"{user.places['file']}2",
            "saved": user.places["context"],
        }[first(sources)]
    )


@pytest.mark.parametrize("name", ["CUSTOM", "EU"])
@SETS
def test_the_host(user: User, sources: frozenset[str], name: str) -> None:
    if name == "EU" and not sources & {"file", "saved"}:
        return  # nothing gives the environment its name
    user.variables = {"PICSELLIA_TOKEN": "t"}
    user.organization = "org"
    if "variable" in sources:
        user.variables[f"PICSELLIA_{name}_ENV"] = "https://variable.example"
    if "file" in sources:
        user.declare(f'[environments.{name}]\norganization = "o"\nhost = "https://file.example/"')
    if "saved" in sources:
        user.save({}, {f"PICSELLIA_{name}_ENV": "https://saved.example"})
    chosen = first(sources - {"flag"})  # no command but login has a flag for it
    if chosen == "default":
        with pytest.raises(UserError, match="has no address"):
            user.target(name)
        return

    target = user.target(name)

    assert target.host == f"https://{chosen}.example"
    assert (
        target.host_from
        == {
            "variable": f"PICSELLIA_{name}_ENV",
            "file": f"{user.places['file']}3",
            "saved": user.places["entries"],
        }[chosen]
    )


def test_the_host_of_a_known_environment_is_fixed(user: User) -> None:
    user.variables = {"PICSELLIA_TOKEN": "t", "PICSELLIA_STAGING_ENV": "https://variable.example"}
    user.organization = "org"
    user.save({}, {"PICSELLIA_STAGING_ENV": "https://saved.example"})
    assert user.target("STAGING").host == "https://staging.picsellia.com"


@SETS
def test_the_token(user: User, sources: frozenset[str]) -> None:
    """The file names a variable; no flag takes a token, so "flag" stands for the variable of one login."""
    user.organization = "org"
    if "flag" in sources:
        user.variables["PICSELLIA_TOKEN"] = "flag"
    if "variable" in sources:
        user.variables["PICSELLIA_org_STAGING_API_TOKEN"] = "variable"
    if "file" in sources:
        user.declare('[environments.STAGING]\norganization = "o"\ntoken = "OURS"')
        user.variables["OURS"] = "file"
    if "saved" in sources:
        user.save({}, {"PICSELLIA_org_STAGING_API_TOKEN": "saved"})
    if not sources:
        with pytest.raises(UserError, match="no API token for org@STAGING"):
            user.target("STAGING")
        return

    target = user.target("STAGING")

    assert target.token == first(sources)
    assert (
        target.token_from
        == {
            "flag": "PICSELLIA_TOKEN",
            "variable": "PICSELLIA_org_STAGING_API_TOKEN",
            "file": f"OURS, named in {user.places['file']}3",
            "saved": user.places["entries"],
        }[first(sources)]
    )


def test_a_variable_that_the_file_names_and_that_is_not_set(user: User) -> None:
    user.declare('[environments.STAGING]\norganization = "o"\ntoken = "OURS"')
    with pytest.raises(UserError) as problem:
        user.target("STAGING")
    assert "Set OURS, or log in: reconciler login --organization o --env STAGING" in str(
        problem.value.diagnostics[0].detail
    )
    user.save({}, {"PICSELLIA_o_STAGING_API_TOKEN": "saved"})
    assert user.target("STAGING").token == "saved"


@pytest.mark.parametrize("name", ["CUSTOM", "EU"])
@pytest.mark.parametrize("before", ["https://other.example", "nonsense", None])
def test_a_saved_token_is_not_sent_to_another_address_of_a_file(
    user: User, name: str, before: str | None
) -> None:
    """A reconciler.toml may come with a repository that is not yours."""
    user.declare(f'[environments.{name}]\norganization = "o"\nhost = "https://evil.example"')
    address = {f"PICSELLIA_{name}_ENV": before} if before else {}
    user.save({}, {f"PICSELLIA_o_{name}_API_TOKEN": "saved-token", **address})

    with pytest.raises(UserError) as problem:
        user.target(name)

    (told,) = problem.value.diagnostics
    assert told.summary == f"the saved token of o@{name} is not for https://evil.example"
    assert f"{user.places['file']}3 has this address" in told.detail
    assert "saved-token" not in told.detail

    user.save(
        {}, {f"PICSELLIA_o_{name}_API_TOKEN": "saved-token", f"PICSELLIA_{name}_ENV": "https://evil.example/"}
    )
    assert user.target(name).token == "saved-token", "the user logged in there"


def test_an_unknown_environment_lists_the_declared_ones(user: User) -> None:
    user.declare('[environments.EU]\norganization = "o"\nhost = "https://eu.example"')
    with pytest.raises(UserError) as problem:
        user.target("MOON")
    assert "Use one of PROD, STAGING, LOCAL, CUSTOM, EU." in problem.value.diagnostics[0].detail
