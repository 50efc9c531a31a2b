"""Names of images: registry, repository, and the errors for invalid names."""

import pytest

from providers.docker.registry.manifests import referrers_tag
from providers.docker.registry.reference import (
    UPLOAD_TAG,
    Repository,
    check_tag,
    parse_image,
    parse_repository,
    reserved_tag,
)
from providers.errors import RefusedError

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "registry", "path", "url"),
    [
        ("app", "docker.io", "library/app", "https://registry-1.docker.io/v2/library/app"),
        ("user/app", "docker.io", "user/app", "https://registry-1.docker.io/v2/user/app"),
        ("docker.io/app", "docker.io", "library/app", "https://registry-1.docker.io/v2/library/app"),
        ("index.docker.io/u/a", "docker.io", "u/a", "https://registry-1.docker.io/v2/u/a"),
        ("reg.io/team/app", "reg.io", "team/app", "https://reg.io/v2/team/app"),
        ("reg:443/app", "reg:443", "app", "https://reg:443/v2/app"),
        ("localhost/app", "localhost", "app", "http://localhost/v2/app"),
        ("localhost:5000/a/b", "localhost:5000", "a/b", "http://localhost:5000/v2/a/b"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000", "a", "http://127.0.0.1:5000/v2/a"),
        ("127.9.9.9/a", "127.9.9.9", "a", "http://127.9.9.9/v2/a"),
        ("reg.localhost:5000/a", "reg.localhost:5000", "a", "https://reg.localhost:5000/v2/a"),
        ("127.example.com/a", "127.example.com", "a", "https://127.example.com/v2/a"),
        ("10.0.0.1:5000/a", "10.0.0.1:5000", "a", "https://10.0.0.1:5000/v2/a"),
        ("[2001::1]:5000/a", "[2001::1]:5000", "a", "https://[2001::1]:5000/v2/a"),
        ("[::1]:5000/a", "[::1]:5000", "a", "http://[::1]:5000/v2/a"),
        ("a--b/c__d.e", "docker.io", "a--b/c__d.e", "https://registry-1.docker.io/v2/a--b/c__d.e"),
    ],
)
def test_repositories(text: str, registry: str, path: str, url: str) -> None:
    found = parse_repository(text)
    assert found == Repository(registry, path)
    assert found.url == url
    assert parse_repository(str(found)) == found


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("app", "latest"),
        ("app:1.0", "1.0"),
        ("reg:5000/app", "latest"),
        ("reg:5000/app:1.0", "1.0"),
        (f"app@{DIGEST}", DIGEST),
        (f"app:1.0@{DIGEST}", DIGEST),
    ],
)
def test_images(text: str, reference: str) -> None:
    assert parse_image(text)[1] == reference


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("", "it is empty", "user/app"),
        ("User/App", "upper case", "'user/app' is valid"),
        ("my app", "a space", "'my-app' is valid"),
        ("https://reg.io/app", "a web address", "'reg.io/app' is valid"),
        ("reg.io/app:1.0", "contains a tag", "write 'reg.io/app'"),
        (f"reg.io/app:1@{DIGEST}", "contains a tag", "write 'reg.io/app"),
        ("app@sha256:1", "not a sha256 digest", "docker images"),
        ("reg.io/", "is not an image name", "user/app"),
        ("a//b", "is not an image name", "'a/b' is valid"),
        ("a/-b", "is not an image name", "user/app"),
        ("a/" + "b" * 300, "is not an image name", "user/app"),
        ("a:b c", "is not a tag", "'b-c' is valid"),
        ("a\n", "is not an image name", "'a' is valid"),
    ],
)
def test_bad_names(text: str, why: str, hint: str) -> None:
    with pytest.raises(RefusedError, match=why) as caught:
        parse_repository(text)
    assert hint in caught.value.hint


def test_tags() -> None:
    assert check_tag("1.0.0-rc.2") == "1.0.0-rc.2"
    for bad in ("", ".x", "-x", "a" * 129, "1.0\n"):
        with pytest.raises(RefusedError):
            check_tag(bad)


def test_the_command_that_stores_a_login() -> None:
    assert parse_repository("user/app").login == "docker login"
    assert parse_repository("reg.io/app").login == "docker login reg.io"


@pytest.mark.parametrize(
    "tag", [UPLOAD_TAG, referrers_tag(DIGEST), f"{referrers_tag(DIGEST)}.sig", "sha512-0a"]
)
def test_a_tag_that_is_written_for_another_use_is_reserved(tag: str) -> None:
    assert check_tag(tag) == tag
    assert reserved_tag(tag)


@pytest.mark.parametrize(
    "tag", ["latest", "test", "live", "sha-0a1b2c3", "sha256", "reconciler-upload-2", "1.0.0"]
)
def test_other_tags_are_free(tag: str) -> None:
    assert not reserved_tag(tag)
