"""The kind `image`: a folder's image in a registry, under a version tag that never moves and a channel tag.

A read sends a few small requests to the registry: the source key in the image's labels identifies its source.
Only a write builds an image, and never under a published tag.

A registry cannot put a tag on the condition that it is free; `publication` has the steps that replace it. The
differing files are known from state alone: labels contain no names of files, because more people may read an
image's configuration than may pull it, and every plan would have to read them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from providers import rules
from providers.docker.builders.select import Builder
from providers.docker.channel_use import ChannelUse
from providers.docker.facts import FACTS, text
from providers.docker.labels import REVISION, SOURCE_KEY, VERSION
from providers.docker.origin import Origin, Revision
from providers.docker.outputs import ImageOutputs
from providers.docker.provenance import attach, statement
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.copying import check_sizes, copy_image
from providers.docker.registry.manifests import OtherContentError, PublishedImage, fits
from providers.docker.registry.publication import PublicationEnd, Tag, publication
from providers.docker.registry.sealing import seal
from providers.docker.registry.tags import Tags
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource, SourceKey
from providers.docker.source.reading import ChangedError
from providers.docker.source.source_diff import differences
from providers.docker.source.source_index import forget
from providers.docker.verdicts import ImageRefusal, ImageVerdict, ImageWay
from providers.errors import ExistsError, PermanentError, TransientError
from providers.json_value import JSON
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

MAX_RECORDED_FILES = 1000
"""Up to so many files, state keeps the digest of each, so that a later plan can list the changed ones."""

_MAX_DISPLACED = 20
"""So many digests that a stack moved its channel tag away from are kept in state."""


class PromotedImage(Struct, frozen=True):
    """The image of another environment, which gets the tags of this one. It is copied, never built.

    Attributes:
        environment: the name of the other environment.
        digest: of the image; "" if that environment runs none.
        connect: returns a client of its repository.
    """

    environment: str
    digest: str
    connect: Callable[[], RegistryClient]


_LISTED = 4  # differences that a reason lists; the others are counted


class ImageKind:
    """Images of one pipeline folder.

    Args:
        repository: the repository of the files, in its normal form.
        source: the folder and its settings.
        key: the source key of the folder.
        builder: returns the builder. Called only before a build, because it may contact an Engine.
        labels: returns the OCI labels to add, without the version and the source key. Called only before a
            build.
        new_version: the way out when the source needs a new version.
        accept: the way out that accepts a version of another tool as this source; None for no such way.
        accept_foreign: whether the user accepts a version of another tool as this source.
        bumped_from: the version in config.toml while a bump is planned; "" without a bump. If an image of
            this source is published under it, that image gets the new tag.
        channel_use: what writes do with the channel tag.
        origin: returns the origin that a statement of provenance names; None for no statement. Called only
            after a build.
        promoted: the very image to publish, instead of one that is built from the folder; None to build.
        is_recorded: whether the image is one of an earlier state, whatever the folder contains.
        connect: returns a client of a repository.
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
        channel_use: ChannelUse = ChannelUse.MOVES,
        origin: Callable[[], Origin] | None = None,
        promoted: PromotedImage | None = None,
        is_recorded: bool = False,
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
        self._channel_use = channel_use
        self._origin = origin
        self._plan = ""
        self._promoted = promoted
        self._is_recorded = is_recorded
        self._connect = connect
        self._has_written_channel = False  # then the tag is read back, and never counts as left
        self._channel_before: dict[str, str] = {}  # version -> digest of the channel before it was put
        self.facts = replace(FACTS, assess=self._assess)

    def read(self, reference: Reference) -> LiveObject | None:
        """The image of the version tag. Without that tag, the image that was probably published last.

        The candidates are the recorded image, and those of the version before a bump and of the channel tags:
        the first one of this source, or else the first one. The id is `version@digest`. The version label
        only has the version of the build; tags may have moved to the image later.

        The content of a digest never changes. So if the version tag still has the recorded digest, state has
        the image's facts, and its manifest and configuration are not read.
        """
        desired_version, recorded = text(reference.fields, "version"), ImageOutputs.of(reference.outputs)
        recorded_version, _, recorded_digest = (reference.id or "").partition("@")
        with self._connect("/".join(reference.name)) as registry:
            desired, *others = _channel_tags(reference)
            image = known = _recorded_image(recorded, self._source.platform)
            if known is None or registry.digest(desired_version) != known.digest:
                image = self._image(registry, desired_version)
            tag = desired_version if image else None
            channels = _digest_by_tag(registry, desired)
            if image is None or channels.get(desired) != image.digest:
                for other in others:
                    channels |= _digest_by_tag(registry, other)
            if image is None:
                before = _digest_by_tag(registry, self._bumped_from) if self._bumped_from else {}
                promoted = self._promoted.digest if self._promoted else ""
                digests = (promoted, recorded_digest, *before.values(), *channels.values())
                image = self._best_candidate(registry, digests, recorded)
        if image is None:
            return None
        is_recorded = image.digest == recorded_digest
        version = tag or (recorded_version if is_recorded else image.labels.get(VERSION))
        return self._live(reference, recorded, image, version, tag, channels)

    def _image(self, registry: RegistryClient, reference: str) -> "_FoundImage | None":
        """What the registry has under a tag or digest, also if it is not an image for the platform."""
        try:
            image = registry.image(reference, self._source.platform)
        except OtherContentError as other:
            digest = registry.digest(reference)
            return _FoundImage(digest, ", ".join(other.platforms), {}) if digest else None
        return _FoundImage(image.digest, image.platform, image.labels) if image else None

    def _best_candidate(
        self, registry: RegistryClient, digests: Collection[str], recorded: ImageOutputs
    ) -> "_FoundImage | None":
        """The first of these images with this source, or else the first that exists."""
        first = None
        for digest in dict.fromkeys(filter(None, digests)):
            image = self._image(registry, digest)
            if image is not None and self._is_this(image, recorded):
                return image
            first = first or image
        return first

    def _is_this(self, image: "_FoundImage", recorded: ImageOutputs) -> bool:
        """Whether the image has this source, for this platform."""
        return fits(image.platform, self._source.platform) and self._key.is_same(_source_of(image, recorded))

    def _live(
        self,
        reference: Reference,
        recorded: ImageOutputs,
        image: "_FoundImage",
        version: str | None,
        tag: str | None,
        channels: Mapping[str, str],
    ) -> LiveObject:
        desired, is_suitable = reference.fields, fits(image.platform, self._source.platform)
        pointing = [channel for channel, digest in channels.items() if digest == image.digest]
        elsewhere = channels.get(text(desired, "channel"))
        if self._is_left(elsewhere, recorded):
            pointing = [text(desired, "channel")]
        fields: dict[str, JSON] = {
            "channel": pointing[0] if pointing else None,
            "platform": self._source.platform if is_suitable else image.platform,
        }
        if version is not None:
            # An image with this version in its label, but without the tag, lost the tag.
            fields["version"] = version if tag or version != desired["version"] else None
        label, source = image.labels.get(SOURCE_KEY), _source_of(image, recorded)
        is_promoted = self._promoted is not None and image.digest == self._promoted.digest
        accepted = source is None and tag and self._accept_foreign
        if self._key.is_same(source) or is_promoted or accepted:
            source = self._key.key if is_suitable else None
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
            files=self._key.files if is_this and len(self._key.files) <= MAX_RECORDED_FILES else None,
            arguments=self._key.arguments if is_this else None,
            displaced=recorded.displaced,
        )
        return LiveObject(f"{version or ''}@{image.digest}", reference.name, fields, outputs.to_json())

    def _is_left(self, channel: str | None, recorded: ImageOutputs) -> bool:
        """Whether the channel tag is left where it points to.

        A follower leaves a tag that is not where its own last apply left it. A rollback and a promotion name
        the image to run, so they move it.
        """
        is_of_files = self._promoted is None and not self._is_recorded
        is_moved = channel is not None and channel != recorded.digest
        follows = self._channel_use is ChannelUse.FOLLOWS and is_of_files and not self._has_written_channel
        return self._channel_use is ChannelUse.LEAVES or (follows and is_moved)

    def check(self, name: Sequence[str], live: LiveObject | None, fields: Mapping[str, JSON]) -> None:
        """Check the permission to push and, if a build is needed, the builder. Raises as a write would."""
        with self._connect("/".join(name)) as registry:
            registry.check()
        if builder := self.builder_for(live, fields):
            builder.check()
            self._labels()

    def carry_out(self, plan: str) -> None:
        """The digest of the plan that the next writes belong to, for statements of provenance."""
        self._plan = plan

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        """Build and push the image, put the version tag, then move the channel tag.

        A statement of provenance is stored before the tags: no tag of ours names an image that lacks it.
        An image that is already published from this source is used unchanged: another run published it, or an
        earlier attempt whose response was lost.
        """
        if self._promoted is not None:
            return self._promote(name, fields, self._promoted, report)
        # What is packed is compared with it. If nothing is built, `_require_source` reads every file.
        expected = self._hash(report, cached=True)
        if expected.key != fields["source_key"]:
            raise self._changed()
        version, source = text(fields, "version"), replace(self._source, expected=expected)

        def build() -> str:
            labels = {**self._labels(), VERSION: version, SOURCE_KEY: expected.key}
            try:
                pushed = self._builder().publish(source, "/".join(name), version, labels, report)
            except ChangedError:
                forget(self._source.real_folder)  # it may know a file as unchanged that is not
                raise
            digest = seal(registry, pushed)
            self._attest(registry, digest, expected.key, report)
            return digest

        with self._connect("/".join(name)) as registry:
            digest = self._publish(
                registry, fields, build, report, unbuilt=lambda: self._require_source(report)
            )
        return LiveObject(f"{version}@{digest}", tuple(name), fields)

    def _attest(self, registry: RegistryClient, digest: str, key: str, report: Report) -> None:
        """State the provenance of the image with this digest, if it was built from this source."""
        image = registry.image(digest, self._source.platform) if self._origin is not None else None
        if self._origin is not None and image is not None and image.labels.get(SOURCE_KEY) == key:
            name, builder = str(registry.repository), self._builder().name
            attach(registry, digest, statement(image, name, builder, self._plan, self._origin()), report)

    def _promote(
        self, name: Sequence[str], fields: Mapping[str, JSON], promoted: PromotedImage, report: Report
    ) -> LiveObject:
        """Copy the promoted image unless the repository has it, and put the tags."""
        with self._connect("/".join(name)) as registry, promoted.connect() as source:

            def copy() -> str:
                if source.repository != registry.repository:
                    copy_image(source, registry, promoted.digest, report)
                else:
                    check_sizes(source, promoted.digest)
                report(Progress("tag", text=f"{text(fields, 'version')} -> {promoted.digest[:19]}"))
                return promoted.digest

            digest = self._publish(registry, fields, copy, report, promoted.digest)
        return LiveObject(f"{text(fields, 'version')}@{digest}", tuple(name), fields)

    def update(
        self,
        live: LiveObject,
        changed: Mapping[str, JSON],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        """Move tags if the live image is the desired one; build or copy that otherwise."""
        # A copy that was cut off may have left the image without its referrers, and without its version tag.
        is_incomplete = self._promoted is not None and ImageOutputs.of(live.outputs).tag != fields["version"]
        if is_incomplete or self.is_other_content(live, fields):
            written = self.create(live.name, fields, parent=parent, report=report)
        else:
            self._move_tags(live, fields, report)
            written = live
        return replace(written, outputs={**written.outputs, **self._displaced(live, written, fields)})

    def _move_tags(self, live: LiveObject, fields: Mapping[str, JSON], report: Report) -> None:
        """Point the version and the channel tag at a live image."""
        if self._promoted is None and not self._is_recorded:
            self._require_source(report)
        version = text(fields, "version")
        shown = ImageOutputs.of(live.outputs)
        digest = shown.digest

        def retag() -> str:
            report(Progress("tag", text=f"{version} -> {digest[:19]}"))
            return digest

        with self._connect("/".join(live.name)) as registry:
            if shown.tag != version:
                self._publish(registry, fields, retag, report, digest)
            elif self._writes_channel(live, fields):
                self._has_written_channel = True
                _move_tag(registry, text(fields, "channel"), digest, version, report)

    def _hash(self, report: Report, *, cached: bool = False) -> SourceKey:
        return fingerprint(
            self._source,
            search=cached,
            announce=lambda hashing: report(Progress("hash", hashing.path, done=hashing.size)),
            cached=cached,
        )

    def _require_source(self, report: Report) -> None:
        """Raise PermanentError if a file of the source is not as planned. Reads every file."""
        if self._hash(report).key != self._key.key:
            forget(self._source.real_folder)
            raise self._changed()

    def _changed(self) -> PermanentError:
        return PermanentError(
            f"{self._source.folder} changed since the plan was made", hint="plan again to see the changes"
        )

    def _displaced(
        self, before: LiveObject, written: LiveObject, fields: Mapping[str, JSON]
    ) -> dict[str, JSON]:
        """The output that proves which image a write moved the channel tag away from."""
        shown = ImageOutputs.of(before.outputs)
        found, moved = shown.displaced, shown.channel_points_to
        digest = shown.digest if written is before else (written.id or "").partition("@")[2]
        if moved is not None and moved != digest and self._writes_channel(before, fields):
            found = (*(other for other in found if other != moved), moved)[-_MAX_DISPLACED:]
        return {"displaced": list(found)} if found else {}

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        raise AssertionError(f"images are never deleted from a registry: {'/'.join(live.name)}")

    def source_differences(self, outputs: Mapping[str, JSON], live: LiveObject) -> list[str] | None:
        """The differences between the source and the published one, a line each; None if they are unknown.

        Args:
            outputs: the recorded outputs, which are used only if they belong to the published image.
        """
        if live.fields.get("source_key") == self._key.key:
            return []
        recorded = ImageOutputs.of(outputs)
        if recorded.files is None or recorded.digest != ImageOutputs.of(live.outputs).digest:
            return None
        files = self._key.files_as_of(recorded.source)
        return differences(recorded.files, files, recorded.arguments or {}, self._key.arguments)

    def published(self, name: Sequence[str], version: str, outputs: Mapping[str, JSON]) -> Published:
        """The source of the published version. Raises ProviderError if the registry cannot be read."""
        with self._connect("/".join(name)) as registry:
            image = self._image(registry, version)
        if image is None:
            return Published.NOTHING
        is_this = self._is_this(image, ImageOutputs.of(outputs))
        return Published.THIS_SOURCE if is_this else Published.OTHER_SOURCE

    def is_foreign(self, live: LiveObject) -> bool:
        """Whether another tool published this version, for this platform and from an unknown source."""
        is_published = ImageOutputs.of(live.outputs).tag is not None and self._is_suitable(live)
        return is_published and live.fields.get("source_key") is None

    def _is_suitable(self, live: LiveObject) -> bool:
        """Whether it is an image for the platform of the files."""
        return live.fields["platform"] == self._source.platform

    def builder_for(self, live: LiveObject | None, fields: Mapping[str, JSON]) -> Builder | None:
        """The builder for a write of `fields`; None if no build is needed.

        The first call looks for the available builders.
        """
        builds = self._promoted is None if live is None else self.needs_build(live, fields)
        return self._builder() if builds else None

    def needs_build(self, live: LiveObject, fields: Mapping[str, JSON]) -> bool:
        """Whether the version is not published, and the live image has another source."""
        return self._promoted is None and self.is_other_content(live, fields)

    def is_other_content(self, live: LiveObject, fields: Mapping[str, JSON]) -> bool:
        """As `needs_build`, also for an image that is copied instead."""
        shown = ImageOutputs.of(live.outputs)
        if self._promoted is not None:
            return shown.digest != self._promoted.digest
        return shown.tag != fields["version"] and live.fields.get("source_key") != fields["source_key"]

    def moves_tag(self, live: LiveObject, fields: Mapping[str, JSON]) -> bool:
        """Whether a write of `fields` lets an existing channel tag point to another image."""
        shown = ImageOutputs.of(live.outputs)
        there = shown.channel_points_to
        if there is None or not self._writes_channel(live, fields):
            return False
        return there != shown.digest or self.is_other_content(live, fields)

    def _writes_channel(self, live: LiveObject, fields: Mapping[str, JSON]) -> bool:
        """Whether a write of `fields` writes the channel tag: one that publishes does, unless it is left."""
        publishes = ImageOutputs.of(live.outputs).tag != fields["version"] or self.is_other_content(
            live, fields
        )
        is_needed = publishes or live.fields["channel"] != fields["channel"]
        return is_needed and self._channel_use is not ChannelUse.LEAVES

    def running(
        self, live: LiveObject, fields: Mapping[str, JSON], users: Iterable[Mapping[str, JSON]]
    ) -> dict[str, str | None]:
        """The tags of this repository that objects with these fields use, with the digest behind each."""
        repository, shown = "/".join(live.name), ImageOutputs.of(live.outputs)
        found: dict[str, str | None] = {text(fields, "channel"): shown.channel_points_to}
        if shown.tag is not None:
            found[shown.tag] = shown.digest
        tags = {tag for name, tag in map(_image_of, users) if name == repository}
        used = sorted(tag for tag in tags if isinstance(tag, str) and tag)
        if any(tag not in found for tag in used):
            with self._connect(repository) as registry:
                found |= {tag: registry.digest(tag) for tag in used if tag not in found}
        return {tag: found[tag] for tag in used}

    def version_behind(self, name: Sequence[str], digest: str) -> str:
        """The version in the labels of an image; "" if it has none."""
        with self._connect("/".join(name)) as registry:
            image = self._image(registry, digest)
        return image.labels.get(VERSION, "") if image else ""

    def _has_source(self, image: PublishedImage, key: str, digest: str) -> bool:
        """Whether the image has the source of this key, or this digest, which is known to have it."""
        if self._promoted is not None:
            return image.digest == self._promoted.digest
        label = image.labels.get(SOURCE_KEY)
        return image.digest == digest or label == key or (key == self._key.key and self._key.is_same(label))

    def _publish(
        self,
        registry: RegistryClient,
        fields: Mapping[str, JSON],
        make: Callable[[], str],
        report: Report,
        digest: str = "",
        unbuilt: Callable[[], None] = lambda: None,
    ) -> str:
        """Point the version and the channel tag at an image of this source. Returns its digest.

        Args:
            make: puts an image of the source into the registry and returns its digest. Called only if the
                version is not published.
            digest: an image that is known to have this source, whatever its label is.
            unbuilt: checks the source if `make` is not called.

        Raises:
            ExistsError: the version has another source, before or after the tag was put.
            TransientError: the tag is missing after it was put, or `make` returned another build's image.
        """
        version, key = text(fields, "version"), text(fields, "source_key")
        name = f"{registry.repository}:{version}"
        tags = Tags(registry, fields, lambda image: self._has_source(image, key, digest), report)
        published = tags.read(Tag.VERSION)
        if published:
            unbuilt()
        ours = published.digest if published else make()
        if published is None and not tags.state_of(ours).ours:
            raise TransientError(f"another build was pushed to {registry.repository} at the same moment")
        leaves = self._channel_use is ChannelUse.LEAVES
        self._has_written_channel = not leaves
        steps = publication(ours, self._channel_before.get(version), leaves_channel=leaves)
        outcome = tags.run(steps, self._channel_before)
        if outcome.end is PublicationEnd.TAKEN:
            raise ExistsError(
                f"{name} was published in the meantime, and is never overwritten", way_out=self._new_version
            )
        if outcome.end is PublicationEnd.LOST:
            raise ExistsError(
                f"another run published {name} at the same moment, from another source, and won",
                way_out=self._new_version,
            )
        if outcome.end is PublicationEnd.GONE:
            raise TransientError(f"{name} was pushed, but {registry.repository.registry} does not have it")
        return outcome.digest

    def _assess(
        self,
        desired: Mapping[str, JSON],
        recorded: Mapping[str, JSON] | None,
        outputs: Mapping[str, JSON],
        live: LiveObject | None,
        others: Collection[LiveObject],
    ) -> Assessment:
        if self._promoted is not None:
            return self._assess_promoted(self._promoted, desired, live)
        if live is None:
            return Assessment(RequiredAction.CREATE, Reason(self._verdict_without_image(desired, others)))
        key, version = live.fields.get("source_key"), desired["version"]
        same_source = key == desired["source_key"]
        shown = ImageOutputs.of(live.outputs)
        if shown.tag is None:
            changed = Reason(ImageVerdict.SAME_SOURCE) if same_source else self._source_changed(outputs, live)
            if not self._was_published(desired, recorded, live):
                return Assessment(RequiredAction.UPDATE, changed)
            unknown: Mapping[str, JSON] = {"differing": [], "more": 0}
            differing = changed.details if changed.code is ImageVerdict.SOURCE_CHANGED else unknown
            lost = {"version": desired["version"], "deleted": True, **differing}
            taken = Refusal(Reason(ImageRefusal.VERSION_TAKEN, lost), (self._new_version,))
            return Assessment(RequiredAction.UPDATE, changed, taken)
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
            was_used = (recorded or {}).get("channel") == desired["channel"] or any(
                _image_of(other.fields) == (self._repository, desired["channel"]) for other in others
            )
            if shown.channel_points_to is None and not was_used:
                new = Reason(ImageVerdict.NEW_TAG, {"channel": desired["channel"]})
                return Assessment(RequiredAction.UPDATE, new)
            where = {"channel": desired["channel"], "points_to": shown.channel_points_to}
            return Assessment(RequiredAction.UPDATE, Reason(ImageVerdict.TAG_MOVED, where))
        if shown.label == "":
            return Assessment(RequiredAction.NOTHING, Reason(ImageVerdict.FOREIGN, {"accepted": True}))
        also = (recorded or {}).get("version", version)
        is_renamed = also != version and ImageOutputs.of(outputs).digest == shown.digest
        details: dict[str, JSON] = {"also": also} if is_renamed else {}
        return Assessment(RequiredAction.NOTHING, Reason(ImageVerdict.PUBLISHED, details))

    def _was_published(
        self, desired: Mapping[str, JSON], recorded: Mapping[str, JSON] | None, live: LiveObject
    ) -> bool:
        """Whether this version had another source before its tag was deleted.

        It may still run by its channel tag, and history names it, so it never gets a second source.
        """
        if live.fields.get("version", "") is None:
            key = live.fields.get("source_key")
        elif recorded is not None and recorded.get("version") == desired["version"]:
            key = recorded.get("source_key")
        else:
            return False
        return isinstance(key, str) and not self._key.is_same(key)

    def _assess_promoted(
        self, promoted: PromotedImage, desired: Mapping[str, JSON], live: LiveObject | None
    ) -> Assessment:
        is_here = live is not None and not self.is_other_content(live, desired)
        reason = Reason(ImageVerdict.PROMOTED, {"environment": promoted.environment, "copied": not is_here})
        if live is None:
            return Assessment(RequiredAction.CREATE, reason)
        shown = ImageOutputs.of(live.outputs)
        if shown.tag is not None and not is_here:
            details = {
                "version": desired["version"],
                "published": shown.digest,
                "environment": promoted.environment,
                "promoted": promoted.digest,
            }
            refusal = Refusal(Reason(ImageRefusal.OTHER_IMAGE, details), (self._new_version,))
            return Assessment(RequiredAction.UPDATE, reason, refusal)
        if shown.tag is None or live.fields["channel"] != desired["channel"]:
            return Assessment(RequiredAction.UPDATE, reason)
        return Assessment(RequiredAction.NOTHING, Reason(ImageVerdict.PUBLISHED))

    def _refusal(
        self, desired: Mapping[str, JSON], recorded: Mapping[str, JSON] | None, changed: Reason
    ) -> Refusal:
        """The reason why this version cannot have this source, and the way out."""
        version, published = desired["version"], (recorded or {}).get("version")
        if recorded and recorded.get("source_key") == desired["source_key"] and published != version:
            return Refusal(
                Reason(ImageRefusal.PUBLISHED_AS, {"version": version, "published": published}),
                (WayOut(ImageWay.REPEAT_BUMP, details={"version": published}),),
            )
        if changed.code is ImageVerdict.OTHER_PLATFORM:
            only = text(changed.details, "published")
            ask = WayOut(ImageWay.SET_PLATFORM, details={"platform": only})
            ways = (self._new_version, *([ask] if only and "," not in only else []))
            return Refusal(Reason(ImageRefusal.WRONG_PLATFORM, {"version": version, **changed.details}), ways)
        taken = Reason(ImageRefusal.VERSION_TAKEN, {"version": version, **changed.details})
        return Refusal(taken, (self._new_version,))

    def _verdict_without_image(
        self, desired: Mapping[str, JSON], others: Collection[LiveObject]
    ) -> ImageVerdict:
        ours = {(self._repository, tag) for tag in (desired["version"], desired["channel"])}
        if any(_image_of(other.fields) in ours for other in others):
            return ImageVerdict.MISSING
        return ImageVerdict.NEVER_PUBLISHED

    def _source_changed(self, outputs: Mapping[str, JSON], live: LiveObject) -> Reason:
        """The differences if they are recorded; otherwise its platform, or the commit to compare with."""
        lines = self.source_differences(outputs, live)
        if not lines and not self._is_suitable(live):
            details = {"published": live.fields.get("platform"), "platform": self._source.platform}
            return Reason(ImageVerdict.OTHER_PLATFORM, details)
        if lines is not None:
            more = max(0, len(lines) - _LISTED)
            return Reason(ImageVerdict.SOURCE_CHANGED, {"differing": lines[:_LISTED], "more": more})
        found = Revision.parse(ImageOutputs.of(live.outputs).revision or "")
        return Reason(
            ImageVerdict.SOURCE_CHANGED,
            {
                "files": len(self._key.files),
                "revision": found.commit if found else None,
                "dirty": bool(found and found.is_dirty),
            },
        )


class _FoundImage(Struct, frozen=True):
    """The facts of an image that a plan needs.

    Attributes:
        digest: the digest that its tag points to.
        platform: its platform; several of an index without the desired one, and "" for other content.
        labels: its labels; none if they are unknown.
    """

    digest: str
    platform: str
    labels: Mapping[str, str]


def _recorded_image(recorded: ImageOutputs, platform: str) -> _FoundImage | None:
    """The recorded image; None if its facts are incomplete, or it is for another platform."""
    if recorded.platform is None or recorded.label is None or not recorded.digest:
        return None
    if not fits(recorded.platform, platform):
        return None
    labels = {SOURCE_KEY: recorded.label, REVISION: recorded.revision}
    found = {name: text for name, text in labels.items() if text}
    return _FoundImage(recorded.digest, recorded.platform, found)


def _source_of(image: _FoundImage, recorded: ImageOutputs) -> str | None:
    """The source key of an image: the recorded one if it is the recorded image, or else its label."""
    known = recorded.source if recorded.digest == image.digest else None
    return known or image.labels.get(SOURCE_KEY)


def _image_of(user: Mapping[str, JSON]) -> tuple[JSON, JSON]:
    """The repository and the tag of the image that an object with these fields uses."""
    return rules.repository(user.get("docker_image")), user.get("docker_tag")


def _channel_tags(reference: Reference) -> list[str]:
    """The desired channel tag, then the recorded one, then the usual ones, which another tool puts."""
    recorded = reference.recorded.get("channel")
    earlier = [recorded] if isinstance(recorded, str) and recorded else []
    return list(dict.fromkeys((text(reference.fields, "channel"), *earlier, "latest", "test")))


def _digest_by_tag(registry: RegistryClient, tag: str) -> dict[str, str]:
    """The tag with its digest; empty if the tag does not exist."""
    digest = registry.digest(tag)
    return {tag: digest} if digest else {}


def _move_tag(registry: RegistryClient, tag: str, digest: str, version: str, report: Report) -> None:
    report(Progress("tag", text=f"{tag} -> {version}"))
    registry.tag(digest, tag)
