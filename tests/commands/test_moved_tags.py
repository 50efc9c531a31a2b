"""Which tags each writing command moves, for each kind of environment. The registry is the witness.

TEST is written to; LIVE is the environment beside it. Both have the image in one repository. A write moves
only the channel tag that TEST itself registers, and none that an environment behind a gate has, too.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.conftest import Cli, Ended, copy_example

NAME = "dataset_cleanup"
CHANNELS = ("latest", "test", "live")
REFUSED = "refused"

# The keys of TEST and LIVE; keys that are declared when both run 1.0.1; and the tag that each command moves:
# a rollback, the apply after it, an apply or deploy that publishes, and a promotion of what LIVE published.
OWN = ('channel = "test"', 'channel = "live"')
TABLE: dict[str, tuple[tuple[str, str], tuple[str, str], tuple[str, str, str, str]]] = {
    "a channel of its own": (OWN, ("", ""), ("test", "test", "test", "test")),
    "a shared channel": (("", ""), ("", ""), ("latest", "latest", "latest", "")),
    "a follower": (('follows = "LIVE"', ""), ("", ""), ("latest", "latest", "latest", "")),
    "one that is followed": (("", 'follows = "TEST"'), ("", ""), ("latest", "latest", "latest", "")),
    "a pinned one": (('pin = "version"', ""), ("", ""), ("", "", "", "")),
    "beside a pinned one": (("", 'pin = "version"'), ("", ""), ("latest", "latest", "latest", "latest")),
    "behind a gate": (OWN, ('promote_from = "LIVE"', ""), ("test", "test", REFUSED, "test")),
    "beside a gate": (("", ""), ("", 'promote_from = "TEST"'), (REFUSED, "", REFUSED, "")),
    "a pinned one beside a gate": (
        ('pin = "version"', ""),
        ("", 'promote_from = "TEST"'),
        ("", "", "", ""),
    ),
    "one with a review": (OWN, ('review = "always"', ""), (REFUSED, "", REFUSED, REFUSED)),
}
VERBS = ("apply", "deploy")


class Workspace:
    """A pipeline and a reconciler.toml with TEST and LIVE."""

    def __init__(self, cli: Cli, sandbox: Sandbox) -> None:
        self._cli, self._sandbox = cli, sandbox
        self._file = cli.folder / "reconciler.toml"
        self._tables = (
            self._file.read_text().replace('channel = "test"\n', "").replace('channel = "live"\n', "")
        )
        self.folder = copy_example(NAME, cli.folder, sandbox.registry)

    def declare(self, test: tuple[str, ...], live: tuple[str, ...]) -> None:
        first, header, second = self._tables.partition("[environments.LIVE]\n")
        self._file.write_text(
            "\n".join([first.rstrip(), *test, "", header.rstrip(), second.rstrip(), *live, ""])
        )

    def edit(self) -> None:
        script = self.folder / "pipeline.py"
        script.write_text(f"{script.read_text()}# better\n")

    def tags(self) -> Mapping[str, str | None]:
        with RegistryClient(f"{self._sandbox.registry}/examples/{NAME}") as registry:
            return {tag: registry.digest(tag) for tag in (*CHANNELS, *(f"1.0.{n}" for n in range(6)))}

    def run(self, *words: str, environment: str = "TEST") -> Ended:
        where = () if "--from" in words or words[0] == "bump" else ("--env", environment)
        return self._cli(*words, NAME, *where)

    def succeed(self, *words: str, environment: str = "TEST") -> Ended:
        ended = self.run(*words, environment=environment)
        assert ended.code == 0, ended.out + ended.err
        return ended

    def moved(self, *words: str) -> str:
        """The tags that a command moved; or that it is refused, and wrote nothing."""
        before = self.tags()
        self._sandbox.clear_requests()
        ended = self.run(*words)
        after = self.tags()
        moved = [tag for tag, digest in before.items() if digest is not None and after[tag] != digest]
        if ended.code == 12:
            assert (moved, self._sandbox.writes()) == ([], []), words
            return REFUSED
        assert ended.code == 0, (words, ended.out + ended.err)
        return ", ".join(moved)


@pytest.mark.parametrize(("keys", "rules", "expected"), TABLE.values(), ids=TABLE.keys())
def test_a_command_moves_exactly_the_tags_of_its_environment(
    cli: Cli,
    environments: Sandbox,
    keys: tuple[str, str],
    rules: tuple[str, str],
    expected: tuple[str, str, str, str],
) -> None:
    rollback, restore, publish, promote = expected
    workspace = Workspace(cli, environments)
    workspace.declare((keys[0],), (keys[1],))
    for bump in ((), ("--bump", "patch")):
        for name in ("TEST", "LIVE"):
            workspace.succeed("apply", *bump, "--yes", environment=name)
        if not bump:
            workspace.edit()
    workspace.declare((keys[0], rules[0]), (keys[1], rules[1]))

    for words in (("plan",), ("plan", "--json"), ("adopt",), ("rollback", "--dry-run")):
        assert workspace.moved(*words) == "", words
    assert workspace.run("drift").code == 0
    moved = workspace.moved("rollback", "--yes")
    assert moved == rollback
    if moved != REFUSED:
        assert runs(environments, workspace) == workspace.tags()["1.0.0"], "it is back"
        assert workspace.run("drift").code == 10, "the files ask for 1.0.1"
        assert workspace.run("plan", "--exit-code").code == 10
    assert workspace.moved("apply", "--yes") == restore
    assert runs(environments, workspace) == workspace.tags()["1.0.1"]
    assert workspace.run("drift").code == 0
    for verb in VERBS:
        workspace.edit()
        assert workspace.moved(verb, "--bump", "patch", "--yes") == publish, verb
        if publish != REFUSED:
            assert workspace.run("drift").code == 0, verb
    workspace.edit()
    override = ("--override", "to promote it") if any(rules) else ()
    workspace.succeed("apply", "--bump", "patch", "--yes", *override, environment="LIVE")
    assert workspace.moved("promote", "--from", "LIVE", "--to", "TEST", "--yes") == promote
    if promote != REFUSED:
        assert runs(environments, workspace) == workspace.tags()[version_in(workspace.folder)]
    workspace.edit()
    assert workspace.moved("bump", "patch") == ""
    assert workspace.moved("destroy", "--yes") in ("", REFUSED)


def runs(sandbox: Sandbox, workspace: Workspace) -> str | None:
    """The digest behind the tag that TEST's platform has."""
    processing = sandbox.account("TEST").platform.processing(NAME)
    assert processing is not None
    return workspace.tags()[str(processing["docker_tag"])]


def version_in(folder: Path) -> str:
    line = next(line for line in (folder / "config.toml").read_text().splitlines() if "version =" in line)
    return line.split('"')[1]
