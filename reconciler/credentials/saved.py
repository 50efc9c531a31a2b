"""The official CLI's own files: the tokens in `.env`, and in `context.json` which login is in use.

Formats as of picsellia-pipelines-cli 0.7.6, `utils/env_utils.py`. What else stands in `.env` stays as it is,
and both files are readable by their owner only.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from providers.regular_files import read_regular
from reconciler.core.diagnostics import UserError, error
from reconciler.credentials.env_file import values_of, with_values
from reconciler.credentials.environment import CUSTOM_HOST, Environment
from reconciler.system.files import locked, replace_file

_PRIVATE = 0o600
_TOKEN_KEY = re.compile(rf"PICSELLIA_(?P<organization>.+)_(?P<environment>{'|'.join(Environment)})_API_TOKEN")


@dataclass(frozen=True, slots=True, order=True)
class Login:
    """An organization of an environment that a token is saved for."""

    organization: str
    environment: Environment

    def __str__(self) -> str:
        return f"{self.organization}@{self.environment}"

    @property
    def key(self) -> str:
        """The name of its token, in the file and as a variable."""
        return f"PICSELLIA_{self.organization}_{self.environment}_API_TOKEN"


def folder() -> Path:
    """Where the official CLI keeps its files."""
    return Path.home() / ".config" / "picsellia"


def credentials_file() -> Path:
    return folder() / ".env"


def context_file() -> Path:
    return folder() / "context.json"


def entries() -> dict[str, str]:
    """What the credentials file says. Raises UserError when there is one that cannot be read."""
    return values_of(_text())


def context() -> dict[str, str]:
    """What the last login or switch saved; a broken file must not silently mean PROD.

    Raises:
        UserError: there is one, and it cannot be read.
    """
    try:
        said = json.loads(read_regular(context_file()))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as problem:
        raise UserError(
            error(
                "the saved context cannot be read",
                f"{problem}. Use --organization and --env, or log in again: reconciler login",
                file=context_file(),
            )
        ) from None
    if not isinstance(said, dict):
        return {}
    return {key: value for key, value in said.items() if isinstance(value, str)}


def logins() -> list[Login]:
    """Every login that a token is saved for, in order."""
    found = (_TOKEN_KEY.fullmatch(key) for key in entries())
    return sorted(Login(one["organization"], Environment(one["environment"])) for one in found if one)


def current() -> Login | None:
    """The login in use, whether its token is still saved or not; None when nobody is logged in."""
    said = context()
    try:
        return Login(said["organization"], Environment(said["env"].upper()))
    except (KeyError, ValueError):
        return None


def save(login: Login, token: str, host: str | None = None) -> None:
    """Keep this token, and use this login from now on.

    Args:
        host: the address of CUSTOM, of which there is one for all logins.

    Raises:
        UserError: the file cannot be read, or cannot hold these values; it is as it was.
        BusyError: another run is writing it.
        OSError: it cannot be written.
    """
    changes: dict[str, str | None] = {login.key: token}
    if host is not None:
        changes[CUSTOM_HOST] = host
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(credentials_file(), timeout=10):
        _write(changes)
        _use(login)


def use(login: Login) -> None:
    """Use this login from now on. Raises OSError or BusyError."""
    with locked(credentials_file(), timeout=10):
        _use(login)


def forget(gone: Collection[Login]) -> None:
    """Take these tokens out, and leave the login in use if it is one of them. Raises as `save`."""
    with locked(credentials_file(), timeout=10):
        if any(login.key in entries() for login in gone):
            _write({login.key: None for login in gone})
        if current() in gone:
            context_file().unlink(missing_ok=True)


def _use(login: Login) -> None:
    said = json.dumps({"organization": login.organization, "env": login.environment.value})
    replace_file(context_file(), said.encode(), mode=_PRIVATE)


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
                f"{problem}. Mend it, or remove it and log in again: reconciler login",
                file=credentials_file(),
            )
        ) from None
