"""A workspace, where pipelines are selected."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from providers.ascii_case import ascii_upper
from reconciler.api.arguments import checked
from reconciler.api.events import EventSink, OnEvent
from reconciler.api.requests import ReadOptions, SelectionRequest
from reconciler.core.diagnostics import UserError
from reconciler.core.events import ignore
from reconciler.engine.problems import diagnostics_of
from reconciler.workspace import schema
from reconciler.workspace.reader import find_workspace

if TYPE_CHECKING:
    from reconciler.api.environments import Environment
    from reconciler.api.pipelines import Pipelines
    from reconciler.api.states import State

__all__ = ["Workspace"]

STATE = "RECONCILER_STATE"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder with a reconciler.toml; without one the git repository, and without that a single folder.

    Attributes:
        folder: where names, paths and globs of pipelines start, as the current folder does for a command.
        settings: the content of reconciler.toml.
        state: the address of the state; None for the default place.
    """

    folder: Path
    settings: schema.Workspace = field(repr=False)
    state: str | None = None

    @classmethod
    @checked
    def open(cls, folder: str | os.PathLike[str] = ".", *, state: str | None = None) -> Self:
        """The workspace around a folder. Its reconciler.toml is found upwards.

        Args:
            state: the address of the state. Default: RECONCILER_STATE, else that of reconciler.toml, else the
                file of the user.

        Raises:
            UserError: reconciler.toml cannot be read, or has errors; with all of them.
        """
        here = Path(folder).absolute()
        settings = find_workspace(here)
        return cls(here, settings, state or os.environ.get(STATE) or settings.state)

    @property
    def root(self) -> Path:
        """The top folder."""
        return self.settings.root

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups of pipelines."""
        return tuple(self.settings.groups)

    @checked
    def environment(
        self,
        name: str | None = None,
        *,
        organization: str | None = None,
        host: str | None = None,
        token: str | None = None,
    ) -> "Environment":
        """An environment by its name in reconciler.toml, of the official tool or of a saved login.

        A token that is not given comes from the places that the command line reads. The variable that
        reconciler.toml names comes before PICSELLIA_TOKEN, as a program may have several environments.

        Args:
            name: in any case; None for the environment in use.
            host: address of the platform, for an environment without a name of its own.

        Raises:
            UserError: there is no environment of this name.
            ValueError: a host without a name or an organization, or with a name whose address is fixed.
        """
        from reconciler.api.environments import Environment

        declared = self.settings.declared()
        own = declared.get(ascii_upper(name)) if name is not None else None
        found = Environment(
            name,
            organization or (own.organization.value if own else None),
            host=host,
            token=token,
            declared=declared,
            own_first=own is not None,
        )
        found.platform_name()
        return found

    def environments(self) -> "list[Environment]":
        """The environments with a token: the one in use, those of reconciler.toml, then the saved logins.

        Raises:
            UserError: no environment is in use and reconciler.toml has none, or a file cannot be read.
        """
        from reconciler.api.environments import Environment, environments_with_login

        in_use = Environment(declared=self.settings.declared())
        return list(environments_with_login(in_use, needs_one_in_use=False))

    @contextmanager
    def open_state(self) -> "Iterator[State]":
        """The state of the stacks: what was applied, by whom and when. Reads only.

        Raises:
            StateError: the store cannot be opened.
        """
        from reconciler.api.states import State
        from reconciler.api.stores import open_state

        with open_state(ignore, self.state) as store:
            yield State(store, lambda: self.settings, self.folder)

    @checked
    def select(
        self,
        *names: str,
        all: bool = False,
        groups: Iterable[str] = (),
        types: Iterable[str] = (),
        gpu: bool | None = None,
        changed: bool | str = False,
        stale: bool = False,
        allow_empty: bool = False,
        strict: bool = True,
        environment: "Environment | None" = None,
        python: str | os.PathLike[str] | None = None,
        static_only: bool = False,
        class_timeout: float = 30.0,
        on_event: OnEvent | None = None,
    ) -> "Pipelines":
        """The pipelines that this selects, as the same options of a command do. Without names, groups and
        filters, `all` or the pipeline in the folder.

        Args:
            names: names, paths and globs.
            all: every pipeline below the folder.
            groups: names of `[groups]` in reconciler.toml.
            types: only pipelines of these types, such as `TRAINING`.
            gpu: only pipelines whose jobs use a GPU, or only those whose jobs use none.
            changed: only pipelines whose files differ from this commit; True for the merge base with the
                default branch.
            stale: only pipelines whose files differ from the last apply in the state.
            allow_empty: whether it is no error if no pipeline is selected.
            strict: whether a name that matches nothing is an error, as for commands that write. Otherwise it
                is in `problems`, and the other pipelines are selected all the same.
            environment: the one whose values of config.toml count for `types`, `gpu` and `stale`; None for
                those that all share, and for `stale` the environment in use.
            python: interpreter for classes that must be executed to be read.
            static_only: never execute code of a pipeline. A class that needs it is an error.
            class_timeout: seconds that a class may take.
            on_event: gets the events of reading the files.

        Raises:
            NoPipelineError: there is no pipeline to select from.
            UserError: no pipeline is selected, or there is no such name or group.
            StateError: the state cannot be read.
            ValueError: both names and `all`; or `changed` is empty, as a variable that is not set gives it.
        """
        from reconciler.api.pipelines import select_pipelines

        if changed == "":
            raise ValueError("changed is empty: name a commit, or use True for the merge base")

        request = SelectionRequest(
            names,
            all,
            tuple(groups),
            tuple(ascii_upper(kind) for kind in types),
            gpu,
            (changed if isinstance(changed, str) else "") if changed else None,
            stale,
            allow_empty,
        )
        interpreter = None if python is None else Path(python)
        read_options = ReadOptions(interpreter, static_only, class_timeout)
        sink = EventSink(on_event)
        found = select_pipelines(self, request, read_options, environment, sink)
        sink.raise_error()
        if strict and found.problems:
            raise UserError(*(one for problem in found.problems.values() for one in diagnostics_of(problem)))
        return found
