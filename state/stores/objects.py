"""Objects in a bucket of S3, Google Cloud Storage or Azure Blob. Below the store `bucket`, above obstore.

A few verbs, the same for all three: an object is read, written, or swapped, which is written only where it
is still the version that was read. Every failure comes out as what the user can do about it; no message
carries a URL's query or a header, as some credentials travel there. Knows nothing of records.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from state.errors import StateError, StoreUnavailableError

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ObjectStore

PATIENCE: Final = 30.0
"""Seconds that one request may take, its repeats included, unless somebody says otherwise."""

LARGEST: Final = 256 << 20
"""Bytes of an object that is read; a record of 2,000 resources has about one MB."""

_SERVICES = {
    "s3": ("S3 bucket", "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL"),
    "gs": ("Google Cloud Storage bucket", "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT"),
    "az": ("Azure Blob container", "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY"),
}
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist")
_WRONG_CREDENTIALS = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|AuthenticationFailed"
    r"|AuthorizationFailure|InvalidAuthenticationInfo|failed to authenticate|401 Unauthorized"
)
_NO_CREDENTIALS = re.compile(r"169\.254\.169\.254|metadata\.google\.internal|metadata/identity")
_BUSY = re.compile(
    r"SlowDown|ServiceUnavailable|ServerBusy|TooManyRequests|Too Many Requests|rateLimitExceeded"
    r"|Service Unavailable|InternalError|Internal Server Error|OperationTimedOut|Bad Gateway|Gateway Timeout"
)
_UNREACHABLE = re.compile(
    r"error sending request|response body error|timed out|connection (closed|reset)|operation timed", re.I
)

Version = dict[str, str]
"""What tells one version of an object from another: the ETag, on Google Cloud Storage the generation too."""


class PreconditionFailedError(StateError):
    """The object is not the version any more that it was to replace; or it is this very write, whose answer
    was lost and which was sent again. Read it to find out."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was read.

    Attributes:
        body: its content.
        version: hand it to `swap`.
        modified: when it was written, seconds since 1970 by the bucket's own clock.
    """

    body: bytes
    version: Version
    modified: float


class Objects:
    """The objects below one URL. Safe to use from several threads.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`; endpoint and credentials
            come from the variables that obstore reads.
        patience: seconds that one request may take, its repeats included.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE) -> None:
        self.url = url
        self._patience = patience
        self._mutex = threading.Lock()
        self._client: ObjectStore | None = None
        self._ahead: float | None = None  # the bucket's clock, less the monotonic one of this machine

    def get(self, path: str) -> StoredObject | None:
        """The object, or None when there is none."""
        with self._explained():
            client = self._connected()
            try:
                found = client.get(path)
            except FileNotFoundError as problem:
                if _NO_BUCKET.search(str(problem)):
                    raise
                return None
            meta = found.meta
            if meta["size"] > LARGEST:
                raise StoreUnavailableError(
                    f"{path} in {self.url} has {meta['size'] >> 20} MB, and no record has so much",
                    hint="look at what else writes there",
                )
            body = bytes(found.bytes())
        return StoredObject(body, _version(meta["e_tag"], meta["version"]), meta["last_modified"].timestamp())

    def put(self, path: str, body: bytes) -> None:
        """Writes the object, whatever is there. Sent again as needed: writing it twice does no harm."""
        with self._explained():
            self._connected().put(path, body, use_multipart=False)

    def swap(self, path: str, body: bytes, version: Version | None) -> Version:
        """Writes the object if it is still that version; None when there must be none. Returns the new one.

        Raises:
            SwappedError: it is not.
            StoreUnavailableError: there was no answer, or a refusal. It may have been written all the same.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._explained():
            client = self._connected()
            try:
                result = client.put(
                    path, body, mode=cast("PutMode", version or "create"), use_multipart=False
                )
            except (AlreadyExistsError, PreconditionError):
                raise PreconditionFailedError(f"{path} in {self.url} was written by somebody else") from None
            except FileNotFoundError as problem:  # how S3 answers for an object that was deleted
                if _NO_BUCKET.search(str(problem)):
                    raise
                raise PreconditionFailedError(f"{path} in {self.url} was deleted") from None
        return _version(result["e_tag"], result["version"])

    def names(self, folder: str, since: str = "", until: str = "") -> list[str]:
        """The names of the objects in a folder (without the folder), in order.

        Args:
            since: only names that begin with this or come after it.
            until: only names that come before this; "" for all.
        """
        found: list[str] = []
        with self._explained():
            # Services list in the order of names, and answer page by page as this goes on.
            for page in self._connected().list(f"{folder}/", offset=f"{folder}/{since}" if since else None):
                names = [meta["path"].removeprefix(f"{folder}/") for meta in page]
                found += [name for name in names if not until or name < until]
                if until and names and names[-1] >= until:
                    break
        return sorted(found)

    def folders(self) -> list[str]:
        """The names of the folders right below the URL, in order."""
        with self._explained():
            return sorted(self._connected().list_with_delimiter()["common_prefixes"])

    def now(self) -> float:
        """The bucket's own time, seconds since 1970: this machine's clock may be wrong by hours.

        Asked once, by writing an object and reading when it was written; this machine only counts on.
        """
        with self._mutex:
            ahead = self._ahead
        if ahead is None:
            self.put("clock", b"written to learn the time\n")
            asked = time.monotonic()
            found = self.get("clock")
            ahead = (found.modified if found else time.time()) - asked
            with self._mutex:
                self._ahead = ahead
        return time.monotonic() + ahead

    def close(self) -> None:
        with self._mutex:
            self._client = None

    def _connected(self) -> "ObjectStore":
        with self._mutex:
            if self._client is None:
                from datetime import timedelta

                from obstore.store import from_url

                patience = timedelta(seconds=self._patience)
                self._client = from_url(
                    self.url,
                    # Without TLS only where an endpoint says http:// by itself; the services' own do not.
                    client_options={"allow_http": True, "timeout": patience},
                    retry_config={"max_retries": 6, "retry_timeout": patience},
                )
            return self._client

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            from obstore import exceptions
        except ImportError:
            raise StoreUnavailableError(
                f"the state store {self.url} needs the package obstore, which is not installed",
                hint='pip install "picsellia-reconciler[buckets]"',
            ) from None
        try:
            yield
        except (exceptions.BaseError, OSError, ValueError, TypeError) as problem:
            raise self._unavailable(str(problem), type(problem).__name__) from None

    def _unavailable(self, text: str, kind: str) -> StoreUnavailableError:
        """What the text of an obstore error means for the user. None of the text is passed on but codes."""
        service, variables = _SERVICES[self.url.partition(":")[0]]
        credentials = f"check the credentials: {variables}"
        if _NO_BUCKET.search(text):
            why = f"there is no such {service}"
            hint = "create it, or name another one with RECONCILER_STATE; see docs/reference/state.md"
        elif _NO_CREDENTIALS.search(text):
            why, hint = "no credentials were found", f"set them: {variables}"
        elif _WRONG_CREDENTIALS.search(text) or kind == "UnauthenticatedError":
            why, hint = "the credentials are wrong or have expired", credentials
        elif kind == "PermissionDeniedError":
            why = "these credentials may not do what is needed there"
            hint = "they need permission to read, write and list objects; see docs/reference/state.md"
        elif busy := _BUSY.search(text):
            why = f"it refuses requests for now ({busy[0]})"
            hint = "try again later; nothing was lost"
        elif _UNREACHABLE.search(text):
            why = "it does not answer"
            hint = "check the network and the endpoint, and try again; nothing was lost"
        else:
            why = _short(text)
            hint = f"check the endpoint and the credentials: {variables}"
        return StoreUnavailableError(f"the state store {self.url} cannot be used: {why}", hint=hint)


def _version(e_tag: str | None, version: str | None) -> Version:
    return {name: text for name, text in (("e_tag", e_tag), ("version", version)) if text}


def _short(text: str) -> str:
    """The first line of an error, or the service's own code, without what may be secret."""
    code = re.search(r"<Code>(\w+)</Code>", text)
    if code:
        return code[1]
    status = re.search(r"status code: (\d{3})", text)
    if status:
        return f"it answers {status[1]}"
    line = re.sub(r"https?://\S+", "its endpoint", text.partition("\n")[0])
    return line.partition(" - Server returned")[0][:200].rstrip(" .")
