"""The client of a container registry: reads and publishes images without a Docker Engine and without a pull.

The last of the image's three steps (source, build, registry); plans also read published images with it.
Reads, and writes addressed by digest, are repeated if the registry is briefly unavailable; a tag is written
once. Never deletes anything.

The protocol is the OCI distribution specification, and Docker's token authentication:
https://github.com/opencontainers/distribution-spec ·
https://distribution.github.io/distribution/spec/auth/token/
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import requests

from providers.bodies import pieces
from providers.docker.registry import error_mapping, uploads
from providers.docker.registry.auth import Login, stored_login
from providers.docker.registry.connection import Connection, ConnectionPool
from providers.docker.registry.manifests import (
    MEDIA_TYPES,
    OCI_INDEX,
    Blob,
    Entry,
    Manifest,
    PublishedImage,
    read_configuration,
    read_entries,
    read_image,
    read_manifest,
    select_manifest,
    sha256,
)
from providers.docker.registry.reference import Repository, check_tag, is_digest, parse_repository
from providers.errors import (
    ForbiddenError,
    GoneError,
    PermanentError,
    ProviderError,
    RefusedError,
    TransientError,
    UnauthorizedError,
)
from providers.http import same_origin
from providers.protocol import Progress, Report, silent
from providers.retries import exhausted, may_repeat

_CHUNK_SIZE = 1 << 20  # bytes read at a time
_MAX_CACHED = 200  # configurations, a few kilobytes each, shared by the clients of a run
_MAX_REFERRERS = 1000
_MANIFESTS = {"Accept": ", ".join(MEDIA_TYPES)}


class RegistryClient:
    """A client of one repository in one registry. Thread-safe; close it, or use it in a `with`.

    Args:
        repository: "user/app", "reg.io/team/app" or a `Repository`.
        look_up: returns the login for a registry's name; by default the stored one. Only for the registry
            that is pushed to, `logins.push_login` also finds one in variables.
        pause: sleeps a number of seconds between two attempts.
        pool: connections to share with the clients of other repositories.

    Every method raises the errors of `providers.errors`: UnauthorizedError and ForbiddenError name the login
    to change, TransientError means the registry is unavailable, RefusedError has the registry's reason.
    """

    def __init__(
        self,
        repository: str | Repository,
        *,
        look_up: Callable[[str], Login | None] = stored_login,
        pause: Callable[[float], None] = time.sleep,
        pool: ConnectionPool | None = None,
    ) -> None:
        self.repository = parse_repository(repository) if isinstance(repository, str) else repository
        self.pause = pause
        self.pool = pool
        self._connection = Connection(self.repository, look_up, pause, pool)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    # Reading

    def digest(self, reference: str) -> str | None:
        """The digest of a tag, or an existing digest itself; None if absent."""
        response = self._read_manifest("HEAD", reference)
        if response is None:
            return None
        found = response.headers.get("Docker-Content-Digest", "")
        if is_digest(found) and self._connection.is_own(response):
            return found
        manifest = self.manifest(reference)  # an old registry, or a redirect: compute the digest
        return manifest.digest if manifest else None

    def manifest(self, reference: str) -> Manifest | None:
        """The manifest or index under a tag or digest; None if absent."""
        response = self._read_manifest("GET", reference)
        if response is None:
            return None
        if is_digest(reference) and sha256(response.content) != reference:
            raise self._content_error(self._name(reference))
        content_type = response.headers.get("Content-Type", "")
        return read_manifest(response.content, content_type, self._name(reference))

    def image(self, reference: str, platform: str = "linux/amd64") -> PublishedImage | None:
        """The image under a tag or digest, for one platform; None if the tag does not exist.

        Reads only the manifest and the configuration, a few kilobytes.

        Raises:
            OtherContentError: the tag names an index without this platform, or something that is no image.
            RefusedError: what it names is malformed.
        """
        name = self._name(reference)
        top = self.manifest(reference)
        if top is None:
            return None
        manifest = self.manifest(select_manifest(top, platform, name)) if top.is_index else top
        if manifest is None:
            raise GoneError(f"{name} lists an image for {platform} that the registry does not have")
        blob = read_configuration(manifest, name)
        cache = self._connection.pool.configurations
        config = cache.get(blob.digest) or b"".join(self.read_blob(blob))
        if len(cache) < _MAX_CACHED:
            cache[blob.digest] = config
        return read_image(top, manifest, config, name)

    def referrers(self, digest: str) -> tuple[Entry, ...] | None:
        """The descriptors of the manifests that refer to this one; None if the registry does not list them.

        Without the list, the index under `manifests.referrers_tag` has them: see `referrers`.
        """
        url, doing = self._connection.url(f"referrers/{digest}"), f"reading {self._name(digest)}"
        found: list[Entry] = []
        for _ in range(_MAX_REFERRERS):
            try:
                response = self._connection.read("GET", url, doing, headers={"Accept": OCI_INDEX})
            except RefusedError:  # some registries answer an unknown path with 400 or 405
                response = None
            if response is None:
                return None
            page = read_manifest(response.content, OCI_INDEX, f"the referrers of {self._name(digest)}")
            found += read_entries(page, f"the referrers of {self._name(digest)}")
            following = response.links.get("next", {}).get("url")
            if not following:
                return tuple(found)
            url = urljoin(response.url, following)
            is_own = self._connection.is_own(response) and same_origin(url, self.repository.url)
            if not is_own or len(found) > _MAX_REFERRERS:
                break
        raise self._content_error(f"the referrers of {self._name(digest)}")

    def has_blob(self, digest: str) -> bool:
        """Whether the repository already contains this blob."""
        doing = f"looking for a layer in {self.repository}"
        return self._connection.read("HEAD", self._connection.url(f"blobs/{digest}"), doing) is not None

    def read_blob(self, blob: Blob, start: int = 0) -> Iterator[bytes]:
        """Streams a blob's content from byte `start` on, and resumes after a broken connection.

        Content read from byte 0 is verified against the digest at the end.

        Raises:
            GoneError: the repository does not contain the blob.
            PermanentError: the content does not match the digest.
        """
        hasher = hashlib.sha256()
        position, breaks = start, 0
        while True:
            response = self._open(blob, position)  # repeats the request; here only a broken answer is resumed
            try:
                for chunk in self._content(response, blob, position):
                    hasher.update(chunk)
                    position, breaks = position + len(chunk), 0
                    if position > blob.size:
                        raise self._content_error(blob.digest)
                    yield chunk
                break
            except TransientError as error:
                breaks += 1
                if not may_repeat(error, breaks):
                    exhausted(error)
                    raise
                self._connection.wait_after(error, breaks)
        if not start and f"sha256:{hasher.hexdigest()}" != blob.digest:
            raise self._content_error(blob.digest)

    def _open(self, blob: Blob, start: int) -> requests.Response:
        """The response with a blob from byte `start` on, or with all of it."""
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        url = self._connection.url(f"blobs/{blob.digest}")
        response = self._connection.read("GET", url, self._reading(blob), headers=headers, stream=True)
        if response is None:
            raise GoneError(f"{self.repository} refers to {blob.digest} but does not contain it")
        return response

    def _content(self, response: requests.Response, blob: Blob, start: int) -> Iterator[bytes]:
        """A blob's bytes from `start` on, until the connection breaks."""
        surplus = start if response.status_code != 206 else 0  # the registry may not support ranges
        try:
            with response:
                if response.raw is not None:
                    response.raw.headers.discard("Content-Encoding")  # the digest is that of the sent bytes
                for chunk in pieces(response, _CHUNK_SIZE):
                    if len(chunk) > surplus:
                        yield chunk[surplus:]
                    surplus = max(surplus - len(chunk), 0)
        except (requests.RequestException, ValueError) as error:
            doing = self._reading(blob)
            raise error_mapping.from_exception(error, self.repository, doing, writing=False) from error

    def _reading(self, blob: Blob) -> str:
        return f"reading {blob.digest[:19]} of {self.repository}"

    def _read_manifest(self, method: str, reference: str) -> requests.Response | None:
        url = self._connection.url(f"manifests/{reference}")
        return self._connection.read(method, url, f"reading {self._name(reference)}", headers=_MANIFESTS)

    def _name(self, reference: str) -> str:
        return f"{self.repository}{'@' if is_digest(reference) else ':'}{reference}"

    def _content_error(self, name: str) -> PermanentError:
        return PermanentError(f"{self.repository.registry} returned content that does not match {name}")

    # Writing

    def check(self) -> None:
        """Check that the registry is reachable and allows a push to the repository.

        Starts an upload and cancels it, as no read request reveals push permission.
        """
        doing = f"pushing to {self.repository}"
        response = self._connection.write("POST", self._connection.url("blobs/uploads/"), doing)
        self._cancel(response)

    def tag(self, reference: str, new_tag: str, *, new: bool = False) -> str:
        """Point `new_tag` to the image of `reference` (a tag or digest). Returns the digest.

        The manifest is written unchanged: no layer moves, and an index stays an index.

        Args:
            new: as for `put_manifest`.

        Raises:
            GoneError: `reference` does not exist.
        """
        check_tag(new_tag)
        manifest = self.manifest(reference)
        if manifest is None:
            raise GoneError(f"{self._name(reference)} is not in the registry")
        return self.put_manifest(new_tag, manifest.media_type, manifest.content, new=new)

    def put_manifest(self, tag: str, media_type: str, content: bytes, *, new: bool = False) -> str:
        """Store a manifest under a tag or under its own digest. Returns the digest.

        Its blobs must exist already. A tag is sent only once, as another publisher may have written it before
        a repetition.

        Args:
            new: keep an existing tag, if the registry supports this condition. Most do not.
        """
        url, doing = self._connection.url(f"manifests/{tag}"), f"pushing {self._name(tag)}"
        headers = {"Content-Type": media_type} | ({"If-None-Match": "*"} if new else {})
        response = self._connection.write(
            "PUT",
            url,
            doing,
            data=content,
            headers=headers,
            tolerated=(412,) if new else (),
            repeatable=is_digest(tag),
        )
        digest = sha256(content)
        if response.status_code == 412:  # the tag exists, or the registry does not support the condition
            return digest if self.digest(tag) else self.put_manifest(tag, media_type, content)
        stored = response.headers.get("Docker-Content-Digest", digest)
        if stored != digest:
            raise PermanentError(
                f"{self.repository.registry} stored {self._name(tag)} as {stored}, not as {digest}"
            )
        return digest

    def mount(self, digest: str, source: Repository) -> bool:
        """Mount a blob from another repository of the same registry, without a transfer.

        Returns:
            Whether it succeeded. The registry may not support it, or the login may not read `source`.
        """
        try:
            response = self._connection.write(
                "POST",
                self._connection.url("blobs/uploads/"),
                f"pushing to {self.repository}",
                params={"mount": digest, "from": source.path},
                scopes=(*self._connection.scopes("pull,push"), f"repository:{source.path}:pull"),
            )
        except (UnauthorizedError, ForbiddenError):
            return False
        if response.status_code == 201:
            return True
        self._cancel(response)
        return False

    def upload(
        self, blob: Blob, content: uploads.Content, report: Report = silent, *, stage: str = "push"
    ) -> None:
        """Store a blob unless it exists.

        Args:
            content: returns the bytes from an offset on; may be called several times.
        """
        text = "already there"
        if not self.has_blob(blob.digest):
            uploads.upload(self._connection, blob, content, report, stage)
            text = "sent"
        report(Progress(stage, uploads.short_digest(blob.digest), text, blob.size, blob.size))

    def copy(self, blob: Blob, source: "RegistryClient", report: Report = silent) -> None:
        """Copy a blob from another repository: mounted in the same registry, streamed otherwise."""
        if self.has_blob(blob.digest):
            text = "already there"
        elif source.repository.registry == self.repository.registry and self.mount(
            blob.digest, source.repository
        ):
            text = f"mounted from {source.repository}"
        else:
            uploads.upload(
                self._connection, blob, lambda start: source.read_blob(blob, start), report, "copy"
            )
            text = "copied"
        report(Progress("copy", uploads.short_digest(blob.digest), text, blob.size, blob.size))

    def _cancel(self, response: requests.Response) -> None:
        """Cancel a started upload. Errors are ignored, as registries expire uploads by themselves."""
        location = self._connection.location(response)
        try:
            doing = f"cancelling an upload to {self.repository}"
            scopes = self._connection.scopes("pull,push,delete")
            self._connection.write("DELETE", location, doing, scopes=scopes, repeatable=False)
        except ProviderError:
            pass
