"""A registry, spoken to directly: what is published, and how to publish, without an Engine or a pull.

Last of the image's three steps (source, build, registry); also how a plan reads what is published. Reads,
and writes of what is named by its digest, are repeated when the registry is briefly away; a tag is put once.
Deletes nothing, ever.

The protocol is the OCI distribution specification, and Docker's token authentication:
https://github.com/opencontainers/distribution-spec · https://distribution.github.io/distribution/spec/auth/token/
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import requests

from providers.docker.registry import error_mapping, uploads
from providers.docker.registry.auth import Login
from providers.docker.registry.connection import ATTEMPTS, Connection, ConnectionPool, is_passing
from providers.docker.registry.logins import push_login
from providers.docker.registry.manifests import (
    MEDIA_TYPES,
    Blob,
    Manifest,
    PublishedImage,
    choose,
    read_image,
    read_manifest,
    read_parts,
    sha256,
)
from providers.docker.registry.reference import Repository, check_tag, is_digest, parse_repository
from providers.errors import (
    ForbiddenError,
    GoneError,
    PermanentError,
    ProviderError,
    TransientError,
    UnauthorizedError,
)
from providers.protocol import Progress, Report, silent

_PIECE = 1 << 20  # bytes read at a time
_REMEMBERED = 200  # configurations, some kilobytes each, that the clients of a run share
_MANIFESTS = {"Accept": ", ".join(MEDIA_TYPES)}


class RegistryClient:
    """One repository in one registry. Safe for threads; close it, or use it in a `with`.

    Args:
        repository: "user/app", "reg.io/team/app" or a `Repository`.
        look_up: finds the login for a registry's name; that of who pushes there by default.
        pause: how to wait, in seconds, between two attempts.
        wire: connections to share with the clients of other repositories.

    Every method raises the families of `providers.errors`: UnauthorizedError and ForbiddenError say which
    login to change, TransientError that the registry is not answering, RefusedError what it did not take.
    """

    def __init__(
        self,
        repository: str | Repository,
        *,
        look_up: Callable[[str], Login | None] = push_login,
        pause: Callable[[float], None] = time.sleep,
        pool: ConnectionPool | None = None,
    ) -> None:
        self.repository = parse_repository(repository) if isinstance(repository, str) else repository
        self.pause = pause
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
        """The digest that a tag points to (a digest: itself, if it exists); None if absent."""
        response = self._read_manifest("HEAD", reference)
        if response is None:
            return None
        found = response.headers.get("Docker-Content-Digest", "")
        if is_digest(found):
            return found
        manifest = self.manifest(reference)  # an old registry: work it out
        return manifest.digest if manifest else None

    def manifest(self, reference: str) -> Manifest | None:
        """The manifest or index under a tag or digest; None if absent."""
        response = self._read_manifest("GET", reference)
        if response is None:
            return None
        if is_digest(reference) and sha256(response.content) != reference:
            raise self._other_bytes(self._name(reference))
        content_type = response.headers.get("Content-Type", "")
        return read_manifest(response.content, content_type, self._name(reference))

    def image(self, reference: str, platform: str = "linux/amd64") -> PublishedImage | None:
        """The image under a tag or digest, for one platform; None if there is no such tag.

        Nothing is pulled: a manifest and a configuration are read, some kilobytes.

        Raises:
            RefusedError: the tag exists, and has nothing for this platform.
        """
        name = self._name(reference)
        top = self.manifest(reference)
        if top is None:
            return None
        manifest = self.manifest(choose(top, platform, name)) if top.is_index else top
        if manifest is None:
            raise GoneError(f"{name} lists an image for {platform} that the registry lost")
        blob = read_parts(manifest, name)[0]
        known = self._connection.pool.configurations
        config = known.get(blob.digest) or b"".join(self.read_blob(blob))
        if len(known) < _REMEMBERED:
            known[blob.digest] = config
        return read_image(top, manifest, config, name)

    def has_blob(self, digest: str) -> bool:
        """Whether the repository holds this blob already."""
        doing = f"looking for a layer in {self.repository}"
        return self._connection.read("HEAD", self._connection.url(f"blobs/{digest}"), doing) is not None

    def read_blob(self, blob: Blob, start: int = 0) -> Iterator[bytes]:
        """A blob's content from byte `start` on, streamed; gone on with where a broken line left it.

        What is read from its beginning is checked against the digest at the end.

        Raises:
            GoneError: the repository does not hold it.
            FinalError: other bytes came than the digest stands for.
        """
        found = hashlib.sha256()
        at, breaks = start, 0
        while True:
            try:
                for piece in self._stream(blob, at):
                    found.update(piece)
                    at, breaks = at + len(piece), 0
                    if at > blob.size:
                        raise self._other_bytes(blob.digest)
                    yield piece
                break
            except TransientError as error:
                breaks += 1
                if breaks >= ATTEMPTS or not is_passing(error):
                    raise
                self._connection.rest(error, breaks)
        if not start and f"sha256:{found.hexdigest()}" != blob.digest:
            raise self._other_bytes(blob.digest)

    def _stream(self, blob: Blob, start: int) -> Iterator[bytes]:
        """A blob's bytes from `start` on, as far as the line holds."""
        doing = f"reading {blob.digest[:19]} of {self.repository}"
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        url = self._connection.url(f"blobs/{blob.digest}")
        response = self._connection.read("GET", url, doing, headers=headers, stream=True)
        if response is None:
            raise GoneError(f"{self.repository} names {blob.digest} and does not hold it")
        surplus = start if response.status_code != 206 else 0  # it may not know how to begin further on
        try:
            with response:
                for piece in response.iter_content(_PIECE):
                    if len(piece) > surplus:
                        yield piece[surplus:]
                    surplus = max(surplus - len(piece), 0)
        except (requests.RequestException, ValueError) as error:
            raise error_mapping.from_exception(error, self.repository, doing, writing=False) from error

    def _read_manifest(self, method: str, reference: str) -> requests.Response | None:
        url = self._connection.url(f"manifests/{reference}")
        return self._connection.read(method, url, f"reading {self._name(reference)}", headers=_MANIFESTS)

    def _name(self, reference: str) -> str:
        return f"{self.repository}{'@' if is_digest(reference) else ':'}{reference}"

    def _other_bytes(self, what: str) -> PermanentError:
        return PermanentError(f"{self.repository.registry} answered with other bytes than {what}")

    # Writing

    def check(self) -> None:
        """Whether the registry is there and lets us push to the repository; leaves nothing behind.

        An upload is begun and cancelled: no read tells whether a push would be allowed.
        """
        doing = f"pushing to {self.repository}"
        response = self._connection.write("POST", self._connection.url("blobs/uploads/"), doing)
        self._cancel(response)

    def tag(self, reference: str, new_tag: str, *, new: bool = False) -> str:
        """Let `new_tag` point to what `reference` (a tag or digest) points to; the digest.

        The manifest is put back byte for byte: no layer moves, and an index stays an index.

        Args:
            new: as for `put_manifest`.

        Raises:
            GoneError: there is no `reference`.
        """
        check_tag(new_tag)
        manifest = self.manifest(reference)
        if manifest is None:
            raise GoneError(f"{self._name(reference)} is not in the registry")
        return self.put_manifest(new_tag, manifest.media_type, manifest.content, new=new)

    def put_manifest(self, tag: str, media_type: str, content: bytes, *, new: bool = False) -> str:
        """Store a manifest under a tag, or under its own digest; the digest. What it names has to be there.

        Sent once, whatever comes of it: by a second time, the tag may be somebody else's.

        Args:
            new: leave a tag alone that is there already, where the registry can do so. Most cannot.
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
        if response.status_code == 412:  # it is there, or the condition is not understood
            return digest if self.digest(tag) else self.put_manifest(tag, media_type, content)
        stored = response.headers.get("Docker-Content-Digest", digest)
        if stored != digest:
            raise PermanentError(
                f"{self.repository.registry} stored {self._name(tag)} as {stored}, not as {digest}"
            )
        return digest

    def mount(self, digest: str, source: Repository) -> bool:
        """Take a blob over from another repository of the same registry, without moving a byte.

        Returns:
            Whether the registry did so; it may be unable, or not allow us to read `source`.
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
        """Store a blob, unless it is there.

        Args:
            content: gives the bytes from an offset on, each time it is called.
        """
        text = "already there"
        if not self.has_blob(blob.digest):
            uploads.upload(self._connection, blob, content, report, stage)
            text = "sent"
        report(Progress(stage, uploads.short(blob.digest), text, blob.size, blob.size))

    def copy(self, blob: Blob, source: "RegistryClient", report: Report = silent) -> None:
        """Have a blob of another repository: mounted in the same registry, else streamed over."""
        if self.has_blob(blob.digest):
            text = "already there"
        elif source.repository.registry == self.repository.registry and self.mount(
            blob.digest, source.repository
        ):
            text = f"taken over from {source.repository}"
        else:
            uploads.upload(
                self._connection, blob, lambda start: source.read_blob(blob, start), report, "copy"
            )
            text = "copied"
        report(Progress("copy", uploads.short(blob.digest), text, blob.size, blob.size))

    def _cancel(self, begun: requests.Response) -> None:
        """Forget a begun upload; the registry also does so by itself, after a while."""
        location = self._connection.location(begun)
        try:
            doing = f"cancelling an upload to {self.repository}"
            scopes = self._connection.scopes("pull,push,delete")
            self._connection.write("DELETE", location, doing, scopes=scopes, repeatable=False)
        except ProviderError:
            pass
