"""Versions: valid texts, the official bumps, the channel tag."""

import pytest

from reconciler.pipeline.bumps import Bump
from reconciler.pipeline.version import bump, channel_tag, parse


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1", "1.0.0"),
        ("1.0", "1.0.0"),
        ("1.10", "1.10.0"),
        ("0.1.0", "0.1.0"),
        ("1.2.3-rc", "1.2.3-rc"),
        ("1.2-rc.2", "1.2.0-rc.2"),
        ("2.0.0-beta.1", "2.0.0-beta.1"),
    ],
)
def test_valid_versions(text: str, version: str) -> None:
    assert str(parse(text)) == version


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "v1.2", "abc", "1.2.3.4", "1.", "1..2", "01.2", "1.2.3-", "1.2.3-rc_1", "1.2.3+build"],
        *["-1", "1,2", "1.0 ", "1.0\n", "１.0", "1.2.3-" + "a" * 200],
    ],
)
def test_invalid_versions(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a version|cannot become an image tag"):
        parse(text)


@pytest.mark.parametrize(
    ("version", "kind", "after"),
    [
        ("1.0.0", "patch", "1.0.1"),
        ("1.0.0", "minor", "1.1.0"),
        ("1.2.3", "major", "2.0.0"),
        ("1.0.0", "rc", "1.0.1-rc"),
        ("1.0.0", "final", "1.0.0"),
        ("1.0.1-rc", "patch", "1.0.2"),
        ("1.0.1-rc", "minor", "1.1.0"),
        ("1.0.1-rc", "major", "2.0.0"),
        ("1.0.1-rc", "rc", "1.0.1-rc.2"),
        ("1.0.1-rc.2", "rc", "1.0.1-rc.3"),
        ("1.0.1-rc.9", "rc", "1.0.1-rc.10"),
        ("1.0.1-rc-1", "rc", "1.0.1-rc-1.2"),
        ("1.0.1-rc-1.2", "rc", "1.0.1-rc-1.3"),
        ("1.0.1-rc1", "rc", "1.0.1-rc1.2"),
        ("1.0.1-rc.x", "rc", "1.0.1-rc.x.2"),
        ("1.0.1-rc.2", "final", "1.0.1"),
        ("1.0.1-beta", "rc", "1.0.2-rc"),
        ("1.0.1-beta", "final", "1.0.1"),
    ],
)
def test_bumps(version: str, kind: str, after: str) -> None:
    assert str(bump(parse(version), kind)) == after


@pytest.mark.parametrize(
    "version", ["1.0.0", "1.0.1-rc", "1.0.1-rc.2", "1.0.1-rc1", "1.0.1-rc.x", "3.0.0-beta"]
)
@pytest.mark.parametrize("kind", [Bump.PATCH, Bump.MINOR, Bump.MAJOR, Bump.RC])
def test_a_bump_always_goes_up(version: str, kind: Bump) -> None:
    assert bump(parse(version), kind) > parse(version)


def test_an_unknown_bump_is_refused() -> None:
    with pytest.raises(ValueError, match="hotfix"):
        bump(parse("1.0.0"), "hotfix")


@pytest.mark.parametrize(
    ("version", "tag"),
    [("1.0.0", "latest"), ("1.0.1-rc", "test"), ("1.0.1-rc.2", "test"), ("1.0.1-beta", "latest")],
)
def test_the_channel_of_a_version(version: str, tag: str) -> None:
    assert channel_tag(parse(version)) == tag
