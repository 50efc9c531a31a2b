"""The content of a reconciler.toml as frozen values: `reader` creates them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from providers.leftovers import WORKSPACE
from providers.regular_files import real_path
from reconciler.core.platforms import ENVIRONMENTS, HOSTS, scope
from reconciler.credentials.environment import Declared, DeclaredEnvironment, Sourced
from reconciler.pipeline.shared import SharedSettings
from reconciler.workspace.globs import Glob

FILE_NAME: Final = WORKSPACE
Review = Literal["always", "destructive", "never"]
Pin = Literal["channel", "version"]


@dataclass(frozen=True, slots=True)
class WorkspaceEnvironment:
    """`[environments.NAME]`.

    Attributes:
        host: address of the platform, in its one spelling; "" for a CUSTOM whose address the user sets.
        channel: the tag that moves with each deploy; None for `latest`, or `test` for an rc.
        token: name of the environment variable with the API token.
        promote_from: the environment whose images this one gets.
        review: the plans that `apply --yes` does not apply without an approved digest.
        follows: the environment whose channel this one shares on purpose.
        pin: the tag that the platform gets.
        allow_http: whether the token may be sent to `host` without encryption.
        lines: the line of the table at "", and of each of its keys.
    """

    name: str
    organization: str
    host: str
    channel: str | None = None
    token: str | None = None
    promote_from: str | None = None
    review: Review | None = None
    follows: str | None = None
    pin: Pin | None = None
    allow_http: bool = False
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def scope(self) -> str:
        """The first part of the names of its stacks: `my-org@STAGING`."""
        return scope(self.organization, self.name, self.host)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with pipelines, and the content of its reconciler.toml.

    Attributes:
        root: the folder of reconciler.toml; without one the top of the git repository, else the current
            folder.
        file: reconciler.toml; None if there is none.
        name: `[workspace] name`.
        state: `[workspace] state`, with a relative path made absolute; None if it is not set.
        pipelines: where to look for pipelines; empty for everywhere below the root.
        exclude: folders that are no pipelines of the workspace.
        environments: by name, in the order of the file.
        groups: globs of pipelines, by the name of the group.
        defaults: `[defaults]`: tables of a pipeline's `[reconciler]`, as `tomllib` returns them.
        lines: the line of each key in the file, by path.
    """

    root: Path
    file: Path | None = None
    name: str | None = None
    state: str | None = None
    pipelines: tuple[Glob, ...] = ()
    exclude: tuple[Glob, ...] = ()
    environments: Mapping[str, WorkspaceEnvironment] = field(default_factory=dict)
    groups: Mapping[str, tuple[Glob, ...]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict, compare=False, repr=False)

    def place(self, *path: str | int) -> str:
        """`/repo/reconciler.toml:7` for this key, or for the closest table around it; "" without a file."""
        if self.file is None:
            return ""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.file}:{self.lines[path]}" if path else str(self.file)

    def declared(self) -> Declared:
        """The parts of the environments that select a target, with their places."""

        def sourced(name: str, key: str, value: str | None) -> Sourced | None:
            return Sourced(value, self.place("environments", name, key)) if value else None

        return {
            name: DeclaredEnvironment(
                Sourced(environment.organization, self.place("environments", name, "organization")),
                sourced(name, "host", "" if name in HOSTS else environment.host),
                sourced(name, "token", environment.token),
                environment.allow_http,
            )
            for name, environment in self.environments.items()
        }

    def shared(self) -> SharedSettings:
        """The part that every pipeline gets."""
        environments = self.environments
        channels = {name: giver.channel for name in environments if (giver := self.channel_of(name))}
        return SharedSettings(
            self.file,
            tuple(dict.fromkeys((*ENVIRONMENTS, *environments))),
            declared=tuple(environments),
            names={one.scope: name for name, one in environments.items()},
            channels={name: channel for name, channel in channels.items() if channel},
            follows={name: one.follows for name, one in environments.items() if one.follows},
            pins={name: one.pin for name, one in environments.items() if one.pin},
            promotes_from={name: one.promote_from for name, one in environments.items() if one.promote_from},
            reviews={name: one.review for name, one in environments.items() if one.review},
            defaults=self.defaults,
            root=self.root,
            name=self.name,
            lines={path: n for path, n in self.lines.items() if path[0] in ("environments", "defaults")},
        )

    def channel_of(self, name: str) -> WorkspaceEnvironment | None:
        """The environment that gives the channel of this one: itself, or one that it follows."""
        environment = self.environments.get(name)
        while environment is not None and environment.channel is None:
            environment = self.environments.get(environment.follows or "")
        return environment

    def path_of(self, folder: Path) -> str | None:
        """The folder from the root on, with slashes; None if it is outside of the workspace."""
        try:
            return real_path(folder).relative_to(real_path(self.root)).as_posix()
        except ValueError:
            return None

    def may_have(self, folder: Path) -> bool:
        """Whether a pipeline of the workspace may be in this folder, or below it."""
        path = self.path_of(folder)
        if self.file is None or path is None:
            return self.file is None
        return not any(glob.matches_all_below(path) for glob in self.exclude) and (
            not self.pipelines or any(glob.may_match_in(path) for glob in self.pipelines)
        )

    def excludes(self, folder: Path) -> str:
        """Why this folder is no pipeline of the workspace: the key and its place; "" if it can be one."""
        if self.file is None:
            return ""
        path = self.path_of(folder)
        if path is None:
            return f"It is outside of {self.root}, the folder of {self.file.name}."
        return self.excludes_path(path)

    def excludes_path(self, path: str) -> str:
        """As `excludes`, of a path from the root on, wherever links lead to."""
        for glob in self.exclude:
            if glob.matches(path):
                return f"{self.file}:{glob.line} excludes {glob}."
        if self.pipelines and not any(glob.matches(path) for glob in self.pipelines):
            globs = ", ".join(map(str, self.pipelines))
            return f"{self.place('workspace', 'pipelines')} has the pipelines in {globs} only."
        return ""
