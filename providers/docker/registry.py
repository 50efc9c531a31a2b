"""A registry, spoken to directly: what is published, and how to publish, without an Engine or a pull.

Last of the image's three steps (source, build, registry); also how a plan reads what is published. Reads
are repeated when the registry is briefly away, writes are sent once. Deletes nothing, ever.

The protocol is the OCI distribution specification, and Docker's token authentication:
https://github.com/opencontainers/distribution-spec · https://distribution.github.io/distribution/spec/auth/token/
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
from requests.adapters import HTTPAdapter

from providers.docker import failures
from providers.docker.auth import CONNECT_TIMEOUT, READ_TIMEOUT, Authorization, Login, signed, stored_login
from providers.docker.reference import Repository, check_tag, is_digest, parse_repository
from providers.errors import (
    FinalError,
    ForbiddenError,
    GoneError,
    ProviderError,
    RefusedError,
    TransientError,
    UnauthorizedError,
)
from providers.protocol import Progress, Report, silent
from providers.timeouts import answer_timeout

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

_WRITE_TIMEOUT = 300.0  # seconds; a registry may take minutes to file a large upload away
_ATTEMPTS = 4
_FIRST_WAIT = 0.5  # seconds before the second attempt; doubles with each
_LONGEST_WAIT = 30.0  # seconds
_LARGEST_CONFIG = 8 << 20  # bytes
_PIECE = 1 << 20  # bytes read at a time
_CHUNK = 32 << 20  # bytes sent at a time to a registry that takes no large request
_THREADS = 32
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer or configuration as a manifest names it; `size` in bytes, as stored."""

    media_type: str
    digest: str
    size: int
    urls: tuple[str, ...] = ()

    def descriptor(self) -> dict[str, Any]:
        """As it is written in a manifest."""
        written: dict[str, Any] = {"mediaType": self.media_type, "size": self.size, "digest": self.digest}
        if self.urls:
            written["urls"] = list(self.urls)
        return written


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index, byte for byte."""

    digest: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedImage:
    """An image in a registry.

    Attributes:
        digest: what the tag points to; of the index when there is one.
        media_type: of that.
        manifest_digest: of this platform's manifest.
        manifest_media_type: of that.
        platform: "os/architecture[/variant]", as the image itself says.
        config: its configuration, as written (labels, environment, history, …).
        layers: lowest first.
    """

    digest: str
    media_type: str
    manifest_digest: str
    manifest_media_type: str
    platform: str
    config: Mapping[str, Any]
    layers: tuple[Blob, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        """The image's labels; empty when it has none."""
        return (self.config.get("config") or {}).get("Labels") or {}

    @property
    def size(self) -> int:
        """Bytes of all layers, as stored."""
        return sum(layer.size for layer in self.layers)


class RegistryClient:
    """One repository in one registry. Safe for threads; close it, or use it in a `with`.

    Args:
        repository: "user/app", "reg.io/team/app" or a `Repository`.
        look_up: finds the stored login for a registry's name; docker's own by default.
        pause: how to wait between two attempts of a read.

    Every method raises the families of `providers.errors`: UnauthorizedError and ForbiddenError say which
    login to change, TransientError that the registry is not answering, RefusedError what it did not take.
    """

    def __init__(
        self,
        repository: str | Repository,
        *,
        look_up: Callable[[str], Login | None] = stored_login,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.repository = parse_repository(repository) if isinstance(repository, str) else repository
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._session.trust_env = not self.repository.loopback  # no proxy leads to this machine
        adapter = HTTPAdapter(pool_maxsize=_THREADS)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._authorization = Authorization(
            self.repository, self._session, lambda: look_up(self.repository.registry)
        )
        self._pause = pause

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    # Reading

    def digest(self, version: str) -> str | None:
        """The digest that a tag points to (a digest: itself, if it exists); None if absent."""
        response = self._read("HEAD", f"manifests/{version}", f"reading {self._name(version)}", _MANIFESTS)
        if response is None:
            return None
        found = response.headers.get("Docker-Content-Digest", "")
        if is_digest(found):
            return found
        manifest = self.manifest(version)  # an old registry: work it out
        return manifest.digest if manifest else None

    def manifest(self, version: str) -> Manifest | None:
        """The manifest or index under a tag or digest; None if absent."""
        doing = f"reading {self._name(version)}"
        response = self._read("GET", f"manifests/{version}", doing, _MANIFESTS)
        if response is None:
            return None
        content = response.content
        digest = _sha256(content)
        if is_digest(version) and digest != version:
            raise FinalError(
                f"{self.repository.registry} answered with other bytes than {self._name(version)}"
            )
        written = _json(content, f"the manifest of {self._name(version)}")
        media_type = written.get("mediaType") or response.headers.get("Content-Type", "").partition(";")[0]
        if written.get("schemaVersion") != 2:
            raise RefusedError(
                f"{self._name(version)} is stored in the registry's format of before 2016",
                hint="push it again with a current Docker",
            )
        return Manifest(digest, str(media_type), content)

    def image(self, version: str, platform: str = "linux/amd64") -> PublishedImage | None:
        """The image under a tag or digest, for one platform; None if there is no such tag.

        Nothing is pulled: a manifest and a configuration are read, some kilobytes.

        Raises:
            RefusedError: the tag exists, and has nothing for this platform.
        """
        top = self.manifest(version)
        if top is None:
            return None
        manifest: Manifest | None = top
        if top.media_type in (DOCKER_INDEX, OCI_INDEX):
            manifest = self.manifest(_choose(top, platform, self._name(version)))
        if manifest is None:
            raise GoneError(f"{self._name(version)} lists an image for {platform} that the registry lost")
        written = json.loads(manifest.content)
        try:
            config_blob = _blob(written["config"])
            layers = tuple(_blob(layer) for layer in written["layers"])
        except (KeyError, TypeError):
            raise RefusedError(f"{self._name(version)} is no image: it is a {manifest.media_type}") from None
        if config_blob.size > _LARGEST_CONFIG:
            raise RefusedError(f"{self._name(version)} is no image: its configuration is too large")
        content = b"".join(self.read_blob(config_blob))
        config = _json(content, f"the configuration of {self._name(version)}")
        return PublishedImage(
            digest=top.digest,
            media_type=top.media_type,
            manifest_digest=manifest.digest,
            manifest_media_type=manifest.media_type,
            platform="/".join(
                str(config[key]) for key in ("os", "architecture", "variant") if config.get(key)
            ),
            config=config,
            layers=layers,
        )

    def has_blob(self, digest: str) -> bool:
        """Whether the repository holds this blob already."""
        return self._read("HEAD", f"blobs/{digest}", f"looking for a layer in {self.repository}") is not None

    def read_blob(self, blob: Blob) -> Iterator[bytes]:
        """A blob's content, streamed, and checked against its digest at the end.

        Raises:
            GoneError: the repository does not hold it.
            FinalError: other bytes came than the digest stands for.
        """
        doing = f"reading {blob.digest[:19]} of {self.repository}"
        response = self._read("GET", f"blobs/{blob.digest}", doing, stream=True)
        if response is None:
            raise GoneError(f"{self.repository} names {blob.digest} and does not hold it")
        found = hashlib.sha256()
        try:
            with response:
                for piece in response.iter_content(_PIECE):
                    found.update(piece)
                    yield piece
        except requests.RequestException as error:
            raise failures.from_exception(error, self.repository, doing, writing=False) from error
        if f"sha256:{found.hexdigest()}" != blob.digest:
            raise FinalError(f"{self.repository.registry} answered with other bytes than {blob.digest}")

    # Writing

    def check(self) -> None:
        """Whether the registry is there and lets us push to the repository; leaves nothing behind.

        An upload is begun and cancelled: no read tells whether a push would be allowed.
        """
        location = self._begin(f"pushing to {self.repository}")
        self._cancel(location)

    def tag(self, version: str, new_tag: str) -> str:
        """Let `new_tag` point to what `version` (a tag or digest) points to; the digest.

        The manifest is put back byte for byte: no layer moves, and an index stays an index.

        Raises:
            GoneError: there is no `version`.
        """
        check_tag(new_tag)
        manifest = self.manifest(version)
        if manifest is None:
            raise GoneError(f"{self._name(version)} is not in the registry")
        return self.put_manifest(new_tag, manifest.media_type, manifest.content)

    def put_manifest(self, tag: str, media_type: str, content: bytes) -> str:
        """Store a manifest under a tag; its digest. Everything it names has to be there."""
        doing = f"pushing {self._name(tag)}"
        response = self._write(
            "PUT", f"{self.repository.url}/manifests/{tag}", doing, data=content, content_type=media_type
        )
        digest = _sha256(content)
        stored = response.headers.get("Docker-Content-Digest", digest)
        if stored != digest:
            raise FinalError(
                f"{self.repository.registry} stored {self._name(tag)} as {stored}, not as {digest}"
            )
        return digest

    def mount(self, digest: str, source: Repository) -> bool:
        """Take a blob over from another repository of the same registry, without moving a byte.

        Returns:
            Whether the registry did so; it may be unable, or not allow us to read `source`.
        """
        doing = f"pushing to {self.repository}"
        try:
            response = self._write(
                "POST",
                f"{self.repository.url}/blobs/uploads/",
                doing,
                params={"mount": digest, "from": source.path},
                scopes=(*self._scopes("pull,push"), f"repository:{source.path}:pull"),
            )
        except (UnauthorizedError, ForbiddenError):
            return False
        if response.status_code == 201:
            return True
        self._cancel(self._location(response))
        return False

    def upload(
        self,
        blob: Blob,
        content: Callable[[], Iterable[bytes]],
        report: Report = silent,
        *,
        stage: str = "push",
    ) -> None:
        """Store a blob, unless it is there.

        Args:
            content: gives the bytes, from the start each time it is called.
        """
        item = _short(blob.digest)
        if self.has_blob(blob.digest):
            report(Progress(stage, item, "already there", blob.size, blob.size))
            return

        def pieces() -> Iterator[bytes]:
            done = 0
            for piece in content():
                yield piece
                done += len(piece)
                if done < blob.size:  # the end is reported once the registry has confirmed it
                    report(Progress(stage, item, "sending", done, blob.size))

        doing = f"pushing a layer to {self.repository}"
        location = self._send_whole(blob, pieces, doing) or self._send_chunks(pieces, doing)
        self._write("PUT", _with_query(location, digest=blob.digest), doing)
        report(Progress(stage, item, "sent", blob.size, blob.size))

    def copy(self, blob: Blob, source: "RegistryClient", report: Report = silent) -> None:
        """Have a blob of another repository: mounted in the same registry, else streamed over."""
        item = _short(blob.digest)
        if self.has_blob(blob.digest):
            report(Progress("copy", item, "already there", blob.size, blob.size))
        elif source.repository.registry == self.repository.registry and self.mount(
            blob.digest, source.repository
        ):
            report(Progress("copy", item, f"taken over from {source.repository}", blob.size, blob.size))
        else:
            self.upload(blob, lambda: source.read_blob(blob), report, stage="copy")

    # Underneath

    def _name(self, version: str) -> str:
        return f"{self.repository}{'@' if is_digest(version) else ':'}{version}"

    def _scopes(self, actions: str) -> tuple[str, ...]:
        return (f"repository:{self.repository.path}:{actions}",)

    def _begin(self, doing: str) -> str:
        """Begin an upload; where it goes on."""
        return self._location(self._write("POST", f"{self.repository.url}/blobs/uploads/", doing))

    def _location(self, response: requests.Response) -> str:
        location = response.headers.get("Location")
        if not location:
            raise FinalError(f"{self.repository.registry} began an upload and did not say where it goes on")
        return urljoin(response.url, location)

    def _cancel(self, location: str) -> None:
        """Forget a begun upload; the registry also does so by itself, after a while."""
        try:
            doing = f"cancelling an upload to {self.repository}"
            self._write("DELETE", location, doing, scopes=self._scopes("pull,push,delete"))
        except ProviderError:
            pass

    def _send_whole(self, blob: Blob, pieces: Callable[[], Iterator[bytes]], doing: str) -> str | None:
        """Send everything in one request; None when the registry takes no request of that size."""
        body = _Body(blob.size, pieces)
        response = self._write("PATCH", self._begin(doing), doing, data=body, tolerated=413)
        return None if response.status_code == 413 else self._location(response)

    def _send_chunks(self, pieces: Callable[[], Iterator[bytes]], doing: str) -> str:
        location, start = self._begin(doing), 0
        for chunk in _regrouped(pieces()):
            response = self._write(
                "PATCH", location, doing, data=chunk, content_range=f"{start}-{start + len(chunk) - 1}"
            )
            location, start = self._location(response), start + len(chunk)
        return location

    def _read(
        self, method: str, path: str, doing: str, accept: str = "*/*", *, stream: bool = False
    ) -> requests.Response | None:
        """One read, repeated while the registry is away; None for 404."""

        def once() -> requests.Response | None:
            response = self._exchange(
                method,
                f"{self.repository.url}/{path}",
                doing,
                headers={"Accept": accept},
                scopes=self._scopes("pull"),
                timeout=READ_TIMEOUT,
                stream=stream,
            )
            if response.status_code == 404:
                response.close()
                return None
            if response.status_code >= 400:
                raise self._failure(response, doing)
            return response

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_wait,
            sleep=self._pause,
            reraise=True,
        )
        return retrying(once)

    def _write(
        self,
        method: str,
        url: str,
        doing: str,
        *,
        data: "bytes | _Body | None" = None,
        content_type: str = "application/octet-stream",
        content_range: str | None = None,
        params: Mapping[str, str] | None = None,
        scopes: tuple[str, ...] | None = None,
        tolerated: int = 0,
    ) -> requests.Response:
        """One write, sent once; an answer of the `tolerated` status is no error."""
        headers = {"Content-Type": content_type} if data is not None else {"Content-Length": "0"}
        if content_range:
            headers["Content-Range"] = content_range
        response = self._exchange(
            method,
            url,
            doing,
            headers=headers,
            scopes=scopes or self._scopes("pull,push"),
            timeout=_WRITE_TIMEOUT,
            data=data,
            params=params,
        )
        if response.status_code >= 300 and response.status_code != tolerated:
            raise self._failure(response, doing)
        return response

    def _exchange(
        self,
        method: str,
        url: str,
        doing: str,
        *,
        headers: Mapping[str, str],
        scopes: tuple[str, ...],
        timeout: float,
        data: "bytes | _Body | None" = None,
        params: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """One request and its answer; a challenge is answered once."""
        ours = urlsplit(url).netloc == self.repository.host  # an upload may go on at another host
        patience = CONNECT_TIMEOUT, answer_timeout(timeout)

        def send(header: str | None) -> requests.Response:
            try:
                return self._session.request(
                    method,
                    url,
                    headers=headers,
                    auth=signed(header if ours else None),
                    data=data,
                    params=params,
                    timeout=patience,
                    stream=stream,
                )
            except requests.RequestException as error:
                writing = method not in ("GET", "HEAD")
                raise failures.from_exception(error, self.repository, doing, writing=writing) from error

        response = send(self._authorization.header(scopes))
        if response.status_code == 401 and ours:
            header = self._authorization.answer(response.headers.get("WWW-Authenticate", ""), scopes)
            if header:
                response.close()
                response = send(header)
        return response

    def _failure(self, response: requests.Response, doing: str) -> ProviderError:
        with response:
            return failures.from_answer(
                response, self.repository, doing, username=self._authorization.username
            )


class _Body:
    """A request's body of known size that can be sent again from its start."""

    def __init__(self, size: int, pieces: Callable[[], Iterator[bytes]]) -> None:
        self._size = size
        self._pieces = pieces

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces()


_MANIFESTS = ", ".join((OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST))


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds before the next attempt: what the registry asked for, else 0.5, 1, 2, …"""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, TransientError) else None
    return min(asked if asked is not None else _FIRST_WAIT * 2 ** (state.attempt_number - 1), _LONGEST_WAIT)


def _choose(index: Manifest, platform: str, name: str) -> str:
    """The digest of this platform's manifest."""
    wanted = _platform(*platform.split("/"))
    offered = []
    for entry in json.loads(index.content).get("manifests", ()):
        parts = entry.get("platform") or {}
        found = _platform(parts.get("os", ""), parts.get("architecture", ""), parts.get("variant", ""))
        if found[:2] == wanted[:2] and (not wanted[2] or not found[2] or wanted[2] == found[2]):
            return str(entry["digest"])
        if found[0] != "unknown":  # attestations are listed under unknown/unknown
            offered.append("/".join(part for part in found if part))
    raise RefusedError(
        f"{name} has nothing for {platform}, only for {', '.join(offered) or 'no platform at all'}",
        hint="publish it for that platform, or ask for another one",
    )


def _platform(system: str, architecture: str = "", variant: str = "") -> tuple[str, str, str]:
    return system, _ARCHITECTURES.get(architecture, architecture), variant


def _blob(descriptor: Mapping[str, Any]) -> Blob:
    return Blob(
        descriptor.get("mediaType", ""),
        descriptor["digest"],
        descriptor["size"],
        tuple(descriptor.get("urls") or ()),
    )


def _json(content: bytes, what: str) -> dict[str, Any]:
    try:
        written = json.loads(content)
    except ValueError:
        written = None
    if not isinstance(written, dict):
        raise RefusedError(f"{what} is not readable: it is no JSON object")
    return written


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _short(digest: str) -> str:
    """Twelve digits, as Docker shows layers."""
    return digest.removeprefix("sha256:")[:12]


def _with_query(url: str, **parameters: str) -> str:
    """`url` with further query parameters; what is in it stays as it is (it may be signed)."""
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _regrouped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        while len(buffer) >= _CHUNK:
            yield bytes(buffer[:_CHUNK])
            del buffer[:_CHUNK]
    if buffer:
        yield bytes(buffer)
