"""The version and the channel tag of one publication, as they are in the registry.

Does what `publication` asks for, and measures how long that takes: the requests of another publisher take
about as long.
"""

import time
from collections.abc import Callable, Mapping, MutableMapping

from providers.docker.labels import VERSION
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import PublishedImage
from providers.docker.registry.publication import Outcome, PutTag, ReadTag, Steps, Tag, TagState, Wait
from providers.errors import GoneError, PermanentError
from providers.protocol import Progress, Report
from providers.rules import JSON

_TIMES = 3  # the slowest request: another publisher looks, then puts
_LONGEST_REST = 10.0  # seconds


class Tags:
    """Both tags.

    Args:
        fields: of the image that is published.
        is_ours: whether an image is of the source that is published.
    """

    def __init__(
        self,
        registry: RegistryClient,
        fields: Mapping[str, JSON],
        is_ours: Callable[[PublishedImage], bool],
        report: Report,
    ) -> None:
        self._registry = registry
        self._names = {Tag.VERSION: fields["version"], Tag.CHANNEL: fields["channel"]}
        self._platform = fields["platform"]
        self._is_ours = is_ours
        self._report = report
        self._known: dict[str, TagState] = {}
        self._slowest = 0.0

    def follow(self, steps: Steps, before: MutableMapping[str, str]) -> Outcome:
        """Do the steps of a publication.

        Args:
            before: version -> what the channel pointed to before that version was put; is filled in, so that
                another try of this run can say it.
        """
        answer: TagState | None = None
        channel: str | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as ended:
                before.pop(self._names[Tag.VERSION], None)
                outcome: Outcome = ended.value
                return outcome
            answer = None
            match step:
                case ReadTag(tag):
                    answer = self.look(tag)
                    if channel is None:  # that is the first thing that is looked at
                        channel = answer.digest if answer else ""
                case PutTag(tag, digest, new):
                    before.setdefault(self._names[Tag.VERSION], channel or "")
                    self._put(tag, digest, new)
                case Wait(least):
                    self._registry.pause(max(least, min(_TIMES * self._slowest, _LONGEST_REST)))

    def look(self, tag: Tag) -> TagState | None:
        """What a tag points to.

        Raises:
            ProviderError: the registry did not say; for the channel, only where it points.
        """
        began = time.monotonic()
        digest = self._registry.digest(self._names[tag])
        self._slowest = max(self._slowest, time.monotonic() - began)
        if digest is None:
            return None
        try:
            return self.seen(digest)
        except (PermanentError, GoneError):
            if tag is Tag.VERSION:
                raise
            return TagState(digest, ours=False, claims=False)  # of another platform, or no image at all

    def seen(self, digest: str) -> TagState:
        """What is known of an image of the registry.

        Raises:
            GoneError: it is not there.
            ProviderError: it is no image for the platform, or the registry did not say.
        """
        if digest not in self._known:
            image = self._registry.image(digest, self._platform)
            if image is None:
                raise GoneError(f"{self._registry.repository}@{digest} is not in the registry")
            claims = image.labels.get(VERSION) == self._names[Tag.VERSION]
            self._known[digest] = TagState(digest, self._is_ours(image), claims)
        return self._known[digest]

    def _put(self, tag: Tag, digest: str, new: bool) -> None:
        if not new:  # what has just been built, or is given another tag, has been reported
            named = digest[:19] if tag is Tag.VERSION else self._names[Tag.VERSION]
            self._report(Progress("tag", text=f"{self._names[tag]} -> {named}"))
        began = time.monotonic()
        self._registry.tag(digest, self._names[tag], new=new)
        self._slowest = max(self._slowest, time.monotonic() - began)
