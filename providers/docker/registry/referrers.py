"""The manifests that refer to an image: statements of provenance, signatures, and so on.

A registry lists them, or its clients keep the list in an index under a tag that is made from the digest.
https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#referrers-tag-schema
"""

import json
import time
from collections.abc import Generator, Sequence
from enum import Enum
from typing import Final

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import OCI_INDEX, Entry, read_entries, referrers_tag
from providers.docker.registry.publication import wait_for_others
from providers.errors import TransientError

_MAX_WRITES: Final = 4  # of one list, as other writers may replace each


def referrers(registry: RegistryClient, digest: str) -> Sequence[Entry]:
    """The descriptors of the manifests that refer to the one with this digest, in any registry.

    Raises:
        RefusedError: the list is malformed.
    """
    listed = registry.referrers(digest)
    return listed if listed is not None else _indexed(registry, referrers_tag(digest))


class Step(Enum):
    """A step of `listing` without a value."""

    READ = "read the list; the result is its entries"
    WAIT = "wait for as long as a request of another writer may take"


Steps = Generator[Step | list[Entry], Sequence[Entry], bool]
"""A list as a step: write it."""


def listing(mine: Sequence[Entry]) -> Steps:
    """Add entries to a list that a registry writes unconditionally. Returns whether it has them at the end.

    Another writer may have read the list before our write and replace it after that. So the list is read back
    once such a write is over, and written again if entries are missing. Pure: `list_referrers` runs it,
    and a test does so in every order of the requests of two and three writers.
    """
    for _ in range(_MAX_WRITES):
        listed = yield Step.READ
        missing = _missing(mine, listed)
        if not missing:
            return True
        yield [*listed, *missing]
        yield Step.WAIT
    return not _missing(mine, (yield Step.READ))


def list_referrers(registry: RegistryClient, digest: str, entries: Sequence[Entry]) -> None:
    """List these stored manifests as referrers of the one with this digest, where the registry does not.

    Raises:
        TransientError: other tools wrote the list at the same moment, again and again.
    """
    if not entries or registry.referrers(digest) is not None:
        return
    tag, steps = referrers_tag(digest), listing(entries)
    answer: Sequence[Entry] = ()
    slowest = 0.0
    try:
        step = next(steps)
        while True:
            start = time.monotonic()
            match step:
                case Step.READ:
                    answer = _indexed(registry, tag)
                case Step.WAIT:
                    registry.pause(wait_for_others(slowest))
                    start = time.monotonic()
                case list():
                    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": step}
                    content = json.dumps(document, separators=(",", ":")).encode()
                    registry.put_manifest(tag, OCI_INDEX, content)
            slowest = max(slowest, time.monotonic() - start)
            step = steps.send(answer)
    except StopIteration as end:
        if not end.value:
            raise TransientError(
                f"another tool wrote {registry.repository}:{tag} at the same moment"
            ) from None


def _missing(entries: Sequence[Entry], listed: Sequence[Entry]) -> list[Entry]:
    known = {entry["digest"] for entry in listed}
    return [entry for entry in entries if entry["digest"] not in known]


def _indexed(registry: RegistryClient, tag: str) -> Sequence[Entry]:
    """The entries of the index under this tag; none if there is none."""
    index = registry.manifest(tag)
    return read_entries(index, f"{registry.repository}:{tag}") if index is not None and index.is_index else ()
