"""Parse and bump a pipeline's version, and choose its channel tag.

The bumps are those of the official deploy (patch, minor, major, rc, final). Nothing here touches a file.
"""

import re

from semver import Version

from providers.patterns import pattern
from reconciler.pipeline.bumps import Bump

_NUMBERS = pattern(r"(?P<numbers>[0-9]+(?:\.[0-9]+){0,2})(?P<rest>-.*)?", re.ASCII | re.DOTALL)
_LONGEST_TAG = 128


def parse(text: str) -> Version:
    """The version in `text`; `1` and `1.0` mean `1.0.0`.

    Raises:
        ValueError: `text` is not X.Y.Z with an optional suffix; the message is for the user.
    """
    match = _NUMBERS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a version: write X.Y.Z, for example 1.0.0, or 1.0.0-rc")
    numbers = match["numbers"].split(".")
    full = ".".join(numbers + ["0"] * (3 - len(numbers))) + (match["rest"] or "")
    if "+" in full:
        raise ValueError(
            f"{text!r} cannot become an image tag, which allows no '+': leave the build part out"
        )
    if len(full) > _LONGEST_TAG:
        raise ValueError(
            f"the version cannot become an image tag, which has at most {_LONGEST_TAG} characters"
        )
    try:
        return Version.parse(full)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a version: numbers have no leading zeros, "
            "and a suffix has only letters, digits, '-' and '.'"
        ) from None


def bump(version: Version, kind: Bump | str) -> Version:
    """The version after `version`.

    `rc` on a release is the next patch with `-rc`; on an rc it is `-rc.2`, then `-rc.3`, and `-rc-1.2` on one
    that was written as `-rc-1`. Every other kind
    drops the suffix first, like the official deploy: `patch` on `1.0.1-rc` is `1.0.2`, `final` is `1.0.1`.

    Raises:
        ValueError: `kind` is not a `Bump`.
    """
    release = version.finalize_version()
    match Bump(kind):
        case Bump.PATCH:
            return release.bump_patch()
        case Bump.MINOR:
            return release.bump_minor()
        case Bump.MAJOR:
            return release.bump_major()
        case Bump.FINAL:
            return release
        case Bump.RC:
            if not is_rc(version):
                return release.bump_patch().replace(prerelease="rc")
            before, _, number = str(version.prerelease).rpartition(".")
            if before and number.isdecimal():
                return version.replace(prerelease=f"{before}.{int(number) + 1}")
            return version.replace(prerelease=f"{version.prerelease}.2")


def promotes(version: Version, kind: Bump) -> bool:
    """Whether this bump turns a release into a candidate, or a candidate into a release."""
    return kind is (Bump.FINAL if is_rc(version) else Bump.RC)


def edits_of(version: Version, channel: str | None = None) -> dict[tuple[str | int, ...], str]:
    """The edits of config.toml that publish this version.

    Args:
        channel: the channel of the environment in reconciler.toml, which replaces the image tag.
    """
    edits: dict[tuple[str | int, ...], str] = {("metadata", "version"): str(version)}
    return edits if channel else {**edits, ("docker", "image_tag"): channel_tag(version)}


def is_rc(version: Version) -> bool:
    """Whether this is a release candidate, by the official deploy's rule: `-rc` anywhere in the text."""
    return "-rc" in str(version)


def channel_tag(version: Version) -> str:
    """The moving tag: `test` for a release candidate, `latest` for every other version."""
    return "test" if is_rc(version) else "latest"


def image_tag_edits(
    version: Version, image_tag: str, channel: str | None = None
) -> dict[tuple[str | int, ...], str]:
    """The edit that gives config.toml the image tag of its version; none if it has that tag.

    Args:
        image_tag: `[docker] image_tag`.
        channel: as for `edits_of`.
    """
    tag = channel_tag(version)
    return {} if channel or image_tag == tag else {("docker", "image_tag"): tag}
