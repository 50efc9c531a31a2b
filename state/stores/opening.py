"""Which store a URL names."""

import re
from pathlib import Path

from state.errors import StoreUnavailableError
from state.stores.base import Store


def open_store(url: str | None, *, patience: float | None = None) -> Store:
    """The store that this URL names. Opens nothing yet: a store that is only read from never makes a file.

    Args:
        url: a path, `sqlite:///relative/path`, `sqlite:////absolute/path`, a bucket (`s3://bucket/prefix`,
            `gs://bucket/prefix`, `az://container/prefix`), or None for the file in the user's own state
            folder.
        patience: seconds that one request to a bucket may take, its repeats included; None for the usual.

    Raises:
        StoreUnavailableError: the URL names no kind of store that this version has.
    """
    from state.stores.sqlite import SqliteStore

    if not url:
        from platformdirs import user_state_path

        return SqliteStore(user_state_path("reconciler") / "state.db")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", url)  # two letters at least: C:\state.db is a path
    if scheme is None:
        return SqliteStore(Path(url).expanduser())
    if bucket := re.match(r"(s3|gs|az)://([^/?#]+)", url):
        if "@" in bucket[2] or re.search(r"[?#]", url):
            raise StoreUnavailableError(  # and not with the URL, as there may be a key in it
                f"a {bucket[1]}:// URL is a bucket and a prefix, with no login and no options in it",
                hint="endpoint and credentials come from variables; see docs/reference/state.md",
            )
        from state.stores.bucket import BucketStore
        from state.stores.objects import PATIENCE, Objects

        return BucketStore(Objects(url, patience=patience or PATIENCE))
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        raise StoreUnavailableError(
            f"there is no state store for {scheme[1]}:// URLs like this one",
            hint="give a path, sqlite:///relative/path, sqlite:////absolute/path, or a bucket: "
            "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix; "
            "without RECONCILER_STATE the file in your own state folder is used",
        )
    return SqliteStore(Path(path).expanduser())
