"""Verdicts on a published image and its source, refusals and their ways out, as data."""

from enum import StrEnum


class ImageVerdict(StrEnum):
    """The comparison of the published image with the source; `verdict` of `image --json`."""

    PUBLISHED = "published"  # `also`: the version that the state has for the same image
    NEVER_PUBLISHED = "never-published"
    SAME_SOURCE = "same-source"  # published, under another version
    SOURCE_CHANGED = "source-changed"  # `differing` lines and `more`; without a state `files`, `revision`
    TAG_MOVED = "tag-moved"  # `channel` points at the digest `points_to`, or was deleted
    NEW_TAG = "new-tag"  # `channel` does not exist yet
    FOREIGN = "foreign"  # published by another tool; `accepted` as this source or not
    PROMOTED = "promoted"  # the image that `environment` runs; `copied` from its repository or not
    OTHER_PLATFORM = "other-platform"  # `published` platforms, "" for none, and the `platform` of the files
    MISSING = "missing"  # the platform points at a tag that the registry does not have


class ImageRefusal(StrEnum):
    """The reason why an image cannot be published as configured."""

    FOREIGN_VERSION = "foreign-version"  # `version`
    WRONG_PLATFORM = "wrong-platform"  # `version`; details as OTHER_PLATFORM
    VERSION_TAKEN = "version-taken"  # `version` has other source, or had, if `deleted`; as SOURCE_CHANGED
    OTHER_IMAGE = "other-image"  # `version` has the digest `published`, and `environment` runs `promoted`
    PUBLISHED_AS = "published-as"  # this source is `published`, and config.toml has `version`


class ImageWay(StrEnum):
    """A way out of the refusal of an image."""

    NEW_VERSION = "new-version"
    ACCEPT_FOREIGN = "accept-foreign"
    SET_PLATFORM = "set-platform"  # `platform` is the one to write into config.toml instead
    REPEAT_BUMP = "repeat-bump"  # `version` is the one to write into config.toml instead
    OTHER_STATE = "other-state"
