"""The values that a shell offers for arguments and options: pipelines, environments, names from the state.

Reads files of this machine only: never a bucket, a platform or a registry, and no class of a pipeline. A key
press waits for the result, so a problem means no values, and imports are late and few.
"""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from reconciler.core.values import IMAGE

if TYPE_CHECKING:
    from reconciler.api.stores import Store

MOST_STACKS = 30
"""The number of stacks whose resources are read if no pipeline is named."""
MOST_RUNS = 20
_Values = Callable[[click.Context, str], Iterator[CompletionItem[str]]]
_Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]


def _completion(values: _Values) -> _Complete:
    """The values that start with the incomplete one, each once; none if they cannot be read."""

    @functools.wraps(values)
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        found: dict[str, CompletionItem[str]] = {}
        try:
            for item in values(ctx, incomplete):
                if item.value.startswith(incomplete) and item.value.isprintable():
                    found.setdefault(item.value, item)
        except Exception:  # noqa: BLE001 - the shell would show it amid the line that is being typed
            return []
        return list(found.values())

    return complete


@_completion
def pipelines(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    """The pipelines below the current folder by the name of their folder; by their path if it is no name."""
    from collections import Counter

    from reconciler.cli.options.targets import workspace
    from reconciler.workspace.discovery import folders_called

    here = Path.cwd()
    prefix = "" if "/" in incomplete or incomplete.startswith(".") else incomplete
    folders = sorted(folders_called(prefix, here, workspace()))
    paths = [folder.relative_to(here).as_posix() for folder in folders]
    names = Counter(path.rpartition("/")[2] for path in paths)
    given = ctx.params.get("names") or ()
    for path in paths:
        name = path.rpartition("/")[2]
        is_name = names[name] == 1 and path != "." and "/" not in incomplete
        value = name if is_name else path if "/" in path or path == "." else f"./{path}"
        if value not in given:
            yield CompletionItem(value, help=path if value != path else None)


@_completion
def environments(_: click.Context, __: str) -> Iterator[CompletionItem[str]]:
    from reconciler.cli.options.targets import workspace
    from reconciler.core.platforms import ENVIRONMENTS

    declared = workspace().environments
    for name, environment in declared.items():
        yield CompletionItem(name, help=environment.organization)
    yield from map(CompletionItem, ENVIRONMENTS)


@_completion
def organizations(_: click.Context, __: str) -> Iterator[CompletionItem[str]]:
    from reconciler.cli.options.targets import workspace

    for name, environment in workspace().environments.items():
        yield CompletionItem(environment.organization, help=name)


@_completion
def groups(_: click.Context, __: str) -> Iterator[CompletionItem[str]]:
    from reconciler.cli.options.targets import workspace

    for name, globs in workspace().groups.items():
        yield CompletionItem(name, help=" ".join(map(str, globs)))


@_completion
def pipeline_types(_: click.Context, __: str) -> Iterator[CompletionItem[str]]:
    from providers.enums import PROCESSING_TYPES, TRAINING

    yield from map(CompletionItem, (TRAINING, *PROCESSING_TYPES))


@_completion
def frameworks(_: click.Context, __: str) -> Iterator[CompletionItem[str]]:
    from providers.enums import FRAMEWORKS

    yield from map(CompletionItem, FRAMEWORKS)


@_completion
def inference_types(_: click.Context, __: str) -> Iterator[CompletionItem[str]]:
    from providers.enums import INFERENCE_TYPES

    yield from map(CompletionItem, INFERENCE_TYPES)


@_completion
def stacks(_: click.Context, __: str) -> Iterator[CompletionItem[str]]:
    """The stacks of the state."""
    with closing(_store()) as store:
        yield from map(CompletionItem, store.stacks())


@_completion
def scopes(_: click.Context, __: str) -> Iterator[CompletionItem[str]]:
    """The organizations and environments of the state: my-org@STAGING."""
    with closing(_store()) as store:
        yield from (CompletionItem(stack.partition("/")[0]) for stack in store.stacks())


@_completion
def addresses(ctx: click.Context, _: str) -> Iterator[CompletionItem[str]]:
    """The resources that the state has of the named pipelines, or of all."""
    with closing(_store()) as store:
        for stack in islice(_stacks_of(ctx, store), MOST_STACKS):
            snapshot = store.load(stack)
            for address in snapshot.resources if snapshot else ():
                yield CompletionItem(str(address), help=stack)


@_completion
def versions(ctx: click.Context, _: str) -> Iterator[CompletionItem[str]]:
    """The versions of the image after the latest runs of the named pipeline, latest first."""
    from reconciler.api.stores import saves_by_run

    with closing(_store()) as store:
        for stack in islice(_stacks_of(ctx, store), 1):
            for saves in islice(saves_by_run(store, stack), MOST_RUNS):
                snapshot = store.load_at(stack, saves[0].serial)
                for resource in snapshot.resources.values() if snapshot else ():
                    version = resource.inputs.get("version")
                    if resource.kind == IMAGE and isinstance(version, str):
                        yield CompletionItem(version, help=f"{saves[0].written_at} {saves[0].command}")


@_completion
def serials(ctx: click.Context, _: str) -> Iterator[CompletionItem[str]]:
    """The serials of the latest state versions of a stack."""
    yield from _serials(ctx)


@_completion
def stack_and_serials(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    """Of `[STACK] A B`: the stacks, then the serials of the named one, or of the current folder."""
    with closing(_store()) as store:
        if not ctx.params.get("values"):
            yield from map(CompletionItem, store.stacks())
    if ctx.params.get("values") or incomplete.isdecimal():
        yield from _serials(ctx)


def _serials(ctx: click.Context) -> Iterator[CompletionItem[str]]:
    with closing(_store()) as store:
        for stack in islice(_stacks_of(ctx, store), 1):
            for entry in store.history(stack, MOST_RUNS):
                yield CompletionItem(str(entry.serial), help=f"{entry.written_at} {entry.command}")


def _store() -> "Store":
    """The state of this machine. Raises an error if it is in a bucket."""
    from reconciler.api.stores import open_local
    from reconciler.cli.options.targets import state_url

    return open_local(state_url())


def _stacks_of(ctx: click.Context, store: "Store") -> Iterator[str]:
    """The stacks of the pipeline or stack that the arguments name, or of the current folder; else all.

    With `--env`, only those of that environment.
    """
    from reconciler.cli.options.targets import workspace
    from reconciler.workspace.config_file import stacks_in
    from reconciler.workspace.discovery import find, is_folder_of_pipeline

    given = ctx.params
    every = [one for one in store.stacks() if _is_in(one, given.get("environment"))]
    named = [
        *(given.get("names") or ()),
        *(given.get("values") or ())[:1],
        *filter(None, [given.get("name")]),
    ]
    named = [name for name in named if not name.isdecimal()]
    if not named and is_folder_of_pipeline(Path.cwd()):
        named = [os.curdir]
    if not named:
        yield from every
    for name in named:
        if name in every:
            yield name
            continue
        folders = stacks_in(find(name, Path.cwd(), workspace()))
        yield from (stack for stack in every if stack.partition("/")[2] in folders)


def _is_in(stack: str, environment: str | None) -> bool:
    """Whether a stack is in this environment; every stack is in None."""
    from reconciler.cli.options.targets import workspace
    from reconciler.core.platforms import HOSTS, scope

    if not environment:
        return True
    declared = workspace().environments.get(environment)
    address = (declared and declared.host) or HOSTS.get(environment)
    if not address:  # that of CUSTOM is in a variable or a login
        return True
    where = scope(declared.organization if declared else "", environment, address)
    return stack.startswith(f"{where}/") if declared else f"{where}/" in stack
