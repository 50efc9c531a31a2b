"""The official CLI's own files: `.env` with the tokens, and `context.json` with the login in use.

Formats as of picsellia-pipelines-cli 0.7.6, `utils/env_utils.py`. Other entries of `.env` are kept, and both
files are readable by their owner only.
"""

import json
from collections.abc import Collection
from pathlib import Path

from msgspec import Struct

from providers.ascii_case import ascii_upper
from providers.patterns import pattern
from providers.regular_files import home_folder, read_regular
from reconciler.core.diagnostics import UserError, error
from reconciler.core.platforms import CUSTOM, HOSTS
from reconciler.credentials.env_file import values_of, with_values
from reconciler.credentials.environment import host_variable
from reconciler.system.files import locked, replace_file

_PRIVATE = 0o600
_TOKEN_KEY = pattern(r"PICSELLIA_(?P<organization>.+)_(?P<environment>[^_]+)_API_TOKEN")
_HOST_KEY = pattern(host_variable("([^_]+)"))


class Login(Struct, frozen=True, order=True):
    """An organization in an environment, with a saved token."""

    organization: str
    environment: str

    def __str__(self) -> str:
        return f"{self.organization}@{self.environment}"

    @property
    def key(self) -> str:
        """The name of its token in the file and of its environment variable."""
        return f"PICSELLIA_{self.organization}_{self.environment}_API_TOKEN"


def folder() -> Path:
    """The folder of the official CLI's files."""
    return home_folder() / ".config" / "picsellia"


def credentials_file() -> Path:
    return folder() / ".env"


def context_file() -> Path:
    return folder() / "context.json"


def entries() -> dict[str, str]:
    """The entries of the credentials file; none if it does not exist.

    Raises:
        UserError: the file exists and cannot be read.
    """
    return values_of(_text())


def context() -> dict[str, str]:
    """The organization and environment that the last login or switch saved; empty if there is none.

    Raises:
        UserError: the file exists and cannot be read. A broken file must not silently mean PROD.
    """
    try:
        content = json.loads(read_regular(context_file()))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as problem:
        raise UserError(
            error(
                "the saved context cannot be read",
                f"{problem}. Use --organization and --env, or log in again: reconciler login",
                file=context_file(),
            )
        ) from None
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if isinstance(value, str)}


def logins() -> list[Login]:
    """Every login with a saved token, sorted."""
    known, matches = environments(), [_TOKEN_KEY.fullmatch(key) for key in entries()]
    found = (Login(one["organization"], one["environment"]) for one in matches if one)
    return sorted(login for login in found if login.environment in known)


def environments() -> list[str]:
    """The environments that a login can be saved for: those with a fixed or a saved address, and CUSTOM."""
    matches = (_HOST_KEY.fullmatch(key) for key in entries())
    return list(dict.fromkeys((*HOSTS, CUSTOM, *sorted(one[1] for one in matches if one))))


def current() -> Login | None:
    """The login in use, even if its token is no longer saved; None if you are not logged in."""
    values = context()
    if not {"organization", "env"} <= values.keys() or ascii_upper(values["env"]) not in environments():
        return None
    return Login(values["organization"], ascii_upper(values["env"]))


def save(login: Login, token: str, host: str | None = None) -> None:
    """Save this token, and use this login from now on.

    Args:
        host: the address of an environment without a fixed one; all its logins share it.

    Raises:
        UserError: the file cannot be read, or cannot hold these values; it is unchanged.
        BusyError: another run is writing it.
        OSError: it cannot be written.
    """
    changes: dict[str, str | None] = {login.key: token}
    if host is not None:
        changes[host_variable(login.environment)] = host
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(credentials_file(), timeout=10):
        _write(changes)
        _use(login)


def use(login: Login) -> None:
    """Use this login from now on. Raises OSError or BusyError."""
    with locked(credentials_file(), timeout=10):
        _use(login)


def forget(removed: Collection[Login]) -> None:
    """Remove these tokens, and log out if the login in use is one of them. Raises like `save`."""
    with locked(credentials_file(), timeout=10):
        if any(login.key in entries() for login in removed):
            _write({login.key: None for login in removed})
        if current() in removed:
            context_file().unlink(missing_ok=True)


def _use(login: Login) -> None:
    content = json.dumps({"organization": login.organization, "env": login.environment})
    replace_file(context_file(), content.encode(), mode=_PRIVATE)


def _write(changes: dict[str, str | None]) -> None:
    try:
        after = with_values(_text(), changes)
    except ValueError as problem:
        raise UserError(
            error("the login cannot be saved", f"{problem}. Nothing was changed.", file=credentials_file())
        ) from None
    replace_file(credentials_file(), after.encode(), mode=_PRIVATE)


def _text() -> str:
    try:
        return read_regular(credentials_file()).decode()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(
            error(
                "the credentials file cannot be read",
                f"{problem}. Repair the file, or delete it and log in again: reconciler login",
                file=credentials_file(),
            )
        ) from None
