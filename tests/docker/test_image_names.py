"""The normal form of a repository's name: one for all names that Docker gives the repository."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.docker.registry.reference import parse_repository
from providers.errors import RefusedError
from providers.image_names import normal_name

REGISTRIES = [
    *("docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO:443", "localhost", "LocalHost:80"),
    *("reg.io", "REG.io", "reg.io:443", "reg.io:80", "reg:5000", "REG:5000", "REG", "reg:443", "reg:0443"),
    *("127.0.0.1:80", "[::1]:443", "[::1]:80", "[::1]", "reg.io:", "reg.io:x"),
]
PARTS = st.sampled_from([*REGISTRIES, "library", "a.b", "team", "app", "x_y", "App", "", "-", " "])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("names", "normal"),
    [
        (("team/app", "docker.io/team/app", "index.docker.io/team/app"), "team/app"),
        (("app", "library/app", "docker.io/app", "index.docker.io/library/app"), "app"),
        (("docker.io/a.b/app", "index.docker.io/a.b/app"), "docker.io/a.b/app"),
        (("library/team/app", "docker.io/library/team/app"), "library/team/app"),
        (("reg.io/team/app", "REG.io/team/app", "Reg.IO:443/team/app"), "reg.io/team/app"),
        (("docker.io/app", "Docker.IO:443/app"), "app"),
        (("reg.io:80/app", "REG.io:80/app"), "reg.io:80/app"),
        (("REG/app", "reg:443/app", "REG:0443/app"), "reg:443/app"),
        (("localhost/app", "LOCALHOST/app", "localhost:80/app"), "localhost/app"),
        (("localhost:443/app",), "localhost:443/app"),
        (("[::1]:5000/app",), "[::1]:5000/app"),
        (("reg.io/library/app",), "reg.io/library/app"),
        (("localhost:5000/docker.io/app",), "localhost:5000/docker.io/app"),
    ],
)
def test_names_of_one_repository(names: tuple[str, ...], normal: str) -> None:
    assert {normal_name(name) for name in names} == {normal}


@given(NAMES, NAMES)
def test_two_names_have_one_normal_form_exactly_if_they_are_one_repository(one: str, other: str) -> None:
    try:
        same = parse_repository(one) == parse_repository(other)
    except RefusedError:
        return
    assert (normal_name(one) == normal_name(other)) is same
    assert parse_repository(normal_name(one)) == parse_repository(one)


@given(NAMES)
def test_a_normal_form_is_its_own_and_invalid_names_stay(name: str) -> None:
    assert normal_name(normal_name(name)) == normal_name(name)
    try:
        parse_repository(name)
    except RefusedError:
        with pytest.raises(RefusedError):
            parse_repository(normal_name(name))
