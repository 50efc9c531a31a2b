"""The kind `image`: a folder's image in a registry, under a version tag that never moves and a channel tag.

Reading asks the registry only, a few kilobytes: the source key that was baked into the image's labels says
whether it is this source. Building happens on a write only, and never under a tag that is published already.

A registry has no "put this tag unless it is there"; `publication` has what is done instead. Which files
differ is known from the record alone: names of files are in no label, as whoever may read an image's
configuration need not be who may pull it, and every plan would have to read them.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from providers.docker.builders.select import Builder
from providers.docker.facts import FACTS
from providers.docker.labels import REVISION, SOURCE_KEY, VERSION
from providers.docker.outputs import ImageOutputs
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import PublishedImage
from providers.docker.registry.publication import PublicationEnd, Tag, publication
from providers.docker.registry.tags import Tags
from providers.docker.source.key import ImageSource, SourceKey, fingerprint
from providers.docker.source.source_diff import differences
from providers.docker.verdicts import ImageRefusal, ImageVerdict, ImageWay
from providers.errors import ExistsError, PermanentError, TransientError
from providers.protocol import (
    Assessment,
    LiveObject,
    Progress,
    Published,
    Reference,
    Report,
    RequiredAction,
)
from providers.reasons import Reason, Refusal, WayOut
from providers.rules import JSON

MOST_FILES = 1000
"""Files of which the record keeps a digest each, so that a later plan can name the changed ones."""

_LISTED = 4  # changes that a reason names; the others are counted


class ImageKind:
    """Images of one pipeline folder.

    Args:
        repository: as the files name it.
        source: the folder and its settings.
        key: of that folder as it is now.
        builder: gives what makes and pushes the image; called when one is needed, as it may ask an Engine.
        labels: gives the OCI labels to bake in, without the version and the source key; called likewise.
        new_version: the way out when the source needs a new version.
        accept: the way out that takes a version of another tool for this source; None for no such way.
        accept_foreign: a version that another tool published is this source, because the user says so.
        bumped_from: the version that config.toml has while a bump is planned: what is published under it and
            is this source gets the new tag; "" without a bump.
        leaves_channel: a channel tag that points elsewhere is left there: others publish to it.
        connect: gives a client of a repository.
    """

    def __init__(
        self,
        repository: str,
        source: ImageSource,
        key: SourceKey,
        builder: Callable[[], Builder],
        labels: Callable[[], Mapping[str, str]],
        *,
        new_version: WayOut,
        accept: WayOut | None = None,
        accept_foreign: bool = False,
        bumped_from: str = "",
        leaves_channel: bool = False,
        connect: Callable[[str], RegistryClient] = RegistryClient,
    ) -> None:
        self._repository = repository
        self._source = source
        self._key = key
        self._builder = builder
        self._labels = labels
        self._new_version = new_version
        self._accept = accept
        self._accept_foreign = accept_foreign
        self._bumped_from = bumped_from
        self._leaves_channel = leaves_channel
        self._connect = connect
        self._before: dict[str, str] = {}  # version -> what the channel pointed to before it was put
        self.facts = replace(FACTS, assess=self._assess)

    def read(self, reference: Reference) -> LiveObject | None:
        """What the version tag names; before there is one, what was published last as far as can be told.

        That is the image among those that the record, the version before a bump and the channel tags name
        which is this source, else the first of them. The id is `version@digest`: the label of an image says
        under which version it was built, not which tags were moved to it later.

        A digest names its content for good. So where the version tag still has the recorded one, the record
        says what is in it, and the manifest and the configuration are not read.
        """
        version, recorded = reference.fields["version"], ImageOutputs.of(reference.outputs)
        known_as, _, known = (reference.id or "").partition("@")
        with self._connect("/".join(reference.name)) as registry:
            wanted, *others = _channels(reference.fields)
            remembered = _remembered(recorded, self._source.platform)
            image: PublishedImage | _Content | None = remembered
            if remembered is None or registry.digest(version) != remembered.digest:
                image = registry.image(version, self._source.platform)
            tag = version if image else None
            channels = _pointing(registry, wanted)
            if image is None or channels.get(wanted) != image.digest:
                for other in others:
                    channels |= _pointing(registry, other)
            if image is None:
                before = _pointing(registry, self._bumped_from) if self._bumped_from else {}
                image = self._last(registry, (known, *before.values(), *channels.values()), recorded)
        if image is None:
            return None
        version = tag or (known_as if image.digest == known else image.labels.get(VERSION))
        return self._live(reference, recorded, image, version, tag, channels)

    def _last(
        self, registry: RegistryClient, digests: Collection[str], recorded: ImageOutputs
    ) -> PublishedImage | None:
        """The first of these images that is this source, else the first that is there at all."""
        first = None
        for digest in dict.fromkeys(filter(None, digests)):
            image = registry.image(digest, self._source.platform)
            if image is not None and self._key.is_same(_source_of(image, recorded)):
                return image
            first = first or image
        return first

    def _live(
        self,
        reference: Reference,
        recorded: ImageOutputs,
        image: "PublishedImage | _Content",
        version: str | None,
        tag: str | None,
        channels: Mapping[str, str],
    ) -> LiveObject:
        desired = reference.fields
        pointing = [channel for channel, digest in channels.items() if digest == image.digest]
        elsewhere = channels.get(desired["channel"])
        if self._leaves_channel and elsewhere is not None:
            pointing = [desired["channel"]]
        fields: dict[str, JSON] = {
            "channel": pointing[0] if pointing else None,
            "platform": image.platform,
        }
        if version is not None:
            # An image that says it is this version, without the tag, lost the tag.
            fields["version"] = version if tag or version != desired["version"] else None
        label, source = image.labels.get(SOURCE_KEY), _source_of(image, recorded)
        if self._key.is_same(source) or (source is None and tag and self._accept_foreign):
            source = self._key.key
        fields["source_key"] = source
        is_this = source == self._key.key
        outputs = ImageOutputs(
            image.digest,
            tag,
            elsewhere,
            image.platform,
            label=label or "",
            stands_for=source if source != label else None,
            revision=image.labels.get(REVISION) or None,
            files=self._key.files if is_this and len(self._key.files) <= MOST_FILES else None,
            arguments=self._key.arguments if is_this else None,
        )
        return LiveObject(f"{version or ''}@{image.digest}", reference.name, fields, outputs.to_json())

    def check(self, name: Sequence[str], live: LiveObject | None, fields: Mapping[str, JSON]) -> None:
        """Whether we may push and, where a build is needed, could build; raises what a write would raise."""
        with self._connect("/".join(name)) as registry:
            registry.check()
        if builder := self.builder_for(live, fields):
            builder.check()
            self._labels()

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        """Build and push under the version tag, then move the channel tag there.

        What is published from this very source already, by a first try whose answer was lost or by another
        run, is taken as it is.
        """
        expected = fingerprint(self._source)
        if expected.key != fields["source_key"]:
            raise PermanentError(
                f"{self._source.folder} changed since the plan was made", hint="plan again to see with what"
            )
        version, source = fields["version"], replace(self._source, expected=expected)

        def build() -> str:
            labels = {**self._labels(), VERSION: version, SOURCE_KEY: fields["source_key"]}
            pushed = self._builder().publish(source, "/".join(name), version, labels, report)
            return registry.seal(pushed)

        with self._connect("/".join(name)) as registry:
            digest = self._publish(registry, fields, build, report)
        return LiveObject(f"{version}@{digest}", tuple(name), fields)

    def update(
        self,
        live: LiveObject,
        changed: Mapping[str, JSON],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        """Move tags when the image is this source already, else build."""
        if self.needs_build(live, fields):
            return self.create(live.name, fields, parent=parent, report=report)
        version: str = fields["version"]
        shown = ImageOutputs.of(live.outputs)
        digest = shown.digest

        def retag() -> str:
            report(Progress("tag", text=f"{version} -> {digest[:19]}"))
            return digest

        with self._connect("/".join(live.name)) as registry:
            if shown.tag != version:
                self._publish(registry, fields, retag, report, digest)
            else:
                _move(registry, fields["channel"], digest, version, report)
        return live

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        raise AssertionError(f"images are never deleted from a registry, and so not {'/'.join(live.name)}")

    def differing(self, outputs: Mapping[str, JSON], live: LiveObject) -> list[str] | None:
        """What tells the source from the published one, a line each; None when no record says.

        Args:
            outputs: as recorded; of use only where they were recorded of this very image.
        """
        if live.fields.get("source_key") == self._key.key:
            return []
        recorded = ImageOutputs.of(outputs)
        if recorded.files is None or recorded.digest != ImageOutputs.of(live.outputs).digest:
            return None
        files = self._key.files_as_of(recorded.source)
        return differences(recorded.files, files, recorded.arguments or {}, self._key.arguments)

    def published(self, name: Sequence[str], version: str, outputs: Mapping[str, JSON]) -> Published:
        """What the version tag names. Raises ProviderError: the registry could not be asked."""
        with self._connect("/".join(name)) as registry:
            image = registry.image(version, self._source.platform)
        if image is None:
            return Published.NOTHING
        source = _source_of(image, ImageOutputs.of(outputs))
        return Published.THIS_SOURCE if self._key.is_same(source) else Published.OTHER_SOURCE

    def is_foreign(self, live: LiveObject) -> bool:
        """Whether another tool published this version, and nothing says from which source."""
        return ImageOutputs.of(live.outputs).tag is not None and live.fields.get("source_key") is None

    def builder_for(self, live: LiveObject | None, fields: Mapping[str, JSON]) -> Builder | None:
        """What a write of `fields` would build with; None where nothing needs to be built.

        Asks around for what is there, once.
        """
        return self._builder() if live is None or self.needs_build(live, fields) else None

    def needs_build(self, live: LiveObject, fields: Mapping[str, JSON]) -> bool:
        """Whether neither the version tag nor the image behind the channel tag is this source already."""
        published = ImageOutputs.of(live.outputs).tag == fields["version"]
        return not published and live.fields.get("source_key") != fields["source_key"]

    def moves_tag(self, live: LiveObject, fields: Mapping[str, JSON]) -> bool:
        """Whether a write of `fields` lets an existing channel tag point to another image."""
        shown = ImageOutputs.of(live.outputs)
        there = shown.channel_points_to
        return there is not None and (there != shown.digest or self.needs_build(live, fields))

    def running(
        self, live: LiveObject, fields: Mapping[str, JSON], users: Iterable[Mapping[str, JSON]]
    ) -> dict[str, str | None]:
        """The tags of this repository that objects with these fields use, with the digest behind each."""
        repository, shown = "/".join(live.name), ImageOutputs.of(live.outputs)
        found: dict[str, str | None] = {fields["channel"]: shown.channel_points_to}
        if shown.tag is not None:
            found[shown.tag] = shown.digest
        tags = {user.get("docker_tag") for user in users if user.get("docker_image") == repository}
        used = sorted(tag for tag in tags if isinstance(tag, str) and tag)
        if any(tag not in found for tag in used):
            with self._connect(repository) as registry:
                found |= {tag: registry.digest(tag) for tag in used if tag not in found}
        return {tag: found[tag] for tag in used}

    def version_behind(self, name: Sequence[str], digest: str) -> str:
        """The version in the labels of an image; "" if it has none."""
        with self._connect("/".join(name)) as registry:
            image = registry.image(digest, self._source.platform)
        return image.labels.get(VERSION, "") if image else ""

    def _is_this(self, image: PublishedImage, key: str, digest: str) -> bool:
        """Whether this is the very image, or one of the source that `key` is of."""
        label = image.labels.get(SOURCE_KEY)
        return image.digest == digest or label == key or (key == self._key.key and self._key.is_same(label))

    def _publish(
        self,
        registry: RegistryClient,
        fields: Mapping[str, JSON],
        make: Callable[[], str],
        report: Report,
        digest: str = "",
    ) -> str:
        """Have the version and the channel tag name this source; the digest that they name.

        Args:
            make: has an image of it in the registry, and gives its digest; called only when nothing is
                published under the version.
            digest: of an image that is known to be this source, whatever its label says.

        Raises:
            ExistsError: the version names other source, before we put it or after.
            TransientError: it names nothing after it was put, or `make` gave another build's image.
        """
        version, key = fields["version"], fields["source_key"]
        name = f"{registry.repository}:{version}"
        tags = Tags(registry, fields, lambda image: self._is_this(image, key, digest), report)
        there = tags.read(Tag.VERSION)
        mine = there.digest if there else make()
        if there is None and not tags.state_of(mine).ours:
            raise TransientError(f"another build was pushed to {registry.repository} at the same moment")
        outcome = tags.run(publication(mine, self._before.get(version)), self._before)
        if outcome.end is PublicationEnd.TAKEN:
            raise ExistsError(
                f"{name} was published meanwhile, and is never overwritten", way_out=self._new_version
            )
        if outcome.end is PublicationEnd.LOST:
            raise ExistsError(
                f"{name} was published by another run at the same moment, from other source; "
                "that is what it names now",
                way_out=self._new_version,
            )
        if outcome.end is PublicationEnd.GONE:
            raise TransientError(f"{name} was pushed, and {registry.repository.registry} does not show it")
        return outcome.digest

    def _assess(
        self,
        desired: Mapping[str, JSON],
        recorded: Mapping[str, JSON] | None,
        outputs: Mapping[str, JSON],
        live: LiveObject | None,
        others: Collection[LiveObject],
    ) -> Assessment:
        if live is None:
            return Assessment(RequiredAction.CREATE, Reason(self._why_nothing(desired, others)))
        key, version = live.fields.get("source_key"), desired["version"]
        same_source = key == desired["source_key"]
        shown = ImageOutputs.of(live.outputs)
        if shown.tag is None:
            if same_source:
                return Assessment(RequiredAction.UPDATE, Reason(ImageVerdict.SAME_SOURCE))
            return Assessment(RequiredAction.UPDATE, self._source_changed(outputs, live))
        if self.is_foreign(live):
            reason = Reason(ImageRefusal.FOREIGN_VERSION, {"version": version})
            ways = (self._new_version, *([self._accept] if self._accept else []))
            return Assessment(
                RequiredAction.UPDATE,
                Reason(ImageVerdict.FOREIGN, {"accepted": False}),
                Refusal(reason, ways),
            )
        if not same_source:
            changed = self._source_changed(outputs, live)
            return Assessment(RequiredAction.UPDATE, changed, self._refusal(desired, recorded, changed))
        if live.fields["channel"] != desired["channel"]:
            where = {"channel": desired["channel"], "points_to": shown.channel_points_to}
            return Assessment(RequiredAction.UPDATE, Reason(ImageVerdict.TAG_MOVED, where))
        if shown.label == "":
            return Assessment(RequiredAction.NOTHING, Reason(ImageVerdict.FOREIGN, {"accepted": True}))
        return Assessment(RequiredAction.NOTHING, Reason(ImageVerdict.PUBLISHED))

    def _refusal(
        self, desired: Mapping[str, JSON], recorded: Mapping[str, JSON] | None, changed: Reason
    ) -> Refusal:
        """Why this version cannot get this source, and the way out."""
        version, published = desired["version"], (recorded or {}).get("version")
        if recorded and recorded.get("source_key") == desired["source_key"] and published != version:
            return Refusal(
                Reason(ImageRefusal.PUBLISHED_AS, {"version": version, "published": published}),
                (WayOut(ImageWay.REPEAT_BUMP, details={"version": published}),),
            )
        taken = Reason(ImageRefusal.VERSION_TAKEN, {"version": version, **changed.details})
        return Refusal(taken, (self._new_version,))

    def _why_nothing(self, desired: Mapping[str, JSON], others: Collection[LiveObject]) -> ImageVerdict:
        ours = {(self._repository, tag) for tag in (desired["version"], desired["channel"])}
        if any((o.fields.get("docker_image"), o.fields.get("docker_tag")) in ours for o in others):
            return ImageVerdict.MISSING
        return ImageVerdict.NEVER_PUBLISHED

    def _source_changed(self, outputs: Mapping[str, JSON], live: LiveObject) -> Reason:
        """The differences where the recorded state has them, else the commit to compare with."""
        lines = self.differing(outputs, live)
        if lines is not None:
            more = max(0, len(lines) - _LISTED)
            return Reason(ImageVerdict.SOURCE_CHANGED, {"differing": lines[:_LISTED], "more": more})
        found = _REVISION.fullmatch(ImageOutputs.of(live.outputs).revision or "")
        return Reason(
            ImageVerdict.SOURCE_CHANGED,
            {
                "files": len(self._key.files),
                "revision": found[1] if found else None,
                "dirty": bool(found and found[2]),
            },
        )


_REVISION = re.compile(r"([0-9a-f]{7,64})(\+dirty)?")
"""A commit. Anyone may have written the label, so it may hold anything else."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What an image is, as the record says: as much of it as a plan needs."""

    digest: str
    platform: str
    labels: Mapping[str, str]


def _remembered(recorded: ImageOutputs, platform: str) -> _Content | None:
    """The recorded image; None where too little is recorded of it, or it is for another platform."""
    if recorded.platform != platform or recorded.label is None or not recorded.digest:
        return None
    labels = {SOURCE_KEY: recorded.label, REVISION: recorded.revision}
    return _Content(recorded.digest, platform, {name: said for name, said in labels.items() if said})


def _source_of(image: "PublishedImage | _Content", recorded: ImageOutputs) -> str | None:
    """The source of an image: as recorded, where that is this very image, else as the label says."""
    known = recorded.source if recorded.digest == image.digest else None
    return known or image.labels.get(SOURCE_KEY)


def _channels(desired: Mapping[str, JSON]) -> list[str]:
    """The desired channel tag, then the usual ones, which it may have been before."""
    return list(dict.fromkeys((desired["channel"], "latest", "test")))


def _pointing(registry: RegistryClient, tag: str) -> dict[str, str]:
    """The tag with the digest that it points to; nothing when there is no such tag."""
    digest = registry.digest(tag)
    return {tag: digest} if digest else {}


def _move(registry: RegistryClient, tag: str, digest: str, named: str, report: Report) -> None:
    report(Progress("tag", text=f"{tag} -> {named}"))
    registry.tag(digest, tag)
