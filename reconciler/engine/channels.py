"""The image that an environment runs, and the other environments that a moving tag changes. Reads only.

The state of the same pipeline in other environments is read only if a tag was moved, or is about to be.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from providers.image_names import normal_name
from providers.protocol import LiveObject, is_published
from providers.reasons import Reason, Refusal, WayOut
from providers.table import FACTS
from reconciler.core.diagnostics import Diagnostic, warning
from reconciler.core.plan import Plan, Stack
from reconciler.core.promotion import PromotionRefusal, PromotionWay
from reconciler.core.remote import TagInUse
from reconciler.core.values import Address, image_address
from reconciler.engine.kinds import digest_of, displaced_by
from reconciler.engine.refresh import reference_to
from reconciler.engine.session import Session
from reconciler.engine.sources import source_of
from reconciler.engine.worlds import Worlds
from reconciler.pipeline.channels import affected_environments, followed_environment
from reconciler.pipeline.load import Pipeline
from state.errors import StateError
from state.register import scope_of
from state.snapshot import Snapshot


class RunningImage(Struct, frozen=True):
    """The image behind a tag that a resource of the platform has.

    Attributes:
        address: the image.
        tag: the tag.
        digest: None if the registry has no such tag.
        version: the version of this image; "" if it is unknown.
        applied: the digest that the last apply left; "" if it is unknown.
        declared: whether the files declare this image.
        by: the environment whose apply moved the tag; "" if it is unknown, and if it did not move.
    """

    address: Address
    tag: str
    digest: str | None
    version: str
    applied: str
    declared: bool = False
    by: str = ""

    @property
    def is_moved(self) -> bool:
        """Whether the tag does not point to the image of the last apply."""
        return bool(self.applied) and self.digest != self.applied


def running_images(
    session: Session, worlds: Worlds, left_behind: Mapping[Address, LiveObject]
) -> tuple[RunningImage, ...]:
    """The images that the platform's resources use, one for each tag.

    Args:
        left_behind: as by `images_left_behind`.

    Raises:
        ProviderError: the registry cannot be read.
    """
    recorded, found = worlds.recorded, worlds.live.found
    running = []
    images = [(resource.address, resource.fields, found.get(resource.address)) for resource in worlds.desired]
    images += [(address, recorded[address].inputs, live) for address, live in left_behind.items()]
    for address_of_image, fields, live in images:
        kind = worlds.kinds[address_of_image.kind]
        if not is_published(kind) or live is None:
            continue
        ours = recorded.get(address_of_image)
        # A field that the platform does not return counts as the last apply left it.
        users = [
            {**(recorded[address].inputs if address in recorded else {}), **other.fields}
            for address, other in found.items()
        ]
        applied = digest_of(ours.outputs) if ours else ""
        tags = (
            [ours.inputs.get(field) for field in (kind.facts.moves, kind.facts.published_as)] if ours else []
        )
        for tag, digest in kind.running(live, fields, users).items():
            is_this = digest == digest_of(live.outputs) and not kind.is_other_content(live, fields)
            declared = is_this and address_of_image not in left_behind
            image = RunningImage(address_of_image, tag, digest, "", applied if tag in tags else "", declared)
            if ours is not None and digest == applied:
                version, by = str(ours.inputs.get(kind.facts.published_as) or ""), ""
            elif digest is None:
                version = by = ""
            else:
                version, by = _origin(session, worlds, image)
                if not version and digest == digest_of(live.outputs):
                    version = str(live.fields.get(kind.facts.published_as) or "")
                version = version or kind.version_behind(address_of_image.name, digest)
            running.append(replace(image, version=version, by=by))
    return tuple(running)


def images_left_behind(worlds: Worlds) -> dict[Address, LiveObject]:
    """The recorded images that left the files. The platform runs them until the files are applied.

    Raises:
        ProviderError: the registry cannot be read.
    """
    found: dict[Address, LiveObject] = {}
    if not any(FACTS[resource.address.kind].published_as for resource in worlds.desired):
        return found  # a destroy
    for address, image in worlds.recorded.items():
        kind = worlds.kinds[address.kind]
        if not is_published(kind) or address in worlds.desired:
            continue
        live = kind.read(reference_to(address, image, image.inputs))
        found[address] = live or LiveObject(image.id, address.name, {})
    return found


def tags_in_use(pipeline: Pipeline, running: Collection[RunningImage]) -> dict[Address, TagInUse]:
    """The tag in use of each image that the last apply left; for a follower, only if nothing moved it."""
    follows = followed_environment(pipeline) is not None
    return {
        image.address: TagInUse(
            image.tag,
            image.applied,
            image.digest,
            image.digest if image.declared else None,
            image.by,
            image.version,
        )
        for image in sorted(running, key=lambda image: image.is_moved)
        if image.applied and not (follows and image.is_moved)
    }


def changed_environments(
    session: Session, worlds: Worlds, plan: Plan
) -> tuple[tuple[str, ...], tuple[Diagnostic, ...]]:
    """The other environments that run something else after this plan, and a warning about them."""
    names: dict[str, None] = {}
    warnings = []
    for step in plan.steps:
        kind, resource = worlds.kinds[step.address.kind], worlds.desired.get(step.address)
        live = worlds.live.found.get(step.address)
        if not is_published(kind) or resource is None or live is None:
            continue
        if not step.writes or step.refusal or not kind.moves_tag(live, resource.fields):
            continue
        tag = str(resource.fields[kind.facts.moves])
        found = dict.fromkeys(affected_environments(worlds.pipeline, step.address, tag))
        found |= dict.fromkeys(_registered(session, worlds, step.address, tag))
        if found:
            are = "have" if len(found) > 1 else "has"
            listed = _listed(list(found))
            warnings.append(
                warning(
                    f"this also changes what {listed} {'run' if len(found) > 1 else 'runs'}",
                    f"It moves the tag {tag}, which {listed} {are}, too. Give each environment a channel in "
                    "reconciler.toml, or declare there that one follows the other.",
                    address=str(step.address),
                )
            )
            names |= found
    return tuple(names), tuple(warnings)


def with_gates_of_others(
    session: Session,
    pipeline: Pipeline,
    plan: Plan,
    also_changes: Collection[str],
    source: str | None,
    options: Sequence[str],
) -> Plan:
    """The plan, refused if it moves a tag that an environment with a gate runs, too.

    Args:
        also_changes: the other environments that run something else after this plan.
        source: the environment that proved the image, or None: a gate that asks for this one lets it in.
        options: of the command that makes this plan again.
    """
    gates = pipeline.loaded.shared.promotes_from
    for name in also_changes:
        leader = gates.get(name)
        if leader is None or leader == source or session.override:
            continue
        reason = Reason(PromotionRefusal.OPENS_GATE, {"source": leader, "environment": name})
        override = plan.stack.command(session.verb, *options, "--override", "REASON")
        return refused(plan, Refusal(reason, (WayOut(PromotionWay.OVERRIDE, override),)))
    return plan


def leader_of(pipeline: Pipeline, stack: Stack) -> str | None:
    """The environment of `promote_from`; None without a gate."""
    shared = pipeline.loaded.shared
    return shared.promotes_from.get(shared.names.get(stack.scope, stack.environment))


def refused(plan: Plan, refusal: Refusal) -> Plan:
    """The plan with this refusal of its image, on which everything else depends."""
    return replace(
        plan,
        steps=tuple(
            replace(step, refusal=refusal) if FACTS[step.address.kind].published_as else step
            for step in plan.steps
        ),
    )


def _origin(session: Session, worlds: Worlds, image: RunningImage) -> tuple[str, str]:
    """The version of an image, and the environment whose apply moved the tag to it; "" for unknown ones.

    State proves who moved it, without a comparison of times, as the clocks of two machines differ: the last
    apply of that environment left this image behind the tag, it moved the tag away from the image of this
    stack, and no apply of this stack moved it away from this image since.
    """
    ours = worlds.stored.resources.get(str(image.address))
    moved_back = ours is not None and image.digest in displaced_by(ours.outputs)
    versions, movers = set[str](), set[str]()
    for scope, state in _other_states(session, worlds, image.address):
        recorded = state.resources.get(str(image.address))
        if recorded is None or digest_of(recorded.outputs) != image.digest:
            continue
        versions.add(str(recorded.inputs.get("version") or ""))
        if recorded.inputs.get("channel") == image.tag and image.applied in displaced_by(recorded.outputs):
            movers.add(_name(scope, worlds))
    version = versions.pop() if len(versions) == 1 else ""
    return version, movers.pop() if len(movers) == 1 and not moved_back else ""


def _registered(session: Session, worlds: Worlds, image: Address, tag: str) -> Iterator[str]:
    """The other environments whose last apply registered this tag, without those that follow this one."""
    for scope, state in _other_states(session, worlds, image):
        name = _name(scope, worlds)
        users = (one.inputs for one in state.resources.values() if one.inputs.get("docker_tag") == tag)
        used = any(image_address(str(fields.get("docker_image"))) == image for fields in users)
        if used and not worlds.pipeline.loaded.shared.is_follower(name, of=worlds.stack.environment):
            yield name


def _other_states(session: Session, worlds: Worlds, image: Address) -> Iterator[tuple[str, Snapshot]]:
    """The states with the same pipeline or image in other organizations and environments, with the scope.

    A pipeline may have another name there, by an overlay or since it was renamed. So a stack counts that has
    this name, was applied from this folder, or claims the image. Callers look for the image in its state.
    """
    stack, source = worlds.stack, source_of(worlds.pipeline)
    stored = [(text, scope) for text in session.store.names() if (scope := scope_of(text)) != stack.scope]
    same: set[str] = set()
    for scope in dict.fromkeys(scope for _, scope in stored):
        same |= {f"{scope}/{name}" for name in (stack.name, stack.pipeline)}
        with suppress(StateError):  # only its own commands need it
            register = session.registers.intact(scope)
            same |= {claim.stack for claim in register.matching(str(image)).values()}
            same |= {*register.stacks_from(source)} if source.folder else set()
    for text, scope in stored:
        # An earlier version named that of a training by metadata.name, or by its image as the files have it.
        if same.isdisjoint((text, f"{scope}/{normal_name(text.partition('/')[2])}")):
            continue
        with suppress(StateError):
            if (state := session.store.load(text)) is not None:
                yield scope, state


def _name(scope: str, worlds: Worlds) -> str:
    """The name that reconciler.toml has for a scope; otherwise its environment, or all of it."""
    names = worlds.pipeline.loaded.shared.names
    if scope in names:
        return names[scope]
    organization, at, place = scope.partition("@")
    return place if organization + at == worlds.stack.scope.partition("@")[0] + at else scope


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if names[1:] else names[0]
