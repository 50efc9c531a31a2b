"""What is recorded of an image beside its fields, as one typed value.

State keeps it as a JSON object. It becomes an `ImageOutputs` where it enters the kind, and JSON again where
it leaves. State is a memory: a damaged value counts as forgotten.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from providers.rules import JSON


@dataclass(frozen=True, slots=True)
class ImageOutputs:
    """Facts of one published image.

    Attributes:
        digest: of its manifest; "" where it is not known.
        tag: the version tag, where it names this image.
        channel_points_to: the digest behind the desired channel tag; None where there is no such tag.
        platform: `os/architecture` that it runs on; None where it is not known.
        label: the source key in its labels; "" for an image without one, None where it is not known.
        stands_for: the source that it was accepted as, where that is not what the label says.
        revision: the commit in its labels.
        files: digest of each file of its source; None where they are not known.
        arguments: settings of its build that are part of the source.
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

    @property
    def source(self) -> str | None:
        """The source key of the source that the image is, or stands for; None where nothing says which."""
        return self.stands_for or self.label or None

    @classmethod
    def of(cls, outputs: Mapping[str, JSON]) -> "ImageOutputs":
        """What `to_json` wrote, of this version or an earlier one."""
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
        )

    def to_json(self) -> dict[str, JSON]:
        """As state keeps it: what is not known has no key, but for the tags of an image."""
        said: dict[str, JSON] = {
            "stands_for": self.stands_for,
            "revision": self.revision,
            "arguments": None if self.arguments is None else dict(self.arguments),
            "files": None if self.files is None else dict(self.files),
        }
        return {
            "digest": self.digest,
            "tag": self.tag,
            "channel_points_to": self.channel_points_to,
            "platform": self.platform,
            "source_key": self.label or None,
            **{name: value for name, value in said.items() if value is not None},
        }


def _text(outputs: Mapping[str, JSON], name: str) -> str | None:
    value = outputs.get(name)
    return value if isinstance(value, str) else None


def _table(outputs: Mapping[str, JSON], name: str) -> dict[str, str] | None:
    value = outputs.get(name)
    if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
        return value
    return None
