"""Objects in a bucket of S3, Google Cloud Storage or Azure Blob. Below the store `bucket`, above obstore.

The same few operations for all three: read an object, write it, or swap it (write only if it is still the
version that was read). Errors are translated to messages that users can act on; no message contains a URL's
query or a header, as some credentials travel there. Independent of the state format.
"""

import math
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeVar, cast
from urllib.parse import urlsplit

from msgspec import Struct

from state.errors import StateError, StoreUnavailableError
from state.stores.watcher import PATIENCE, Watcher

if TYPE_CHECKING:
    from obstore import ListResult, ObjectMeta, PutMode
    from obstore.store import ClientConfig, ObjectStore

T = TypeVar("T")

_UNWATCHED = Watcher(lambda _: None, PATIENCE)
_LIST_PATIENCE = 10
"""Timeouts of a request after which a part of a list is given up: it may need several requests."""
_MAX_OBJECTS = 1_000_000
"""Most objects of a list. A bucket has one for each save that is kept of a stack."""
WITNESS: Final = "clock"
"""An object in every bucket with state: a list without it is incomplete, see `folders`."""

MAX_BYTES: Final = 256 << 20
"""Maximum size of an object to read; the state of 2,000 resources has about one MB."""

_SERVICES = {
    "s3": ("S3 bucket", "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL"),
    "gs": ("Google Cloud Storage bucket", "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT"),
    "az": ("Azure Blob container", "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY"),
}
_PREFIXES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
_ADDRESS = re.compile(r"ENDPOINT|ENDPOINT_URL(_S3)?|STORAGE_ENDPOINT|BASE_URL")
_TRUE: Final = ("1", "true")
_HERE: Final = ("localhost", "127.0.0.0/8", "::1")
_PLAIN = re.compile(
    r"ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|REGION|DEFAULT_REGION"
    r"|STORAGE_(ACCOUNT_NAME|ACCOUNT_KEY|SAS_KEY|CLIENT_ID|CLIENT_SECRET|TENANT_ID)"
)
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist")
_WRONG_CREDENTIALS = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|AuthenticationFailed"
    r"|AuthorizationFailure|InvalidAuthenticationInfo|failed to authenticate|401 Unauthorized"
)
_RETAINED = re.compile(r"retention policy|retentionPolicyNotMet|BlobImmutableDueToPolicy|legal hold", re.I)
_NO_CREDENTIALS = re.compile(r"169\.254\.169\.254|metadata\.google\.internal|metadata/identity")
_BUSY = re.compile(
    r"SlowDown|ServiceUnavailable|ServerBusy|TooManyRequests|Too Many Requests|rateLimitExceeded"
    r"|Service Unavailable|InternalError|Internal Server Error|OperationTimedOut|Bad Gateway|Gateway Timeout"
)
_TOO_FAST = re.compile(r"SlowDown|TooManyRequests|Too Many Requests|rateLimitExceeded")
"""A refusal of a write that comes too soon after another one of the same object: nothing was written."""

_MALFORMED = re.compile(
    r"invalid list response|Unable to extract metadata|Header missing|Invalid last modified|missing ETag",
    re.I,
)
_ERROR_CODE = re.compile(r"<Code>\w+</Code>")
_UNREACHABLE = re.compile(
    r"error sending request|response body error|timed out|connection (closed|reset)|operation timed", re.I
)

Version = dict[str, str]
"""Identifies a version of an object: the ETag, on Google Cloud Storage also the generation."""


class PreconditionFailedError(StateError):
    """The object is no longer the version to replace, or this same write was retried after a lost response.

    Read the object to distinguish the two.
    """


class StoredObject(Struct, frozen=True):
    """An object at the time of the read.

    Attributes:
        body: its content.
        version: pass it to `swap`.
        modified: time of the last write, seconds since 1970 by the bucket's own clock.
    """

    body: bytes
    version: Version
    modified: float


class Objects:
    """The objects below one URL. Safe to use from several threads.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`; endpoint and credentials
            come from the variables that obstore reads.
        patience: timeout of one request in seconds, including retries.
        watcher: announces long waits; None for no announcements.
        sleep: sleeps a number of seconds; for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        patience: float = PATIENCE,
        watcher: Watcher | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self._patience = patience
        self._watcher = watcher
        self._sleep = sleep
        self._mutex = threading.Lock()
        self._client: ObjectStore | None = None
        self._lists_work = False  # whether a list was verified
        self._clock_offset: float | None = None  # the bucket's clock minus this machine's monotonic clock

    def get(self, path: str) -> StoredObject | None:
        """The object, or None."""
        with self._translate_errors():
            client = self._open_client()
            try:
                found = self._request(lambda: client.get(path))
            except FileNotFoundError as problem:
                if _NO_BUCKET.search(str(problem)):
                    raise
                if not _ERROR_CODE.search(str(problem)):  # the 404 page of some other web server
                    raise self._protocol_error("it returns 404 without an error code") from None
                return None
            meta = found.meta
            if not meta["e_tag"]:
                raise self._protocol_error("an object has no ETag")
            if meta["size"] > MAX_BYTES:
                raise StoreUnavailableError(
                    f"{path} in {self.url} has {meta['size'] >> 20} MB, too much for state",
                    hint="check whether another program writes to this bucket and prefix",
                )
            body = bytes(self._request(found.bytes))
        return StoredObject(body, _version(meta["e_tag"], meta["version"]), meta["last_modified"].timestamp())

    def put(self, path: str, body: bytes) -> None:
        """Writes the object unconditionally. Retries are safe, as the write is idempotent."""
        with self._translate_errors():
            client = self._open_client()
            self._request(lambda: self._at_its_pace(lambda: client.put(path, body, use_multipart=False)))

    def swap(self, path: str, body: bytes, version: Version | None) -> Version:
        """Writes the object if it is still that version; None if it must not exist. Returns the new version.

        Raises:
            PreconditionFailedError: it is a different version.
            StoreUnavailableError: no response, or a refusal. The write may have succeeded.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._translate_errors():
            client = self._open_client()
            try:
                mode = cast("PutMode", version or "create")
                result = self._request(
                    lambda: self._at_its_pace(lambda: client.put(path, body, mode=mode, use_multipart=False))
                )
            except (AlreadyExistsError, PreconditionError):
                raise PreconditionFailedError(f"another run wrote {path} in {self.url}") from None
            except FileNotFoundError as problem:  # S3's response for a deleted object
                if _NO_BUCKET.search(str(problem)):
                    raise
                raise PreconditionFailedError(f"{path} in {self.url} was deleted") from None
        return _version(result["e_tag"], result["version"])

    def names(self, folder: str, since: str = "", until: str = "") -> list[str]:
        """The names of the objects in a folder (without the folder), sorted.

        Args:
            since: only names that start with this or sort after it.
            until: only names that sort before this; "" for all.
        """
        found: set[str] = set()
        with self._translate_errors():
            # Services list by name, page by page.
            offset = f"{folder}/{since}" if since else None
            pages = self._open_client().list(f"{folder}/", offset=offset)
            while (page := self._request(lambda: next(pages, None), self._list_patience)) is not None:
                names = [meta["path"].removeprefix(f"{folder}/") for meta in page]
                before = len(found)
                found.update(name for name in names if not until or name < until)
                if until and names and names[-1] >= until:
                    break
                if (page and len(found) == before) or len(found) > _MAX_OBJECTS:
                    raise self._endless(f"{len(found)} objects were read")
            if found:
                self._lists_work = True
        if not self._lists_work:
            self.folders()
        return sorted(found)

    def folders(self) -> list[str]:
        """The names of the folders directly below the URL, sorted.

        Other XML, such as a web page, parses as an empty list. So an empty list is accepted only if the
        witness object, which every bucket with state contains, does not exist. Another run may write it
        between the two requests; the list is then read again.
        """
        listed = self._list_top()
        if self._is_empty(listed) and not self._lists_work and self.get(WITNESS) is not None:
            listed = self._list_top()
            if self._is_empty(listed):
                raise self._protocol_error("its list is empty although it contains state")
        self._lists_work = True
        return sorted(listed["common_prefixes"])

    def _list_top(self) -> "ListResult[Sequence[ObjectMeta]]":
        with self._translate_errors():
            return self._request(self._open_client().list_with_delimiter, self._list_patience)

    @property
    def _list_patience(self) -> float:
        """Seconds for a part of a list, which may need many requests: a list may never end."""
        return _LIST_PATIENCE * self._patience

    def _endless(self, detail: str) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"a list of the state store {self.url} does not end: {detail}",
            hint="check what serves the bucket; if it is very slow, set RECONCILER_TIMEOUT to more seconds",
        )

    @staticmethod
    def _is_empty(listed: "ListResult[Sequence[ObjectMeta]]") -> bool:
        return not listed["common_prefixes"] and not listed["objects"]

    def write_witness(self) -> None:
        """Write the object that verifies lists and provides the bucket's time."""
        self.put(WITNESS, b"verifies lists, and gives the time\n")

    def now(self) -> float:
        """The bucket's time, seconds since 1970: this machine's clock may be wrong by hours.

        Measured once, by writing an object and reading its modification time; afterwards this machine's
        monotonic clock counts on.
        """
        with self._mutex:
            offset = self._clock_offset
        if offset is None:
            self.write_witness()
            start = time.monotonic()
            found = self.get(WITNESS)
            offset = (found.modified if found else time.time()) - start
            with self._mutex:
                self._clock_offset = offset
        return time.monotonic() + offset

    def close(self) -> None:
        with self._mutex:
            self._client = None

    def _open_client(self) -> "ObjectStore":
        with self._mutex:
            if self._client is None:
                from datetime import timedelta

                from obstore.store import from_url

                self._check_variables()
                patience = timedelta(seconds=self._patience)
                self._client = from_url(
                    self.url,
                    # Plain HTTP only for endpoints given as http://; the services' own use TLS.
                    client_options={"allow_http": True, "timeout": patience, **self._proxy_options()},
                    retry_config={"max_retries": 6, "retry_timeout": patience},
                )
            return self._client

    def _at_its_pace(self, write: Callable[[], T]) -> T:
        """The result of a write, which is repeated while the bucket refuses it as too early.

        Google Cloud Storage takes one write per second of an object:
        https://cloud.google.com/storage/quotas#objects. obstore repeats a refused request, too, but gives up
        after six attempts, which several runs that write one register soon need.
        """
        from obstore.exceptions import BaseError

        end = time.monotonic() + self._patience
        while True:
            try:
                return write()
            except BaseError as problem:
                if not _TOO_FAST.search(str(problem)) or time.monotonic() > end:
                    raise
            self._sleep(random.uniform(0.5, 1.5))

    def _request(self, call: Callable[[], T], patience: float = math.inf) -> T:
        """The result of a call of obstore. Announces a long wait.

        The call runs in another thread: Ctrl-C would wait until it ends.

        Args:
            patience: seconds to wait for a call without an end of its own.
        """
        if self._watcher is None and patience == math.inf:
            return call()
        announce, every, pending = self._watcher or _UNWATCHED
        result, silences, end = Future[T](), 0, time.monotonic() + patience

        def run() -> None:
            try:
                result.set_result(call())
            except BaseException as problem:  # noqa: BLE001 - the caller raises it
                result.set_exception(problem)

        try:
            threading.Thread(target=run, name=f"request to {self.url}", daemon=True).start()
        except RuntimeError:  # the operating system refuses more threads
            return call()
        try:
            with pending():
                while not wait((result,), min(every, patience)).done:
                    silences += 1
                    announce(silences * every)
                    if time.monotonic() >= end:
                        raise self._endless(f"it was read for {patience:g} s")
        finally:
            if silences:
                announce(None)
        return result.result()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            from obstore import exceptions
        except ImportError:
            raise StoreUnavailableError(
                f"the state store {self.url} requires the package obstore, which is not installed",
                hint='pip install "picsellia-reconciler[buckets]"',
            ) from None
        try:
            yield
        except (exceptions.BaseError, OSError, ValueError, TypeError) as problem:
            raise self._unavailable_error(str(problem), type(problem).__name__) from None
        except BaseException as problem:
            if type(problem).__name__ != "PanicException":  # Rust's, which no module exports
                raise
            variables = _SERVICES[self.url.partition(":")[0]][1]
            raise StoreUnavailableError(
                f"the state store {self.url} cannot be used: its client failed",
                hint=f"check the endpoint and the credentials: {variables}",
            ) from None

    def _proxy_options(self) -> "ClientConfig":
        """What keeps requests to a bucket on this machine away from a proxy, which would read the state."""
        prefix = _PREFIXES[self.url.partition(":")[0]]
        addresses = (
            value
            for variable, value in os.environ.items()
            if variable.upper().startswith(prefix)
            and _ADDRESS.fullmatch(variable.upper().removeprefix(prefix))
        )
        emulated = os.environ.get(f"{prefix}STORAGE_USE_EMULATOR", "").lower() in _TRUE
        if not emulated and not any(map(_is_here, addresses)):
            return {}
        from urllib.request import getproxies_environment

        proxies = getproxies_environment()
        proxy = proxies.get("https") or proxies.get("all") or proxies.get("http") or ""
        if not re.fullmatch(r"[!-~]+", proxy):
            return {}
        return {"proxy_url": proxy, "proxy_excludes": ",".join((*_HERE, *filter(None, (proxies.get("no"),))))}

    def _check_variables(self) -> None:
        """Refuse variables by name that obstore would panic on, or send in vain.

        Raises:
            StoreUnavailableError: one is no address, or contains blanks or line breaks.
        """
        prefix = _PREFIXES[self.url.partition(":")[0]]
        for variable, value in os.environ.items():
            name = variable.upper().removeprefix(prefix)
            if not variable.upper().startswith(prefix):
                continue
            if _PLAIN.fullmatch(name) and not re.fullmatch(r"[!-~]*", value):
                raise StoreUnavailableError(
                    f"{variable} contains a blank, a line break or a similar character",
                    hint=f"set {variable} again, without it",
                )
            if _ADDRESS.fullmatch(name) and not _is_address(value):
                raise StoreUnavailableError(
                    f"{variable} is not an address, so the state store {self.url} cannot be used",
                    hint=f"set {variable} to an address such as https://storage.example.com, or unset it",
                )
            allow = f"{prefix}ALLOW_HTTP"
            if (
                _ADDRESS.fullmatch(name)
                and _is_plain(value)
                and os.environ.get(allow, "").lower() not in _TRUE
            ):
                raise StoreUnavailableError(
                    f"{variable} is an http:// address of another machine, so the store {self.url} would "
                    "send state and credentials without encryption",
                    hint=f"use https://; if the network is private, set {allow}=true",
                )

    def _unavailable_error(self, text: str, kind: str) -> StoreUnavailableError:
        """Translates the text of an obstore error. Only error codes of the text reach the message."""
        service, variables = _SERVICES[self.url.partition(":")[0]]
        credentials = f"check the credentials: {variables}"
        if _NO_BUCKET.search(text):
            why = f"the {service} does not exist"
            hint = "create it, or set RECONCILER_STATE to another one; see docs/reference/state.md"
        elif _NO_CREDENTIALS.search(text):
            why, hint = "no credentials were found", f"set them: {variables}"
        elif _WRONG_CREDENTIALS.search(text) or kind == "UnauthenticatedError":
            why, hint = "the credentials are wrong or have expired", credentials
        elif _RETAINED.search(text):
            why = "the bucket forbids to replace objects"
            hint = "take its retention policy away; see docs/how-to/share-state.md"
        elif kind == "PermissionDeniedError":
            why = "the credentials lack permission"
            hint = "grant them read, write and list access to objects; see docs/reference/state.md"
        elif busy := _BUSY.search(text):
            why = f"the service refuses requests at the moment ({busy[0]})"
            hint = "try again later; nothing was lost"
        elif _MALFORMED.search(text):
            return self._protocol_error(_short(text))
        elif _UNREACHABLE.search(text):
            why = "the service does not respond"
            hint = "check the network and the endpoint, and try again; nothing was lost"
        else:
            why = _short(text)
            hint = f"check the endpoint and the credentials: {variables}"
        return StoreUnavailableError(f"the state store {self.url} cannot be used: {why}", hint=hint)

    def _protocol_error(self, why: str) -> StoreUnavailableError:
        """The error for a response that does not come from such a bucket."""
        service, variables = _SERVICES[self.url.partition(":")[0]]
        article = "a" if service.startswith("Google") else "an"
        return StoreUnavailableError(
            f"the state store {self.url} does not respond like {article} {service}: {why}",
            hint=f"check the endpoint and the proxies on the way to it: {variables}",
        )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises ValueError
    except ValueError:
        return False
    plain = re.fullmatch(r"[!-~]+", text)
    return bool(
        plain and parts.scheme in ("http", "https") and re.fullmatch(r"[\w.:-]+", parts.hostname or "")
    )


def _is_plain(address: str) -> bool:
    """Whether requests to this address cross a network without encryption."""
    return urlsplit(address).scheme == "http" and not _is_here(address)


def _is_here(address: str) -> bool:
    """Whether this address is on this machine."""
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _version(e_tag: str | None, version: str | None) -> Version:
    return {name: text for name, text in (("e_tag", e_tag), ("version", version)) if text}


def _short(text: str) -> str:
    """The service's error code or the first line of an error, without parts that may be secret."""
    code = re.search(r"<Code>(\w+)</Code>", text)
    if code:
        return code[1]
    status = re.search(r"status code: (\d{3})", text)
    if status:
        return f"the service returned {status[1]}"
    line = re.sub(r"https?://\S+", "its endpoint", text.partition("\n")[0])
    return line.partition(" - Server returned")[0][:200].rstrip(" .")
