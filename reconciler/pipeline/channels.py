"""The environments that register the same tag of a pipeline's image, as far as the files show it.

What such environments run changes together: each deploy to one moves the tag of all. The environments are the
tables of reconciler.toml and the overlays of config.toml. An environment with `pin = "version"` registers a
tag that never moves, so it shares nothing.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from providers.docker.channel_use import ChannelUse
from reconciler.core.diagnostics import Diagnostic, warning
from reconciler.core.values import Address, image_address
from reconciler.pipeline.config import load
from reconciler.pipeline.load import Pipeline

WAYS = "Give each environment a channel in reconciler.toml, or share it on purpose: "


class MovingTag(Struct, frozen=True):
    """The tag that one environment registers, and that each deploy moves."""

    environment: str
    repository: str
    tag: str


def known_environments(pipeline: Pipeline) -> tuple[str, ...]:
    """The environments that reconciler.toml or an overlay of config.toml names, in their order."""
    return tuple(dict.fromkeys((*pipeline.loaded.shared.declared, *pipeline.loaded.overlays)))


def moving_tag(pipeline: Pipeline, environment: str) -> MovingTag | None:
    """The moving tag of a pipeline in an environment; None if it is pinned, or if config.toml has errors."""
    if environment != pipeline.loaded.environment:
        loaded = load(pipeline.folder, environment=environment, shared=pipeline.loaded.shared)
        if loaded.config is None:
            return None
        pipeline = Pipeline(pipeline.folder, pipeline.name, loaded.config, loaded, None, None)
    if pipeline.is_pinned or not pipeline.config.docker.image_name:
        return None
    return MovingTag(environment, pipeline.config.docker.image_name, pipeline.channel)


def moving_tags(pipeline: Pipeline) -> dict[tuple[str, str], list[str]]:
    """The environments by the repository and the moving tag that they register."""
    groups: dict[tuple[str, str], list[str]] = {}
    for environment in known_environments(pipeline):
        if (moving := moving_tag(pipeline, environment)) is not None:
            groups.setdefault((moving.repository, moving.tag), []).append(environment)
    return groups


def affected_environments(pipeline: Pipeline, image: Address, tag: str) -> list[str]:
    """The other environments that run what this tag of an image is, without those that follow this one."""
    here, shared = pipeline.loaded.environment or "", pipeline.loaded.shared
    others = (moving_tag(pipeline, other) for other in known_environments(pipeline) if other != here)
    return [
        other.environment
        for other in others
        if other is not None
        and (image_address(other.repository), other.tag) == (image, tag)
        and not shared.is_follower(other.environment, of=here)
    ]


def followed_environment(pipeline: Pipeline) -> str | None:
    """The environment that this one follows, if both register the same tag."""
    leader = pipeline.loaded.shared.follows.get(pipeline.loaded.environment or "")
    if leader is None or pipeline.is_pinned:
        return None
    theirs = moving_tag(pipeline, leader)
    ours = (pipeline.config.docker.image_name, pipeline.channel)
    return leader if theirs is not None and (theirs.repository, theirs.tag) == ours else None


def channel_use(pipeline: Pipeline) -> ChannelUse:
    """What the writes of an environment do with its channel tag, for every command that plans from files."""
    if pipeline.is_pinned:
        image = image_address(pipeline.config.docker.image_name)
        return recorded_channel_use(pipeline, image, pipeline.channel, is_pinned=True)
    return ChannelUse.MOVES if followed_environment(pipeline) is None else ChannelUse.FOLLOWS


def recorded_channel_use(pipeline: Pipeline, image: Address, tag: str, *, is_pinned: bool) -> ChannelUse:
    """The same for a recorded image and its channel tag.

    Args:
        is_pinned: whether the recorded resources have the tag of the version instead.
    """
    shared = is_pinned and affected_environments(pipeline, image, tag)
    return ChannelUse.LEAVES if shared else ChannelUse.MOVES


def channel_warnings(pipeline: Pipeline) -> Iterator[Diagnostic]:
    """A warning for each tag that environments share undeclared, and for each `follows` without effect."""
    yield from _shared_tags(pipeline)
    yield from _follows_without_effect(pipeline)


def _follows_without_effect(pipeline: Pipeline) -> Iterator[Diagnostic]:
    shared = pipeline.loaded.shared
    for environment, leader in shared.follows.items():
        ours, theirs = moving_tag(pipeline, environment), moving_tag(pipeline, leader)
        if ours is None and theirs is None:
            continue
        if ours is None or theirs is None or (ours.repository, ours.tag) != (theirs.repository, theirs.tag):
            yield warning(
                f"{environment} follows {leader}, but they have different tags, so it has no effect",
                f"Remove follows, or the channel, pin or image name that makes {environment} differ.",
                file=shared.file,
                line=shared.line_of("environments", environment, "follows"),
            )


def _shared_tags(pipeline: Pipeline) -> Iterator[Diagnostic]:
    shared = pipeline.loaded.shared
    for (_, tag), environments in moving_tags(pipeline).items():
        followed = [one for one in environments if not _follows_any(pipeline, one, environments)]
        if len(followed) > 1:
            first, last = followed[0], followed[-1]
            line = shared.line_of("environments", last) if last in shared.declared else None
            names, all_run = f"{', '.join(followed[:-1])} and {last}", "all" if followed[2:] else "both"
            yield warning(
                f"{names} share the tag {tag}: a deploy to one changes what {all_run} run",
                f'{WAYS}[environments.{last}] follows = "{first}".',
                file=pipeline.loaded.path if line is None else shared.file,
                line=pipeline.loaded.line_of("reconciler", "env", last) if line is None else line,
            )


def _follows_any(pipeline: Pipeline, environment: str, others: Iterable[str]) -> bool:
    return any(pipeline.loaded.shared.is_follower(environment, of=other) for other in others)
