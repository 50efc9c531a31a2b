"""Reads and writes the version and the channel tag of one publication.

Executes the steps of `publication` and measures their duration, as an estimate for the requests of other
publishers.
"""

import time
from collections.abc import Callable, Mapping, MutableMapping

from providers.docker.facts import text
from providers.docker.labels import VERSION
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import PublishedImage
from providers.docker.registry.publication import (
    Outcome,
    PutTag,
    ReadTag,
    Steps,
    Tag,
    TagState,
    Wait,
    wait_for_others,
)
from providers.errors import GoneError, PermanentError
from providers.json_value import JSON
from providers.protocol import Progress, Report


class Tags:
    """The two tags of a publication.

    Args:
        fields: the desired fields of the published image.
        is_ours: whether an image has the published source.
    """

    def __init__(
        self,
        registry: RegistryClient,
        fields: Mapping[str, JSON],
        is_ours: Callable[[PublishedImage], bool],
        report: Report,
    ) -> None:
        self._registry = registry
        self._names = {Tag.VERSION: text(fields, "version"), Tag.CHANNEL: text(fields, "channel")}
        self._platform = text(fields, "platform")
        self._is_ours = is_ours
        self._report = report
        self._cache: dict[str, TagState] = {}
        self._slowest = 0.0

    def run(self, steps: Steps, before: MutableMapping[str, str]) -> Outcome:
        """Execute the steps of a publication.

        Args:
            before: version -> digest of the channel before that version was written. It is filled in here,
                for a repeated attempt of this run.
        """
        state: TagState | None = None
        channel: str | None = None
        while True:
            try:
                step = steps.send(state)
            except StopIteration as end:
                before.pop(self._names[Tag.VERSION], None)
                outcome: Outcome = end.value
                return outcome
            state = None
            match step:
                case ReadTag(tag):
                    state = self.read(tag)
                    if channel is None:  # the first step reads the channel
                        channel = state.digest if state else ""
                case PutTag(tag, digest, new):
                    before.setdefault(self._names[Tag.VERSION], channel or "")
                    self._put(tag, digest, new)
                case Wait(minimum):
                    self._registry.pause(max(minimum, wait_for_others(self._slowest)))

    def read(self, tag: Tag) -> TagState | None:
        """The state of a tag; None if it does not exist.

        Raises:
            ProviderError: the tag cannot be read; for the version, also if its image cannot be read.
        """
        start = time.monotonic()
        digest = self._registry.digest(self._names[tag])
        self._slowest = max(self._slowest, time.monotonic() - start)
        if digest is None:
            return None
        try:
            return self.state_of(digest)
        except (PermanentError, GoneError):
            if tag is Tag.VERSION:
                raise
            return TagState(digest, ours=False, claims=False)  # for another platform, or not an image

    def state_of(self, digest: str) -> TagState:
        """The state of a tag that points to `digest`.

        Raises:
            GoneError: the image does not exist.
            ProviderError: the image cannot be read, or is not for the platform.
        """
        if digest not in self._cache:
            image = self._registry.image(digest, self._platform)
            if image is None:
                raise GoneError(f"{self._registry.repository}@{digest} is not in the registry")
            claims = image.labels.get(VERSION) == self._names[Tag.VERSION]
            self._cache[digest] = TagState(digest, self._is_ours(image), claims)
        return self._cache[digest]

    def _put(self, tag: Tag, digest: str, new: bool) -> None:
        if not new:  # the builder has already reported a new tag
            target = digest[:19] if tag is Tag.VERSION else self._names[Tag.VERSION]
            self._report(Progress("tag", text=f"{self._names[tag]} -> {target}"))
        start = time.monotonic()
        self._registry.tag(digest, self._names[tag], new=new)
        self._slowest = max(self._slowest, time.monotonic() - start)
