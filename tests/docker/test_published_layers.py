"""The search of published layers for secrets. Their content is untrusted."""

import gzip
import io
import tarfile
from collections.abc import Callable

import pytest

from providers.docker.registry.published_secrets import secrets_of_layer
from providers.errors import RefusedError

TOKEN = "ghp_" + "a1B2" * 9
HOLE = 1 << 60  # bytes, far too many to read
ODD = ("x", "-1", "9" * 5000, "1,2,3", "1e9", "")
KEYS = ("path", "size", "mtime", "uid", "GNU.sparse.map", "GNU.sparse.realsize", "GNU.sparse.size")


def layer(headers: dict[str, str], content: bytes = b"") -> bytes:
    """A layer of one file with these extended headers, and one with a token."""
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("odd")
        member.pax_headers, member.size = headers, len(content)
        archive.addfile(member, io.BytesIO(content))
        secret = tarfile.TarInfo("secret")
        secret.size = len(TOKEN)
        archive.addfile(secret, io.BytesIO(TOKEN.encode()))
    return stored.getvalue()


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"GNU.sparse.map": "0,0", "GNU.sparse.size": str(HOLE)}, b""),
        (
            {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(HOLE)},
            b"0\n".ljust(512, b"\0"),
        ),
    ],
    ids=["0.1", "1.0"],
)
def test_the_holes_of_a_sparse_file_are_not_read(
    headers: dict[str, str], content: bytes, compress: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(RefusedError, match="sparse"):
        list(secrets_of_layer(iter([compress(layer(headers, content))])))


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("key", KEYS)
def test_a_layer_is_searched_or_refused_whatever_its_headers_contain(key: str, value: str) -> None:
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"} if key.startswith("GNU") else {}
    try:
        found = list(secrets_of_layer(iter([layer({**headers, key: value}, b"z\n".ljust(512, b"\0"))])))
    except RefusedError:
        return
    assert [secret.path for secret in found] == ["secret"]
