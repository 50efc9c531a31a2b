"""The resources that several pipelines declare, and the environments that run the same images."""

from collections.abc import Collection, Iterable, Sequence
from graphlib import TopologicalSorter

from msgspec import Struct

from providers.table import EXCLUSIVE, FACTS, ancestors
from reconciler.core.values import Address
from reconciler.pipeline.channels import known_environments, moving_tags
from reconciler.pipeline.compile import desired_graph
from reconciler.pipeline.load import Pipeline


class SharedResource(Struct, frozen=True):
    """A resource that several pipelines declare.

    Attributes:
        pipelines: those that declare it.
        is_exclusive: whether it can belong to one pipeline only, so that this is an error.
    """

    address: Address
    pipelines: tuple[Pipeline, ...]
    is_exclusive: bool


class Channel(Struct, frozen=True):
    """What an environment runs.

    Attributes:
        environment: its name.
        tags: the tags that it registers and that each deploy moves; () if it registers versions only.
        leaders: the environments that register the same tags of the same images, each with the tags.
        is_declared: whether the environment follows all of them in reconciler.toml.
    """

    environment: str
    tags: tuple[str, ...]
    leaders: dict[str, tuple[str, ...]]
    is_declared: bool


def shared_resources(pipelines: Iterable[Pipeline]) -> list[SharedResource]:
    """The resources that several of these pipelines declare.

    A shared model is left out if the same pipelines also declare the same version of it.
    """
    users: dict[Address, list[Pipeline]] = {}
    for pipeline in pipelines:
        for resource in desired_graph(pipeline, source_key=""):
            facts = FACTS[resource.address.kind]
            if facts.shared or facts.exclusive is not None:
                users.setdefault(resource.address, []).append(pipeline)
    shared = {address: tuple(many) for address, many in users.items() if len(many) > 1}
    explained = [
        (parent, many)
        for address, many in shared.items()
        if address.kind in EXCLUSIVE
        for parent in _ancestors(address)
    ]
    return [
        SharedResource(address, many, address.kind in EXCLUSIVE)
        for address, many in sorted(shared.items())
        if address.kind in EXCLUSIVE or (address, many) not in explained
    ]


def _ancestors(address: Address) -> Iterable[Address]:
    kinds = ancestors(address.kind)
    return (Address(kind, address.name[: index - len(kinds)]) for index, kind in enumerate(kinds))


def channels(pipelines: Sequence[Pipeline]) -> list[Channel]:
    """The environments in reconciler.toml and in overlays, each after those that it follows."""
    if not pipelines:
        return []
    shared = pipelines[0].loaded.shared
    names = dict.fromkeys(name for pipeline in pipelines for name in known_environments(pipeline))
    followed = {name: [shared.follows[name]] if name in shared.follows else [] for name in names}
    order = [name for name in TopologicalSorter(followed).static_order() if name in names]
    tags: dict[str, set[str]] = {name: set() for name in order}
    leaders: dict[str, dict[str, set[str]]] = {name: {} for name in order}
    undeclared: set[str] = set()
    for pipeline in pipelines:
        for (_, tag), environments in moving_tags(pipeline).items():
            together = sorted(environments, key=order.index)
            for index, name in enumerate(together):
                tags[name].add(tag)
                if index == 0:
                    continue
                leader = _leader(shared.follows.get(name), together[:index])
                leaders[name].setdefault(leader, set()).add(tag)
                if not shared.is_follower(name, of=leader):
                    undeclared.add(name)
    return [
        Channel(
            name,
            tuple(sorted(tags[name])),
            {leader: tuple(sorted(some)) for leader, some in leaders[name].items()},
            name not in undeclared,
        )
        for name in order
    ]


def _leader(followed: str | None, earlier: Collection[str]) -> str:
    return followed if followed is not None and followed in earlier else next(iter(earlier))
