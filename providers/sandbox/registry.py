"""The registry's calls: push and pull of the OCI distribution specification 1.1, with Docker's media types.

Errors have the registry's format, `{"errors": [{"code", "message", "detail"}]}`. Not implemented: features
for replication. Faults, latency and the request log are handled in front, in `traffic`.
"""

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from providers.patterns import pattern
from providers.sandbox.images import OCI_INDEX, OCI_MANIFEST, Images, Manifest, digest_of
from providers.sandbox.settings import Grant, Switches

_NAME = pattern(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = pattern(r"sha256:[0-9a-f]{64}")
_MEDIA_TYPES = (
    OCI_MANIFEST,
    OCI_INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class RegistryError(Exception):
    """An error response.

    Args:
        status: HTTP status.
        code: one of the specification's codes, such as `BLOB_UNKNOWN`.
        message: description of the problem.
        detail: the affected name, digest or value.
        headers: extra headers of the response.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        detail: object = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.headers = headers or {}


def error_response(error: RegistryError) -> JSONResponse:
    """An error in the registry's format."""
    entry = {"code": error.code, "message": error.message, "detail": error.detail}
    return JSONResponse({"errors": [entry]}, error.status, error.headers)


class RegistryCalls:
    """The handlers.

    Args:
        images: the stored images.
        grants: the passwords that `registry_auth` accepts, and their access.
    """

    def __init__(self, images: Images, grants: dict[str, Grant]) -> None:
        self._images = images
        self._grants = grants

    def routes(self) -> list[Route]:
        """Every call of the registry."""
        uploads, upload = "/v2/{name:path}/blobs/uploads", "/v2/{name:path}/blobs/uploads/{upload}"
        blob, manifest = "/v2/{name:path}/blobs/{digest}", "/v2/{name:path}/manifests/{reference}"
        return [
            self._route("GET", "/v2", self._ping),
            self._route("GET", "/v2/", self._ping),
            self._route("GET", "/v2/_catalog", self._catalogue),
            self._route("GET", "/v2/{name:path}/tags/list", self._tags),
            self._route("POST", uploads, self._start_upload),
            self._route("POST", uploads + "/", self._start_upload),
            self._route("GET", upload, self._upload_status),
            self._route("PATCH", upload, self._upload_chunk),
            self._route("PUT", upload, self._finish_upload),
            self._route("DELETE", upload, self._cancel_upload),
            self._route("GET", blob, self._blob),
            self._route("DELETE", blob, self._delete_blob),
            self._route("GET", manifest, self._manifest),
            self._route("PUT", manifest, self._put_manifest),
            self._route("DELETE", manifest, self._delete_manifest),
            self._route("GET", "/v2/{name:path}/referrers/{digest}", self._referrers),
        ]

    def _route(self, method: str, path: str, call: Callable[[Request], Awaitable[Response]]) -> Route:
        async def guarded(request: Request) -> Response:
            self._check(request)
            response = await call(request)
            response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
            return response

        return Route(path, guarded, methods=[method])

    def _check(self, request: Request) -> None:
        switches: Switches = request.scope["sandbox.switches"]
        if switches.registry_auth:
            grant = self._grants.get(_password(request))
            if grant is None:
                challenge = {"WWW-Authenticate": 'Basic realm="sandbox"'}
                raise RegistryError(401, "UNAUTHORIZED", "authentication required", headers=challenge)
            if grant.access == "read-only" and request.method not in ("GET", "HEAD"):
                raise RegistryError(403, "DENIED", "these credentials may only pull")
        name = request.path_params.get("name")
        if name is not None and not _NAME.fullmatch(name):
            raise RegistryError(400, "NAME_INVALID", "invalid repository name", {"name": name})

    async def _ping(self, request: Request) -> Response:
        return JSONResponse({})

    async def _catalogue(self, request: Request) -> Response:
        return _page(request, "/v2/_catalog", {}, "repositories", self._images.repositories())

    async def _tags(self, request: Request) -> Response:
        name = request.path_params["name"]
        tags = self._images.tags(name)
        if tags is None:
            raise RegistryError(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})
        return _page(request, f"/v2/{name}/tags/list", {"name": name}, "tags", tags)

    # Uploads

    async def _start_upload(self, request: Request) -> Response:
        name, query = request.path_params["name"], request.query_params
        mount, source = query.get("mount"), query.get("from")
        if mount and source and self._images.blob(source, mount):
            self._images.link_blob(name, mount)
            return _created(f"/v2/{name}/blobs/{mount}", mount)
        upload = self._images.start_upload()
        if "digest" in query:
            return await self._finish(request, upload)
        return self._upload_response(request, upload, 202)

    async def _upload_status(self, request: Request) -> Response:
        self._upload_file(request)
        return self._upload_response(request, request.path_params["upload"], 204)

    async def _upload_chunk(self, request: Request) -> Response:
        await _append(request, self._upload_file(request))
        return self._upload_response(request, request.path_params["upload"], 202)

    async def _finish_upload(self, request: Request) -> Response:
        self._upload_file(request)
        return await self._finish(request, request.path_params["upload"])

    async def _finish(self, request: Request, upload: str) -> Response:
        name, digest = request.path_params["name"], request.query_params.get("digest", "")
        if not _DIGEST.fullmatch(digest):
            raise RegistryError(400, "DIGEST_INVALID", "the digest is missing or not a sha256 digest", digest)
        file = self._images.upload(upload)
        if file is None:
            raise RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        await _append(request, file)
        if not await to_thread.run_sync(self._images.digest_matches, upload, digest):
            raise RegistryError(400, "DIGEST_INVALID", "the content has another digest", digest)
        self._images.finish_upload(name, upload, digest)
        return _created(f"/v2/{name}/blobs/{digest}", digest)

    async def _cancel_upload(self, request: Request) -> Response:
        self._upload_file(request).unlink()
        return Response(status_code=204)

    def _upload_file(self, request: Request) -> Path:
        file = self._images.upload(request.path_params["upload"])
        if file is None:
            raise RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return file

    def _upload_response(self, request: Request, upload: str, status: int) -> Response:
        file = self._images.upload(upload)
        size = file.stat().st_size if file else 0
        headers = {
            "Location": f"/v2/{request.path_params['name']}/blobs/uploads/{upload}",
            "Docker-Upload-UUID": upload,
            "Range": f"0-{max(size - 1, 0)}",
        }
        return Response(status_code=status, headers=headers)

    # Blobs

    async def _blob(self, request: Request) -> Response:
        name, digest = request.path_params["name"], request.path_params["digest"]
        headers = {"Docker-Content-Digest": digest}
        return FileResponse(self._blob_file(name, digest), headers=headers, media_type=_BYTES)

    async def _delete_blob(self, request: Request) -> Response:
        name, digest = request.path_params["name"], request.path_params["digest"]
        self._blob_file(name, digest)
        self._images.unlink_blob(name, digest)
        return Response(status_code=202)

    def _blob_file(self, name: str, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise RegistryError(400, "DIGEST_INVALID", "not a sha256 digest", digest)
        file = self._images.blob(name, digest)
        if file is None:
            raise RegistryError(404, "BLOB_UNKNOWN", "blob unknown to registry", digest)
        return file

    # Manifests

    async def _manifest(self, request: Request) -> Response:
        name, reference = request.path_params["name"], request.path_params["reference"]
        found = self._images.manifest(name, reference)
        if found is None:
            raise RegistryError(404, "MANIFEST_UNKNOWN", "manifest unknown", {"Tag": reference})
        headers = {"Docker-Content-Digest": found.digest, "ETag": f'"{found.digest}"'}
        return Response(found.content, headers=headers, media_type=found.media_type)

    async def _put_manifest(self, request: Request) -> Response:
        name, reference = request.path_params["name"], request.path_params["reference"]
        content = await request.body()
        digest = digest_of(content)
        if ":" in reference and reference != digest:
            raise RegistryError(400, "DIGEST_INVALID", "the content has another digest", reference)
        if ":" not in reference and not _TAG.fullmatch(reference):
            raise RegistryError(400, "TAG_INVALID", "the tag is not valid", reference)
        media_type = self._check_manifest(name, request.headers.get("content-type", ""), content)
        self._images.add_manifest(name, media_type, content, None if ":" in reference else reference)
        response = _created(f"/v2/{name}/manifests/{digest}", digest)
        if subject := json.loads(content).get("subject"):
            response.headers["OCI-Subject"] = subject["digest"]
        return response

    def _check_manifest(self, name: str, content_type: str, content: bytes) -> str:
        """The media type of a valid manifest whose parts all exist."""
        try:
            manifest = json.loads(content)
            media_type = content_type or manifest.get("mediaType", "")
            blobs = [manifest["config"], *manifest["layers"]] if "config" in manifest else []
            blob_digests = [blob["digest"] for blob in blobs if "urls" not in blob]
            children = [child["digest"] for child in manifest.get("manifests", [])]
            subject = manifest["subject"]["digest"] if manifest.get("subject") else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryError(400, "MANIFEST_INVALID", "not a manifest", str(error)) from error
        if media_type not in _MEDIA_TYPES or manifest.get("mediaType", media_type) != media_type:
            raise RegistryError(400, "MANIFEST_INVALID", "the media type is not supported", media_type)
        if subject is not None and not _DIGEST.fullmatch(str(subject)):  # it need not exist
            raise RegistryError(400, "MANIFEST_INVALID", "the subject has no sha256 digest", subject)
        missing: list[Any] = [digest for digest in blob_digests if not self._images.blob(name, digest)]
        missing += [digest for digest in children if not self._images.manifest(name, digest)]
        if missing:
            raise RegistryError(404, "MANIFEST_BLOB_UNKNOWN", "a part of the manifest is missing", missing)
        return media_type

    async def _delete_manifest(self, request: Request) -> Response:
        name, reference = request.path_params["name"], request.path_params["reference"]
        if self._images.manifest(name, reference) is None:
            raise RegistryError(404, "MANIFEST_UNKNOWN", "manifest unknown", {"Tag": reference})
        self._images.remove_manifest(name, reference)
        return Response(status_code=202)

    async def _referrers(self, request: Request) -> Response:
        """The manifests with this subject; none for an unknown one, as the specification demands."""
        name, digest = request.path_params["name"], request.path_params["digest"]
        if not _DIGEST.fullmatch(digest):
            raise RegistryError(400, "DIGEST_INVALID", "not a sha256 digest", digest)
        wanted = request.query_params.get("artifactType")
        found = [_descriptor(manifest) for manifest in self._images.referrers(name, digest)]
        index = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [one for one in found if wanted in (None, one["artifactType"])],
        }
        headers = {} if wanted is None else {"OCI-Filters-Applied": "artifactType"}
        return JSONResponse(index, headers=headers, media_type=OCI_INDEX)


def _descriptor(manifest: Manifest) -> dict[str, Any]:
    """The entry of a manifest in a list of referrers."""
    content = json.loads(manifest.content)
    config = content.get("config") or {}
    return {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.content),
        "artifactType": content.get("artifactType") or config.get("mediaType", ""),
        "annotations": content.get("annotations") or {},
    }


def elsewhere(registry: str) -> Route:
    """The route of an environment that has no registry: it refuses, and names the registry."""

    async def refuse(request: Request) -> Response:
        raise RegistryError(404, "UNSUPPORTED", f"the registry of this sandbox is {registry}")

    return Route("/v2{rest:path}", refuse, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])


_BYTES = "application/octet-stream"


def _password(request: Request) -> str:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _created(location: str, digest: str) -> Response:
    return Response(status_code=201, headers={"Location": location, "Docker-Content-Digest": digest})


def _page(request: Request, path: str, about: dict[str, str], key: str, names: list[str]) -> JSONResponse:
    """The page of names selected by `?n=` and `?last=`, with a link to the next one."""
    last, size = request.query_params.get("last", ""), request.query_params.get("n", "")
    remaining = [name for name in names if name > last]
    page = remaining[: int(size)] if size.isdecimal() else remaining
    headers = {}
    if page and len(page) < len(remaining):
        headers["Link"] = f'<{path}?n={size}&last={page[-1]}>; rel="next"'
    return JSONResponse({**about, key: page}, headers=headers)


async def _append(request: Request, file: Path) -> None:
    """Append a request's body to an upload; a Content-Range must start at the end of the upload."""
    size = file.stat().st_size
    content_range = re.fullmatch(
        r"(?:bytes[ =])?(\d+)-(\d+)(?:/.*)?", request.headers.get("content-range", f"{size}-0")
    )
    if content_range is None or int(content_range[1]) != size:
        headers = {"Range": f"0-{max(size - 1, 0)}"}
        raise RegistryError(416, "BLOB_UPLOAD_INVALID", "the chunk is out of order", headers=headers)
    with file.open("ab") as upload:
        async for chunk in request.stream():
            upload.write(chunk)
