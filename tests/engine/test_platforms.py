"""Canonical addresses: two spellings are the same platform exactly if their requests are the same."""

import re
from ipaddress import IPv6Address

import pytest
import requests
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.core.plan import Stack
from reconciler.core.platforms import HOSTS, older_names, place, platform_address

UNRESERVED = "abcXYZ019-._~"
PORTS = {"http": 80, "https": 443}

Parts = tuple[str, str, int, str]
"""Scheme, host, port and path of a request."""

names = st.lists(
    st.one_of(
        # Beside a name that is encoded, "--" at the third character is reserved.
        st.from_regex(r"[a-z](?!.--)[a-z0-9-]{0,8}[a-z]", fullmatch=True),
        st.sampled_from(["bücher", "例え"]),
    ),
    min_size=1,
    max_size=3,
).map(".".join)
addresses = st.one_of(
    st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda one: f"[{one.compressed}]")
)
hosts = st.one_of(
    names, addresses, st.sampled_from(["localhost", "app.picsellia.com", "staging.picsellia.com"])
)
segments = st.text(UNRESERVED + "@!;=é", min_size=1, max_size=5).filter(lambda part: part not in (".", ".."))
paths = st.lists(segments, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))
ports = st.one_of(st.sampled_from([80, 443, 8000]), st.integers(1, 65535))
parts = st.tuples(st.sampled_from(["http", "https"]), hosts, ports, paths)


def written(one: Parts) -> str:
    scheme, host, port, path = one
    return f"{scheme}://{host}:{port}{path}"


@st.composite
def spellings(draw: st.DrawFn, one: Parts) -> str:
    """Another spelling of the same address."""
    scheme, host, port, path = one

    def cased(text: str) -> str:
        # Upper case of some letters has other lower case: those stay.
        return "".join(up if (up := c.upper()).lower() == c and draw(st.booleans()) else c for c in text)

    if host.startswith("["):
        host = draw(st.sampled_from([host, host.upper(), f"[{IPv6Address(host[1:-1]).exploded}]"]))
    elif not re.fullmatch(r"[0-9.]+", host):
        if not host.isascii() and draw(st.booleans()):
            host = host.encode("idna").decode()
        host = cased(host) + draw(st.sampled_from(["", "."]))
    elif draw(st.booleans()):
        host = ".".join(hex(int(part)) for part in host.split("."))
    number = draw(st.sampled_from([f":{port}", f":0{port}", *(["", ":"] if port == PORTS[scheme] else [])]))
    path = "".join(f"%{ord(c):02x}" if c in UNRESERVED and draw(st.booleans()) else c for c in path)
    path = draw(st.sampled_from(["", "/x/..", "/."])) + path if path else path
    return f"{cased(scheme)}://{host}{number}{path}{'/' * draw(st.integers(0, 2))}"


def stack(address: str) -> str:
    return str(Stack("my-org", "CUSTOM", platform_address(address), "my_pipeline"))


@given(data=st.data(), one=parts)
def test_spellings_of_one_address_are_one_platform(data: st.DataObject, one: Parts) -> None:
    spelling = data.draw(spellings(one))
    assert platform_address(spelling) == platform_address(written(one)), spelling
    assert stack(spelling) == stack(written(one))


@given(one=parts, other=parts, share=st.lists(st.booleans(), min_size=4, max_size=4))
def test_different_addresses_are_different_platforms(one: Parts, other: Parts, share: list[bool]) -> None:
    """The addresses differ in one or two parts."""
    other = tuple(a if same else b for a, b, same in zip(one, other, share, strict=True))  # type: ignore[assignment]
    assume(one != other)
    assert platform_address(written(one)) != platform_address(written(other))
    assert stack(written(one)) != stack(written(other))


@given(one=parts)
def test_requests_go_to_the_canonical_address(one: Parts) -> None:
    address = platform_address(written(one))
    assert platform_address(address) == address
    request = requests.Request("GET", f"{address}/api/home/ping").prepare()
    assert request.url == f"{address}/api/home/ping"


@given(one=parts)
def test_an_older_name_is_found(one: Parts) -> None:
    """Earlier versions used the host as written, without scheme and path."""
    scheme, host, port, _ = one
    old = f"my-org@{host.upper() if host.isascii() else host}:{port}/my_pipeline"
    others = [f"my-org@{host}:{port}/another", f"other@{host}:{port}/my_pipeline", "my-org@PROD/my_pipeline"]
    address = platform_address(written(one))
    assert older_names("my-org", address, "my_pipeline", [old, *others]) == [old]
    assert scheme in PORTS


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("https://h.example.com", "h.example.com"),
        ("https://H.example.com.:443/", "h.example.com"),
        ("http://h.example.com", "http:h.example.com"),
        ("http://h.example.com:443", "http:h.example.com:443"),
        ("https://h.example.com/team-a", "h.example.com%2Fteam-a"),
        ("https://h.example.com/a%2fb/", "h.example.com%2Fa%252Fb"),
        ("http://localhost:9000", "localhost:9000"),
        ("https://localhost:9000", "https:localhost:9000"),
        ("http://127.1:9000", "127.0.0.1:9000"),
        ("http://[0:0::1]:9000", "[::1]:9000"),
        ("https://BÜCHER.example", "xn--bcher-kva.example"),
        # The environments' own addresses are theirs, whatever they are called …
        ("https://APP.picsellia.com/", "PROD"),
        ("https://staging.picsellia.com:443", "STAGING"),
        ("http://localhost:8000/", "LOCAL"),
        # … and what only resembles them is not.
        ("http://app.picsellia.com", "http:app.picsellia.com"),
        ("http://app.picsellia.com:443", "http:app.picsellia.com:443"),
        ("https://app.picsellia.com:80", "app.picsellia.com:80"),
        ("https://app.picsellia.com/x", "app.picsellia.com%2Fx"),
    ],
)
def test_the_platform_in_the_name_of_a_stack(address: str, text: str) -> None:
    assert place("CUSTOM", platform_address(address)) == text


@pytest.mark.parametrize("environment", HOSTS)
def test_the_addresses_of_the_environments_are_canonical(environment: str) -> None:
    assert platform_address(HOSTS[environment]) == HOSTS[environment]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("h.example.com", "http:// or https://"),
        ("ftp://h", "http:// or https://"),
        ("https://", "a host"),
        ("https:///path", "a host"),
        ("https://h:0", "port"),
        ("https://h:65536", "port"),
        ("https://h:x", "port"),
        ("https://[::1]x", "a host"),
        ("https://[::g]", "IPv6"),
        ("https://h..example", "a host"),
        ("https://h%41", "a host"),
        ("https://1.2.3.4.5", "IP address"),
        ("https://me:secret@h", "user name"),
        ("https://h?secret=x", "question mark"),
        ("https://h#x", "number sign"),
        ("https://h\\@evil", "backslash"),
        ("https://h/a b", "space"),
        ("https://h\x00", "space"),
        ("https://h/%zz", "hexadecimal"),
    ],
)
def test_an_invalid_address_is_refused_without_repeating_it(address: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        platform_address(address)
    assert "secret" not in str(caught.value)


def test_an_organization_with_a_slash_is_escaped() -> None:
    one = Stack("a", "PROD", HOSTS["PROD"], "x@PROD/p")
    other = Stack("a@PROD/x", "PROD", HOSTS["PROD"], "p")
    assert str(one) != str(other)


@pytest.mark.parametrize("zone", ["%eth0", "%25eth0", "%1", "%25", "%", "%eth0%25"])
@pytest.mark.parametrize("port", ["", ":8000"])
def test_an_ipv6_zone_is_refused_by_its_name(zone: str, port: str) -> None:
    """A zone names a network interface of one machine, and its notation differs between tools."""
    assert platform_address(f"http://[fe80::1]{port}")
    with pytest.raises(ValueError, match="must not have a zone, such as %eth0"):
        platform_address(f"http://[fe80::1{zone}]{port}/path")
