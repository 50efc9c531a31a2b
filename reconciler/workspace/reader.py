"""Find and read reconciler.toml. One pass reports every problem of the file, each with its line.

Strict: an unknown key is an error, because a misspelt one would be ignored silently. Runs no code, contacts
no platform and reads no variable: `token` is the name of one.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from providers.patterns import pattern
from providers.text import has_login
from reconciler.core.diagnostics import Diagnostic, UserError, has_errors, in_order
from reconciler.core.platforms import ENVIRONMENTS, HOSTS, is_plain, organization_problem, platform_address
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.toml_file import parse, read_text, unreadable
from reconciler.pipeline.toml.toml_reader import TomlReader, described, table_advice
from reconciler.workspace.globs import Glob, glob_problem
from reconciler.workspace.schema import FILE_NAME, Pin, Review, Workspace, WorkspaceEnvironment
from state.errors import StoreUnavailableError
from state.stores.opening import check_url

_TABLES: Final = ("workspace", "environments", "defaults", "groups")
_WORKSPACE: Final = ("pipelines", "exclude", "state", "name")
_ENVIRONMENT: Final = (
    *("organization", "host", "channel", "token"),
    *("promote_from", "review", "follows", "pin", "allow_http"),
)
_LINKS: Final = ("promote_from", "follows")
ENVIRONMENT_NAME: Final = pattern(r"[A-Z][A-Z0-9-]*")
VARIABLE: Final = pattern(r"[A-Z_][A-Z0-9_]*")
TAG: Final = pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def find_workspace(folder: Path) -> Workspace:
    """The workspace around this folder: that of the closest reconciler.toml, found upwards.

    Without one, the workspace is the git repository, and without that the folder itself. Both declare
    nothing.

    Raises:
        UserError: reconciler.toml cannot be read, or has errors; with all of them.
    """
    folder = folder.absolute()
    for parent in (folder, *folder.parents):
        if os.path.lexists(parent / FILE_NAME):  # a broken link is an error
            workspace, problems = load(parent / FILE_NAME)
            if workspace is None:
                raise UserError(*problems)
            return workspace
    from reconciler.system.git import repository_of  # late: most workspaces have the file

    repository = repository_of(folder)
    return Workspace(repository.top if repository else folder)


def load(path: Path) -> tuple[Workspace | None, tuple[Diagnostic, ...]]:
    """The workspace that this file declares, None if there are errors; and every problem."""
    try:
        return read(read_text(path), path)
    except OSError as problem:
        return None, (unreadable(path, problem),)
    except UserError as problem:
        return None, problem.diagnostics


def read(text: str, path: Path) -> tuple[Workspace | None, tuple[Diagnostic, ...]]:
    """The workspace in the text of a reconciler.toml, None if there are errors; and every problem.

    `path` is only used for the root and in the diagnostics.
    """
    try:
        document, lines = parse(text, path)
    except UserError as problem:
        return None, problem.diagnostics
    reader = TomlReader(document, lines, text, path)
    for name in document:
        if name not in _TABLES:
            advice = f"{path.name} has the tables {', '.join(_TABLES)}.{did_you_mean(name, _TABLES)}"
            reader.error(f"{name} is not a table of {path.name}", advice, name)
    tables = {name: _table(reader, document, name) for name in _TABLES}
    workspace = tables["workspace"]
    reader.check_keys(workspace, _WORKSPACE, "workspace")
    state = _filled(reader, workspace, "workspace", "state")
    found = Workspace(
        path.parent,
        path,
        name=_name(reader, workspace),
        state=None if state is None else _state(reader, state),
        pipelines=_globs(reader, workspace, "workspace", "pipelines"),
        exclude=_globs(reader, workspace, "workspace", "exclude"),
        environments=_environments(reader, tables["environments"]),
        groups={name: _globs(reader, tables["groups"], "groups", name) for name in tables["groups"]},
        defaults=_defaults(reader, tables["defaults"]),
        lines=lines.line,
    )
    problems = tuple(in_order(reader.diagnostics))
    return None if has_errors(problems) else found, problems


def _table(reader: TomlReader, around: Mapping[str, Any], *where: str) -> Mapping[str, Any]:
    """The table at this path; empty if it is missing, or if it is something else, which is an error."""
    table = around.get(where[-1], {})
    if isinstance(table, dict):
        return table
    name = ".".join(where)
    reader.error(f"{name} must be a table, not {described(table)}", table_advice(name), *where)
    return {}


def _filled(reader: TomlReader, table: Mapping[str, Any], *where: str) -> str | None:
    """The text at this path, without surrounding blanks; None if it is missing, and if it is not one."""
    text = reader.text(table, *where)
    if text is not None and not text.strip():
        reader.error(f"{'.'.join(where)} is empty", "Give it a value, or remove the line.", *where)
        return None
    return text and text.strip()


def _name(reader: TomlReader, workspace: Mapping[str, Any]) -> str | None:
    """The name of the workspace, which the state keeps; None if it is missing, and if it has a login."""
    name = _filled(reader, workspace, "workspace", "name")
    if name is not None and has_login(name):
        reader.error("workspace.name contains a login", "State and reports show it.", "workspace", "name")
        return None
    return name


def _state(reader: TomlReader, url: str) -> str:
    """The URL, with a relative path made absolute: a command may run in any folder of the workspace."""
    try:
        check_url(url)
    except StoreUnavailableError as problem:
        reader.error(f"workspace.state is not usable: {problem.message}", problem.hint, "workspace", "state")
        return url
    prefix = "sqlite:///" if url.startswith("sqlite:///") else ""
    path = url.removeprefix(prefix)
    if path.startswith("~") or (not prefix and re.match(r"[A-Za-z0-9+.-]{2,}:", url)):
        return url
    return f"{prefix}{reader.path.parent / path}"


def _globs(reader: TomlReader, table: Mapping[str, Any], *where: str) -> tuple[Glob, ...]:
    texts = reader.texts(table, *where)
    if texts is None:
        return ()
    if not texts:
        reader.error(f"{'.'.join(where)} is empty", "Give it a glob, or remove the line.", *where)
    for index, text in enumerate(texts):
        if (problem := glob_problem(text)) is not None:
            advice = 'Write folders from the workspace on, for example "pipelines/**".'
            reader.error(f"the glob {described(text)} of {'.'.join(where)} {problem}", advice, *where, index)
    return tuple(Glob(text, reader.lines.line_of(*where, index)) for index, text in enumerate(texts))


def _environments(reader: TomlReader, tables: Mapping[str, Any]) -> dict[str, WorkspaceEnvironment]:
    found = {}
    for name in tables:
        table = _table(reader, tables, "environments", name)
        if not ENVIRONMENT_NAME.fullmatch(name):
            capitals = re.sub(r"[^A-Z0-9]+", "-", name.upper()).strip("-0123456789")
            example = capitals or "EU"
            reader.error(
                f"{described(name)} cannot be the name of an environment",
                f"A name has capital letters, digits and hyphens. Write [environments.{example}].",
                *("environments", name),
            )
        elif isinstance(tables[name], dict):
            found[name] = _environment(reader, name, table)
    _check_links(reader, tables, found)
    _check_gates(reader, found)
    _check_twins(reader, found)
    return found


def _environment(reader: TomlReader, name: str, table: Mapping[str, Any]) -> WorkspaceEnvironment:
    where = ("environments", name)
    reader.check_keys(table, _ENVIRONMENT, *where)
    organization = _filled(reader, table, *where, "organization")
    if "organization" not in table:
        section = ".".join(where)
        advice = f'Add organization = "my-org" below [{section}].'
        reader.error(f"{section}.organization is missing", advice, *where)
    if organization and (problem := organization_problem(organization)) is not None:
        advice = 'Write the name that the platform shows, such as organization = "my-org".'
        reader.error(f"{'.'.join(where)}.organization {problem}", advice, *where, "organization")
        organization = None
    return WorkspaceEnvironment(
        name,
        organization or "",
        _host(reader, name, table),
        channel=_channel(reader, table, *where, "channel"),
        token=_token(reader, table, *where, "token"),
        promote_from=_filled(reader, table, *where, "promote_from"),
        review=_choice(reader, table, get_args(Review), *where, "review"),
        follows=_filled(reader, table, *where, "follows"),
        pin=_choice(reader, table, get_args(Pin), *where, "pin"),
        allow_http=_allows_http(reader, table, *where),
        lines={key: reader.lines.line_of(*where, key) or 1 for key in table}
        | {"": reader.lines.line_of(*where) or 1},
    )


def _host(reader: TomlReader, name: str, table: Mapping[str, Any]) -> str:
    """The address of the platform; "" if it is not set, and if it is invalid, which is an error."""
    where = ("environments", name, "host")
    host = _filled(reader, table, *where)
    if host is None:
        if name not in ENVIRONMENTS and "host" not in table:
            reader.error(
                f"environments.{name}.host is missing",
                f"{', '.join(HOSTS)} have addresses of their own. Give any other environment one: "
                f'host = "https://picsellia.example.com".{did_you_mean(name, ENVIRONMENTS)}',
                *where[:2],
            )
        return HOSTS.get(name, "")
    try:
        address = platform_address(host)
    except ValueError as problem:  # without the text, which may contain a password
        reader.error(
            f"environments.{name}.host is not the address of a platform",
            f"It {problem}. Write https://host[:port].",
            *where,
        )
        return ""
    if is_plain(address) and table.get("allow_http") is not True:
        reader.error(
            f"environments.{name}.host has no encryption: the API token would cross the network in the open",
            f"Use https://. If the network is private, add allow_http = true to [environments.{name}].",
            *where,
        )
    if name in HOSTS and address != HOSTS[name]:
        reader.error(
            f"{name} is always at {HOSTS[name]}",
            "Its saved token is sent to no other address. Give this environment another name.",
            *where,
        )
    return address


def _allows_http(reader: TomlReader, table: Mapping[str, Any], *where: str) -> bool:
    """Whether the token may be sent without encryption; False and an error for another type."""
    value = table.get("allow_http", False)
    if not isinstance(value, bool):
        name = ".".join((*where, "allow_http"))
        reader.error(
            f"{name} must be true or false, not {described(value)}",
            "Write true or false, without quotes.",
            *(*where, "allow_http"),
        )
    return value is True


def _channel(reader: TomlReader, table: Mapping[str, Any], *where: str) -> str | None:
    tag = _filled(reader, table, *where)
    if tag is None:
        return None
    name = ".".join(where)
    if not TAG.fullmatch(tag):
        advice = "A tag has letters, digits, '_', '.' and '-', and does not start with '.' or '-'."
        reader.error(f"{name} {described(tag)} is not a tag", advice, *where)
        return None
    from providers.docker.registry.reference import reserved_tag  # late, as few environments have a channel
    from reconciler.pipeline.version import parse  # imports semver

    if use := reserved_tag(tag):
        reader.error(f"{name} {described(tag)} {use}", "Choose another word, for example live.", *where)
        return None
    try:
        parse(tag)
    except ValueError:
        return tag
    reader.error(
        f"{name} {described(tag)} is a version", "The tag of a version never moves. Choose a word.", *where
    )
    return None


def _token(reader: TomlReader, table: Mapping[str, Any], *where: str) -> str | None:
    """The name of a variable. No message repeats the value, which may be a token."""
    value = table.get(where[-1])
    if value is None or (isinstance(value, str) and VARIABLE.fullmatch(value)):
        return value
    reader.error(
        f"{'.'.join(where)} is not the name of an environment variable",
        'Write the name in capitals, for example token = "STAGING_TOKEN", and never the token.',
        *where,
    )
    return None


def _choice(reader: TomlReader, table: Mapping[str, Any], choices: Sequence[str], *where: str) -> Any:
    """The text at this path if it is one of these; None and an error otherwise."""
    text = reader.text(table, *where)
    if text is None or text in choices:
        return text
    advice = f"Use one of {', '.join(choices)}.{did_you_mean(text, choices)}"
    reader.error(f"{'.'.join(where)} cannot be {described(text)}", advice, *where)
    return None


def _check_links(
    reader: TomlReader, tables: Mapping[str, Any], found: Mapping[str, WorkspaceEnvironment]
) -> None:
    """Report names that are no environment of the file, and circles."""
    for key in _LINKS:
        links = {name: getattr(environment, key) for name, environment in found.items()}
        for name, other in links.items():
            if other is not None and other not in tables:
                is_name = ENVIRONMENT_NAME.fullmatch(other)
                add = f"Add [environments.{other}], or " if is_name else "Add its table, or "
                reader.error(
                    f"environments.{name}.{key} names {described(other)}, which this file does not declare",
                    f"{add}use one of {', '.join(found)}.{did_you_mean(other, found)}",
                    *("environments", name, key),
                )
        settled: set[str] = set()
        for name in links:
            path: list[str] = []
            at: str | None = name
            while at in links and at not in path and at not in settled:
                path.append(at)
                at = links[at]
            if at in path:
                circle = [*path[path.index(at) :], at]
                reader.error(
                    f"{key} leads in a circle: {' -> '.join(circle)}",
                    f"Remove {key} from one of these environments.",
                    *("environments", circle[0], key),
                )
            settled.update(path)


def _check_gates(reader: TomlReader, found: Mapping[str, WorkspaceEnvironment]) -> None:
    """Report gates that keep nothing out: who follows another environment runs what is published there."""
    for name, environment in found.items():
        leader = found.get(environment.follows or "")
        if leader is None or environment.promote_from is None or environment.pin == "version":
            continue
        if environment.channel in (None, leader.channel):
            reader.error(
                f"{name} follows {leader.name}, so promote_from keeps nothing out of it",
                f"Each apply in {leader.name} changes what {name} runs. Replace follows by a channel, or "
                "remove promote_from.",
                *("environments", name, "follows"),
            )


def _check_twins(reader: TomlReader, found: Mapping[str, WorkspaceEnvironment]) -> None:
    """Report environments that are the same organization of the same platform."""
    first: dict[tuple[str, str], str] = {}
    for name, environment in found.items():
        place = (environment.host, environment.organization)
        if all(place) and first.setdefault(place, name) != name:
            reader.error(
                f"{first[place]} and {name} are the same environment",
                f"Both are the organization {environment.organization} at {environment.host}. "
                "Remove one of them, or correct it.",
                *("environments", name),
            )


def _defaults(reader: TomlReader, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """`[defaults]`, which is checked as a pipeline's `[reconciler]`."""
    if table:
        from reconciler.pipeline.settings import check_defaults  # late: imports pydantic, which is slow

        check_defaults(reader, table)
    return table
