"""Opens the store for a URL."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from state.errors import StoreUnavailableError
from state.stores.watcher import PATIENCE, Watcher

if TYPE_CHECKING:
    from state.stores.base import Store

_BUCKET = re.compile(r"(s3|gs|az)://([^/?#]+)")
_BUCKET_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SQLITE = "sqlite:///"


def open_store(url: str | None, *, patience: float = PATIENCE, watcher: Watcher | None = None) -> "Store":
    """The store for a URL. Files are opened on first use; a store that is only read never creates one.

    Args:
        url: a path, `sqlite:///relative/path`, `sqlite:////absolute/path`, a bucket (`s3://bucket/prefix`,
            `gs://bucket/prefix`, `az://container/prefix`), or None for the file in the user's state folder.
        patience: timeout of one bucket request in seconds, including retries.
        watcher: announces that a bucket does not respond.

    Raises:
        StoreUnavailableError: this version has no store for the URL.
    """
    from state.stores.sqlite import SqliteStore

    if not url:
        return SqliteStore(default_path())
    check_url(url)
    if _BUCKET.match(url):
        from state.stores.bucket import BucketStore
        from state.stores.objects import Objects

        return BucketStore(Objects(url, patience=patience, watcher=watcher))
    with _needs_home():
        return SqliteStore(Path(url.removeprefix(_SQLITE)).expanduser())


@contextmanager
def _needs_home() -> Iterator[None]:
    try:
        yield
    except RuntimeError:
        raise StoreUnavailableError(
            "the state file is in a home folder that does not exist",
            hint="set RECONCILER_STATE to an absolute path, or set HOME",
        ) from None


def default_path() -> Path:
    """The file in the user's state folder. Raises StoreUnavailableError without a home folder."""
    from platformdirs import user_state_path

    with _needs_home():
        return user_state_path("reconciler") / "state.db"


def state_files(url: str | None) -> tuple[Path, ...]:
    """The files that the store for a URL writes; none for a bucket, or if no store supports the URL."""
    try:
        if url:
            check_url(url)
            if _BUCKET.match(url):
                return ()
        with _needs_home():
            path = Path(url.removeprefix(_SQLITE)).expanduser() if url else default_path()
    except StoreUnavailableError:
        return ()
    return tuple(Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")) if path.name else ()


def check_url(url: str) -> None:
    """Check the form of a URL, offline.

    Raises:
        StoreUnavailableError: this version has no store for it. The message does not repeat the
            URL, which may contain a key.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", url)  # two letters at least: C:\state.db is a path
    if scheme is None:
        return
    if bucket := _BUCKET.match(url):
        if "@" in bucket[2] or re.search(r"[?#]", url):
            raise StoreUnavailableError(
                f"a {bucket[1]}:// URL consists of a bucket and a prefix, without login and options",
                hint="endpoint and credentials come from variables; see docs/reference/state.md",
            )
        if not _BUCKET_NAME.fullmatch(bucket[2]):
            raise StoreUnavailableError(
                f"a {bucket[1]}:// URL needs the name of a bucket, and this is none",
                hint=f"write letters, digits, dots and hyphens: {bucket[1]}://bucket/prefix",
            )
        prefix = url[bucket.end() :]
        parts = prefix[1:].removesuffix("/").split("/")
        if prefix not in ("", "/") and ({"", ".", ".."}.intersection(parts) or not prefix.isprintable()):
            raise StoreUnavailableError(
                f"the prefix of this {bucket[1]}:// URL has an empty part, . or .., or a control character",
                hint=f"write names with one slash between them: {bucket[1]}://bucket/prefix",
            )
        return
    if not url.removeprefix(_SQLITE) or not url.startswith(_SQLITE):
        raise StoreUnavailableError(
            f"no state store supports this {scheme[1]}:// URL",
            hint="use a path, sqlite:///relative/path, sqlite:////absolute/path, or a bucket: "
            "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix; "
            "without RECONCILER_STATE, reconciler uses the file in your state folder",
        )
