"""The recorded facts of an image beside its fields, as one typed value.

State keeps them as a JSON object. The kind converts them to `ImageOutputs` when it reads them, and back to
JSON when it returns them. A malformed value counts as unknown.
"""

from collections.abc import Mapping

from msgspec import Struct

from providers.json_value import JSON


class ImageOutputs(Struct, frozen=True):
    """Facts of one published image.

    Attributes:
        digest: digest of its manifest; "" if unknown.
        tag: the version tag; None if it does not point to this image.
        channel_points_to: digest of the desired channel tag; None if that tag does not exist.
        platform: `os/architecture[/variant]`; None if unknown.
        label: the source key in its labels; "" for an image without one, None if unknown.
        stands_for: the source key that the user accepted it as; None if that is its label.
        revision: the commit in its labels.
        files: digest of each file of its source; None if unknown.
        arguments: the build settings that are part of the source; None if unknown.
        displaced: the digests that applies of this stack moved the channel tag away from, the latest ones
            last. The proof of who moved a tag that several environments share.
    """

    digest: str = ""
    tag: str | None = None
    channel_points_to: str | None = None
    platform: str | None = None
    label: str | None = None
    stands_for: str | None = None
    revision: str | None = None
    files: Mapping[str, str] | None = None
    arguments: Mapping[str, str] | None = None
    displaced: tuple[str, ...] = ()

    @property
    def source(self) -> str | None:
        """The source key that the image has or stands for; None if unknown."""
        return self.stands_for or self.label or None

    @classmethod
    def of(cls, outputs: Mapping[str, JSON]) -> "ImageOutputs":
        """Read the output of `to_json`, of this version or an earlier one."""
        return cls(
            digest=_text(outputs, "digest") or "",
            tag=_text(outputs, "tag"),
            channel_points_to=_text(outputs, "channel_points_to"),
            platform=_text(outputs, "platform"),
            label="" if outputs.get("source_key", "") is None else _text(outputs, "source_key"),
            stands_for=_text(outputs, "stands_for") or _text(outputs, "taken_over_from"),  # its earlier name
            revision=_text(outputs, "revision"),
            files=_table(outputs, "files"),
            arguments=_table(outputs, "arguments"),
            displaced=_texts(outputs, "displaced"),
        )

    def to_json(self) -> dict[str, JSON]:
        """The JSON object for state. Unknown facts have no key, except for the tags."""
        optional: dict[str, JSON] = {
            "stands_for": self.stands_for,
            "revision": self.revision,
            "arguments": None if self.arguments is None else dict(self.arguments),
            "files": None if self.files is None else dict(self.files),
            "displaced": list(self.displaced) or None,
        }
        return {
            "digest": self.digest,
            "tag": self.tag,
            "channel_points_to": self.channel_points_to,
            "platform": self.platform,
            "source_key": self.label or None,
            **{name: value for name, value in optional.items() if value is not None},
        }


def _text(outputs: Mapping[str, JSON], name: str) -> str | None:
    value = outputs.get(name)
    return value if isinstance(value, str) else None


def _table(outputs: Mapping[str, JSON], name: str) -> dict[str, str] | None:
    value = outputs.get(name)
    if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
        return value
    return None


def _texts(outputs: Mapping[str, JSON], name: str) -> tuple[str, ...]:
    value = outputs.get(name)
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
