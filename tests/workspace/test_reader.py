"""reconciler.toml: the whole of it, every mistake with its line, and where it is found."""

import subprocess
from pathlib import Path

import pytest

from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.workspace.reader import find_workspace, load, read
from reconciler.workspace.schema import Workspace, WorkspaceEnvironment

SECRET = "c0ffee0123456789c0ffee0123456789c0ffee01"

WHOLE = """\
[workspace]
pipelines = ["pipelines/**", "clip/training"]
exclude = ["pipelines/legacy/**"]
state = "s3://bucket/prefix"
name = "vision"

[environments.STAGING]
organization = "test-account"
channel = "staging"
token = "PICSELLIA_STAGING_TOKEN"

[environments.EU]
host = "HTTPS://Picsellia.example.com:443/"
organization = "eu-team"

[environments.PROD]
organization = "picsell"
channel = "prod"
promote_from = "STAGING"
review = "destructive"
follows = "EU"
pin = "version"

[defaults.image]
builder = "buildx"

[groups]
sam = ["pipelines/SAM*"]
"""


def workspace(text: str) -> Workspace:
    found, problems = read(text, Path("/repo/reconciler.toml"))
    assert problems == ()
    assert found is not None
    return found


def problems_of(text: str) -> tuple[Diagnostic, ...]:
    found, problems = read(text, Path("/repo/reconciler.toml"))
    assert found is None
    for problem in problems:
        assert problem.line is not None and problem.detail, problem
        assert SECRET not in f"{problem.summary}{problem.detail}"
    return problems


def test_everything_that_a_file_can_declare() -> None:
    found = workspace(WHOLE)

    assert (found.root, found.name, found.state) == (Path("/repo"), "vision", "s3://bucket/prefix")
    assert list(map(str, found.pipelines)) == ["pipelines/**", "clip/training"]
    assert list(map(str, found.exclude)) == ["pipelines/legacy/**"]
    assert {name: list(map(str, globs)) for name, globs in found.groups.items()} == {
        "sam": ["pipelines/SAM*"]
    }
    assert found.defaults == {"image": {"builder": "buildx"}}
    assert list(found.environments.values()) == [
        WorkspaceEnvironment(
            "STAGING",
            "test-account",
            "https://staging.picsellia.com",
            channel="staging",
            token="PICSELLIA_STAGING_TOKEN",
        ),
        WorkspaceEnvironment("EU", "eu-team", "https://picsellia.example.com"),
        WorkspaceEnvironment(
            "PROD",
            "picsell",
            "https://app.picsellia.com",
            channel="prod",
            promote_from="STAGING",
            review="destructive",
            follows="EU",
            pin="version",
        ),
    ]


def test_each_value_has_its_line() -> None:
    found = workspace(WHOLE)
    assert found.place("environments", "STAGING", "channel") == "/repo/reconciler.toml:9"
    assert found.place("environments", "EU", "token") == "/repo/reconciler.toml:12", "the table's"
    assert found.place("nothing") == "/repo/reconciler.toml"
    assert found.environments["EU"].lines == {"": 12, "host": 13, "organization": 14}


def test_an_empty_file_declares_nothing() -> None:
    assert workspace("") == Workspace(Path("/repo"), Path("/repo/reconciler.toml"))


@pytest.mark.parametrize(
    ("state", "url"),
    [
        ("state.db", "/repo/state.db"),
        ("sqlite:///states/state.db", "sqlite:////repo/states/state.db"),
        ("/srv/state.db", "/srv/state.db"),
        ("sqlite:////srv/state.db", "sqlite:////srv/state.db"),
        ("~/state.db", "~/state.db"),
        ("gs://bucket", "gs://bucket"),
    ],
)
def test_a_path_of_state_is_relative_to_the_workspace(state: str, url: str) -> None:
    assert workspace(f'[workspace]\nstate = "{state}"').state == url


ENVIRONMENT = '[environments.STAGING]\norganization = "o"\n'

MISTAKES = {
    "a table that does not exist": (
        '[environment.STAGING]\norganization = "o"',
        1,
        "environment is not a table of reconciler.toml",
        "Did you mean 'environments'?",
    ),
    "a key of no table": ('state = "s3://b"', 1, "state is not a table", "workspace"),
    "a key of the workspace": (
        '[workspace]\nname = "x"\npipeline = ["a"]',
        3,
        "workspace.pipeline is not a setting",
        "Did you mean 'pipelines'?",
    ),
    "a key of an environment": (
        ENVIRONMENT + 'chanel = "x"',
        3,
        "environments.STAGING.chanel is not a setting",
        "Did you mean 'channel'?",
    ),
    "a key of the defaults": (
        '[defaults.image]\nbuildr = "append"',
        2,
        "defaults.image.buildr is not a setting",
        "Did you mean 'builder'?",
    ),
    "an overlay in the defaults": (
        "[defaults.env.PROD.docker]\ncpu = 1",
        1,
        "defaults.env",
        "[defaults] has",
    ),
    "a default that is none": (
        '[defaults.image]\nbuilder = "bildx"',
        2,
        "defaults.image.builder must be",
        "Did you mean 'buildx'?",
    ),
    "a table that is a text": ('workspace = "x"', 1, "workspace must be a table", "[workspace]"),
    "an environment that is a text": (
        '[environments]\nPROD = "picsell"',
        2,
        'environments.PROD must be a table, not "picsell"',
        "[environments.PROD]",
    ),
    "no organization": (
        '\n[environments.STAGING]\nchannel = "x"',
        2,
        "environments.STAGING.organization is missing",
        'organization = "my-org"',
    ),
    "an empty organization": (
        '[environments.STAGING]\norganization = " "',
        2,
        "environments.STAGING.organization is empty",
        "Give it a value",
    ),
    "an organization with a login": (
        f'[environments.STAGING]\norganization = "me:{SECRET}@my-org"',
        2,
        "environments.STAGING.organization contains a login",
        'organization = "my-org"',
    ),
    "an organization that is an address": (
        '[environments.STAGING]\norganization = "https://app.picsellia.com/my-org"',
        2,
        "environments.STAGING.organization is an address",
        'organization = "my-org"',
    ),
    "an organization that is a number": (
        "[environments.STAGING]\norganization = 4",
        2,
        "environments.STAGING.organization must be text, not 4",
        "quotes",
    ),
    "no host": (
        '[environments.EU]\norganization = "o"',
        1,
        "environments.EU.host is missing",
        "Give any other environment one",
    ),
    "a misspelt environment": (
        '[environments.STAGIN]\norganization = "o"',
        1,
        "environments.STAGIN.host is missing",
        "Did you mean 'STAGING'?",
    ),
    "a host that is none": (
        '[environments.EU]\norganization = "o"\nhost = "picsellia.example.com"',
        3,
        "environments.EU.host is not the address of a platform",
        "must start with http",
    ),
    "a host with a password": (
        f'[environments.EU]\norganization = "o"\nhost = "https://me:{SECRET}@x.example"',
        3,
        "environments.EU.host is not the address of a platform",
        "user name or password",
    ),
    "a host without encryption": (
        '[environments.EU]\norganization = "o"\nhost = "http://picsellia.internal:8000"',
        3,
        "environments.EU.host has no encryption",
        "allow_http = true to [environments.EU]",
    ),
    "an allowance that is a text": (
        ENVIRONMENT + 'allow_http = "true"',
        3,
        "environments.STAGING.allow_http must be true or false",
        "without quotes",
    ),
    "another host for a known environment": (
        '[environments.PROD]\norganization = "o"\nhost = "https://elsewhere.example"',
        3,
        "PROD is always at https://app.picsellia.com",
        "another name",
    ),
    "a name in small letters": (
        '[environments.eu_west]\norganization = "o"\nhost = "https://x.example"',
        1,
        '"eu_west" cannot be the name of an environment',
        "[environments.EU-WEST]",
    ),
    "a channel that is no tag": (ENVIRONMENT + 'channel = "a/b"', 3, 'channel "a/b" is not a tag', "letters"),
    "a channel that is a version": (
        ENVIRONMENT + 'channel = "1.0"',
        3,
        'channel "1.0" is a version',
        "never",
    ),
    "a channel that uploads have": (
        ENVIRONMENT + 'channel = "reconciler-upload"',
        3,
        'channel "reconciler-upload" is the tag of an image that is being uploaded',
        "another word",
    ),
    "a channel that signatures have": (
        ENVIRONMENT + f'channel = "sha256-{"0a" * 32}.sig"',
        3,
        "is the tag of statements and signatures about an image",
        "another word",
    ),
    "a channel that is a list": (
        ENVIRONMENT + "channel = []",
        3,
        "channel must be text, not a list",
        "quotes",
    ),
    "a token instead of its variable": (
        ENVIRONMENT + f'token = "{SECRET}"',
        3,
        "environments.STAGING.token is not the name of an environment variable",
        "never the token",
    ),
    "a token that is a list": (
        ENVIRONMENT + f'token = ["{SECRET}"]',
        3,
        "environments.STAGING.token is not the name of an environment variable",
        "never the token",
    ),
    "a review that does not exist": (
        ENVIRONMENT + 'review = "allways"',
        3,
        'environments.STAGING.review cannot be "allways"',
        "Did you mean 'always'?",
    ),
    "a pin that does not exist": (ENVIRONMENT + 'pin = "tag"', 3, "pin cannot be", "channel, version"),
    "a promotion from nowhere": (
        ENVIRONMENT + 'promote_from = "STAGE"',
        3,
        'environments.STAGING.promote_from names "STAGE", which this file does not declare',
        "Did you mean 'STAGING'?",
    ),
    "an environment that follows itself": (
        ENVIRONMENT + 'follows = "STAGING"',
        3,
        "follows leads in a circle: STAGING -> STAGING",
        "Remove follows",
    ),
    "an environment that follows what its gate should keep out": (
        ENVIRONMENT
        + '[environments.PROD]\norganization = "o"\nfollows = "STAGING"\npromote_from = "STAGING"',
        5,
        "PROD follows STAGING, so promote_from keeps nothing out of it",
        "Replace follows by a channel",
    ),
    "the same environment twice": (
        '[environments.PROD]\norganization = "o"\n'
        '[environments.LIVE]\norganization = "o"\nhost = "https://APP.picsellia.com"',
        3,
        "PROD and LIVE are the same environment",
        "the organization o at https://app.picsellia.com",
    ),
    "globs that are a text": (
        '[workspace]\npipelines = "a"',
        2,
        "workspace.pipelines must be a list",
        "Write [",
    ),
    "globs that are numbers": (
        "[workspace]\nexclude = [1]",
        2,
        "workspace.exclude must be a list",
        "Write [",
    ),
    "no globs": ("[workspace]\npipelines = []", 2, "workspace.pipelines is empty", "Give it a glob"),
    "an empty glob": ('[workspace]\npipelines = [\n"a",\n" "]', 4, "is empty", "pipelines/**"),
    "a glob that leads out": ('[workspace]\nexclude = ["../x"]', 2, 'the glob "../x" of', "pipelines/**"),
    "an absolute glob": ('[groups]\nsam = ["/x"]', 2, "is not relative to the workspace", "pipelines/**"),
    "a glob of another system": (
        "[groups]\nsam = ['a\\b']",
        2,
        "has a backslash",
        "pipelines/**",
    ),
    "groups that are no lists": (
        '[groups]\nsam = "pipelines/SAM*"',
        2,
        "groups.sam must be a list",
        "Write [",
    ),
    "state of a store that does not exist": (
        '[workspace]\nstate = "ftp://x"',
        2,
        "workspace.state is not usable: no state store supports this ftp:// URL",
        "s3://bucket/prefix",
    ),
    "state with a password": (
        f'[workspace]\nstate = "s3://me:{SECRET}@bucket"',
        2,
        "workspace.state is not usable",
        "credentials come from variables",
    ),
    "no TOML": ("[workspace\n", 1, "reconciler.toml is not valid TOML", "The rest of the file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_with_its_line_and_the_way_out(mistake: str) -> None:
    text, line, summary, way = MISTAKES[mistake]

    (problem,) = problems_of(text)

    assert summary in problem.summary
    assert way in problem.detail
    assert (problem.file, problem.line) == (Path("/repo/reconciler.toml"), line)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_commands_stop_at_each_mistake(mistake: str, tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text(MISTAKES[mistake][0])
    with pytest.raises(UserError) as problem:
        find_workspace(tmp_path)
    assert MISTAKES[mistake][2] in problem.value.diagnostics[0].summary


def test_every_problem_is_reported_at_once_in_the_order_of_the_file() -> None:
    problems = problems_of(
        '[workspace]\nnam = "x"\n[environments.EU]\ntoken = "x"\n[environments.PROD]\nfollows = "MOON"\n'
    )
    assert [problem.line for problem in problems] == [2, 3, 3, 4, 5, 6]


def test_each_circle_is_reported_once() -> None:
    links = {"PROD": "STAGING", "STAGING": "LOCAL", "LOCAL": "STAGING"}
    text = "".join(
        f'[environments.{name}]\norganization = "o"\npromote_from = "{other}"\n'
        for name, other in links.items()
    )
    (problem,) = problems_of(text)
    assert problem.summary == "promote_from leads in a circle: STAGING -> LOCAL -> STAGING"
    assert problem.line == 6


@pytest.mark.parametrize("content", [b"\xff\xfe", None], ids=["no text", "a folder"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "reconciler.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    found, (problem,) = load(path)
    assert found is None
    assert problem.summary.startswith("reconciler.toml is ")
    assert problem.file == path


def test_a_broken_link_is_not_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").symlink_to("elsewhere")
    with pytest.raises(UserError, match=r"reconciler\.toml cannot be read: No such file"):
        find_workspace(tmp_path)


def test_the_closest_file_upwards_is_the_workspace(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "reconciler.toml").write_text('[workspace]\nname = "outer"')
    assert find_workspace(deep).name == "outer"
    (tmp_path / "a" / "reconciler.toml").write_text('[workspace]\nname = "inner"')
    assert find_workspace(deep).name == "inner"
    assert find_workspace(deep).root == tmp_path / "a"


def test_without_a_file_the_git_repository_is_the_workspace(tmp_path: Path) -> None:
    repository, folder = tmp_path / "repository", tmp_path / "repository" / "team"
    folder.mkdir(parents=True)
    assert find_workspace(folder) == Workspace(folder)
    subprocess.run(["git", "init", "-q", repository], check=True)
    assert find_workspace(folder) == Workspace(repository)
