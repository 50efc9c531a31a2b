"""The registry's storage: blobs as files, manifests and tags in the sandbox's database.

Content is addressed by its digest (sha256); a repository contains only content pushed or mounted into it.
Independent of HTTP.
"""

import gzip
import hashlib
import io
import json
import shutil
import sqlite3
import tarfile
import uuid
from dataclasses import dataclass
from pathlib import Path

BASE_REPOSITORY = "base/python"
BASE_TAG = "3.11"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Manifest:
    """A manifest or an index, exactly as pushed."""

    digest: str
    media_type: str
    content: bytes


def digest_of(content: bytes) -> str:
    """The digest of `content`: `sha256:…`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Images:
    """The repositories.

    Args:
        database: from `store.open_database`; the caller closes it.
        folder: the folder for blobs and unfinished uploads.
    """

    def __init__(self, database: sqlite3.Connection, folder: Path) -> None:
        self._database = database
        self._blobs = folder / "blobs"
        self._uploads = folder / "uploads"
        self._make_folders()

    def clear(self) -> None:
        """Remove every repository, every blob and every unfinished upload."""
        for table in ("manifests", "tags", "blobs"):
            self._database.execute(f"DELETE FROM {table}")
        shutil.rmtree(self._blobs)
        shutil.rmtree(self._uploads)
        self._make_folders()

    def _make_folders(self) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._uploads.mkdir(parents=True, exist_ok=True)

    # Blobs

    def blob(self, repository: str, digest: str) -> Path | None:
        """The file of a blob in this repository, or None."""
        query = "SELECT 1 FROM blobs WHERE repository = ? AND digest = ?"
        row = self._database.execute(query, (repository, digest)).fetchone()
        return self._blob_file(digest) if row else None

    def link_blob(self, repository: str, digest: str) -> None:
        """Add an existing blob to a repository."""
        self._database.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (repository, digest))

    def unlink_blob(self, repository: str, digest: str) -> None:
        """Remove a blob from a repository; the file stays, as other repositories may contain it."""
        query = "DELETE FROM blobs WHERE repository = ? AND digest = ?"
        self._database.execute(query, (repository, digest))

    def add_blob(self, repository: str, content: bytes) -> str:
        """Add a blob. Returns its digest."""
        digest = digest_of(content)
        self._blob_file(digest).write_bytes(content)
        self.link_blob(repository, digest)
        return digest

    def _blob_file(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    # Uploads

    def start_upload(self) -> str:
        """Start an upload. Returns its id."""
        upload = str(uuid.uuid4())
        (self._uploads / upload).touch()
        return upload

    def upload(self, upload: str) -> Path | None:
        """The file of an unfinished upload, or None."""
        file = self._uploads / upload
        return file if file.is_file() else None

    def digest_matches(self, upload: str, digest: str) -> bool:
        """Whether an upload's content has this digest. Reads the whole file; safe in any thread."""
        with (self._uploads / upload).open("rb") as content:
            return digest == "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()

    def finish_upload(self, repository: str, upload: str, digest: str) -> None:
        """Turn an upload with a verified digest into a blob."""
        (self._uploads / upload).replace(self._blob_file(digest))
        self.link_blob(repository, digest)

    # Manifests and tags

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """The manifest under a tag or a digest, or None."""
        digest = reference if ":" in reference else self._tag_digest(repository, reference)
        query = "SELECT digest, media_type, content FROM manifests WHERE repository = ? AND digest = ?"
        row = self._database.execute(query, (repository, digest)).fetchone()
        return Manifest(*row) if row else None

    def _tag_digest(self, repository: str, tag: str) -> str | None:
        query = "SELECT digest FROM tags WHERE repository = ? AND tag = ?"
        row = self._database.execute(query, (repository, tag)).fetchone()
        return row[0] if row else None

    def add_manifest(self, repository: str, media_type: str, content: bytes, tag: str | None) -> str:
        """Add a manifest and point a tag to it. Returns the digest."""
        digest = digest_of(content)
        row = (repository, digest, media_type, content)
        self._database.execute("INSERT OR REPLACE INTO manifests VALUES (?, ?, ?, ?)", row)
        if tag is not None:
            self._database.execute("INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", (repository, tag, digest))
        return digest

    def referrers(self, repository: str, digest: str) -> list[Manifest]:
        """The manifests of the repository whose subject is this digest, sorted by their own digest."""
        query = (
            "SELECT digest, media_type, content FROM manifests WHERE repository = ?"
            " AND json_extract(CAST(content AS TEXT), '$.subject.digest') = ? ORDER BY digest"
        )
        return [Manifest(*row) for row in self._database.execute(query, (repository, digest))]

    def remove_manifest(self, repository: str, reference: str) -> None:
        """Remove a tag, or for a digest the manifest with all its tags."""
        column = "digest" if ":" in reference else "tag"
        tables = ("tags", "manifests") if column == "digest" else ("tags",)
        for table in tables:
            query = f"DELETE FROM {table} WHERE repository = ? AND {column} = ?"
            self._database.execute(query, (repository, reference))

    def tags(self, repository: str) -> list[str] | None:
        """The tags of a repository, sorted; None if the repository does not exist."""
        query = "SELECT tag FROM tags WHERE repository = ? ORDER BY tag"
        found = [tag for (tag,) in self._database.execute(query, (repository,))]
        return found if found or repository in self.repositories() else None

    def repositories(self) -> list[str]:
        """The repositories with a manifest, sorted."""
        query = "SELECT DISTINCT repository FROM manifests ORDER BY repository"
        return [name for (name,) in self._database.execute(query)]


def seed_base_image(images: Images, repository: str = BASE_REPOSITORY, tag: str = BASE_TAG) -> str:
    """Add a tiny base image, identical on every machine, to the registry. Returns the manifest's digest.

    It has three layers of a few bytes each and a config for linux/amd64. Images can be built on it and
    pushed, but it contains no Python and nothing in it runs.
    """
    trees = (
        {"etc/os-release": b'ID=sandbox\nPRETTY_NAME="Sandbox"\n'},
        {"usr/local/bin/python": b"#!/bin/sh\necho Python 3.11.0\n"},
        {"etc/pip.conf": b"[global]\nno-cache-dir = true\n"},
    )
    layers, diff_ids = [], []
    for tree in trees:
        archive = _archive(tree)
        # Uncompressed, as compressors differ between machines, and so would the digests.
        packed = gzip.compress(archive, compresslevel=0, mtime=0)
        digest = images.add_blob(repository, packed)
        layers.append({"mediaType": _OCI_LAYER, "digest": digest, "size": len(packed)})
        diff_ids.append(digest_of(archive))
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
            "Cmd": ["python3"],
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": f"ADD {next(iter(t))}"} for t in trees],
    }
    packed = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": _OCI_CONFIG,
            "digest": images.add_blob(repository, packed),
            "size": len(packed),
        },
        "layers": layers,
    }
    return images.add_manifest(repository, OCI_MANIFEST, json.dumps(manifest).encode(), tag)


def _archive(tree: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in tree.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
