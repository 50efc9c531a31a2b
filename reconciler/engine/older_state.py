"""Finds the state of a stack that an earlier version stored under another name. Pure.

Earlier versions used the host of a platform and the name of an image as the user wrote them. They named the
stack of a training by its metadata.name, so the state with that name may be that of any training of that
name: its image decides.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from providers.image_names import normal_name
from reconciler.core.plan import Stack
from reconciler.core.platforms import older_names
from reconciler.core.values import IMAGE, Address, image_address
from reconciler.pipeline.load import Pipeline
from state.renaming import Relation
from state.snapshot import Snapshot


class StoredNames:
    """The names in a store by their last parts. Each of thousands of stacks looks for its own."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_end: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            rest = name
            while rest := rest.partition("/")[2]:  # the name of an organization or an image may have a slash
                self._by_end[normal_name(rest)].append(name)

    def ending_in(self, end: str) -> Sequence[str]:
        """The names that end in "/" and this name of a pipeline or image, in any form of its name."""
        return self._by_end.get(normal_name(end), ())


class OlderState(Struct, frozen=True):
    """Identifies the older state of one stack.

    Attributes:
        stack: the stack.
        declared: addresses of its image and of its processing or its model versions.
        image: address of a training's image; "" for a processing, which its name identifies.
        versions: addresses of a training's model versions.
    """

    stack: Stack
    declared: frozenset[str]
    image: str = ""
    versions: frozenset[str] = frozenset()

    def names(self, stored: StoredNames) -> list[str]:
        """The names, among the stored ones, that may be those of an earlier version for this stack."""
        stack, alike = self.stack, stored.ending_in(self.stack.name)
        found = older_names(stack.organization, stack.host, stack.name, alike)
        if self.image:
            found += [name for name in alike if self._is_other_spelling(name)]
        if self.image and stack.pipeline != stack.name:
            alike = stored.ending_in(stack.pipeline)
            found += [name for name in alike if name == f"{stack.scope}/{stack.pipeline}"]
            found += older_names(stack.organization, stack.host, stack.pipeline, alike)
        return found

    def _is_other_spelling(self, name: str) -> bool:
        """Whether this is the name of the stack with another name of its image's repository."""
        scope, _, image = name.partition("/")
        return scope == self.stack.scope and image != self.stack.name == normal_name(image)

    def relation(self, state: Snapshot) -> Relation:
        """The relation of state with one of these names to the stack."""
        recorded = {*state.resources, *state.intents}
        if not self.image or self.image in recorded:
            return Relation.SAME
        return Relation.OTHER if recorded.isdisjoint(self.versions) else Relation.SIMILAR

    def is_of_another(self, state: Snapshot) -> bool:
        """Whether state with the name of the stack has none of the objects that the stack declares."""
        recorded = {*state.resources, *state.intents}
        return bool(recorded) and recorded.isdisjoint(self.declared)


def usual_stack(state: Snapshot) -> str:
    """The name that a training with this state has by its image; one that is set aside without an image."""
    scope, _, name = state.stack.partition("/")
    images = [Address.parse(text) for text in state.resources if text.startswith(f"{IMAGE}/")]
    if images and (own := f"{scope}/{'/'.join(images[0].name)}") != state.stack:
        return own
    return f"{scope.partition('@')[0]}@aside/{name}"


def older_state_of(stack: Stack, pipeline: Pipeline) -> OlderState:
    """What identifies the older state of this pipeline's stack."""
    image = str(image_address(pipeline.config.docker.image_name))
    if not pipeline.is_training:
        return OlderState(stack, frozenset((image, str(Address.of("processing", pipeline.name)))))
    targets = (Address.of("model-version", t.origin_name, t.name) for t in pipeline.config.targets)
    versions = frozenset(map(str, targets))
    return OlderState(stack, versions | {image}, image, versions)
