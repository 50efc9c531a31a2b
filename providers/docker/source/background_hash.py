"""Computes a sha256 in a thread of its own, beside the reading and searching of the same bytes."""

import hashlib
from collections import deque
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from providers.threads import Pool

_AHEAD = 4  # pieces that wait for their turn


class BackgroundHash:
    """A sha256 that is computed in the background, to be used in a `with`.

    Args:
        hashing: what the content is added to; None for a new one.
    """

    def __init__(self, hashing: "hashlib._Hash | None" = None) -> None:
        self._hash = hashing or hashlib.sha256()
        self._thread = Pool(1)
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def update(self, content: bytes) -> None:
        """Add content; waits if much is left to be done."""
        self._pending.append(self._thread.submit(self._hash.update, content))
        if len(self._pending) > _AHEAD:
            self._pending.popleft().result()

    def digest(self) -> bytes:
        """The digest of all content."""
        while self._pending:
            self._pending.popleft().result()
        return self._hash.digest()
