"""Docker's configuration and its credential helpers: whatever they contain, a typed value or one error.

docker-py finds the login for a registry among them, as Docker does. It checks no types, and has no timeout
for a helper, so it gets checked values and the helpers of this module.
"""

import base64
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from providers.answers import MalformedAnswerError, json_object
from providers.errors import PermanentError
from providers.programs import ProgramError, run_program
from providers.regular_files import read_regular
from providers.timeouts import answer_timeout

if TYPE_CHECKING:
    from docker.auth import AuthConfig

_HELPER_TIMEOUT = 60.0  # seconds; a helper may let a user unlock a key
_NOT_FOUND = "credentials not found in native keychain"
_REASONS = ("no credentials server URL", "no credentials username")
"""The other messages of the protocol. Nothing else that a helper prints is shown: it may be a password."""
_SECTIONS = ("auths", "credsStore", "credHelpers")
_LEGACY = ".dockercfg"


def read_config() -> dict[str, Any]:
    """The content of Docker's configuration; empty if there is none.

    Raises:
        PermanentError: it is not a regular file, or not a JSON object.
    """
    from docker.utils.config import find_config_file

    found = find_config_file()
    if found is None:
        return {}
    file = Path(str(found))  # its annotation allows any path type
    try:
        return json_object(read_regular(file), dict)
    except OSError as error:
        raise config_error(file, error.strerror or str(error)) from error
    except MalformedAnswerError as error:
        if file.name == _LEGACY:  # lines of text, which Docker does not read any more
            return {}
        raise config_error(file, str(error)) from error


def stored_logins() -> "AuthConfig":
    """docker-py's look-up of logins by registry.

    Its methods raise PermanentError if a credential helper does not work.

    Raises:
        PermanentError: as `read_config`, also for logins and helpers of another form than Docker's.
    """
    from docker import auth

    config = read_config()
    try:
        logins = _logins(config)
        store, helpers = config.get("credsStore") or "", config.get("credHelpers") or {}
        if not isinstance(store, str) or not _are_texts(helpers):
            raise ValueError("credsStore is not a text, or credHelpers not an object of texts")
    except ValueError as error:
        raise config_error("", str(error)) from error
    stores = {"credsStore": store} if store else {}
    found: Any = auth.AuthConfig({"auths": logins, "credHelpers": helpers, **stores})
    for name in filter(None, {store, *helpers.values()}):
        found._stores[name] = CredentialHelper(name)
    return found  # type: ignore[no-any-return]


def config_error(file: Path | str, problem: str) -> PermanentError:
    """The error for a configuration that cannot be used."""
    return PermanentError(
        f"Docker's configuration{f' {file}' if file else ''} cannot be read: {problem}",
        hint="correct config.json in DOCKER_CONFIG or ~/.docker, or set DOCKER_CONFIG to another folder",
    )


class CredentialHelper:
    """A program that stores logins, with the methods that docker-py calls.

    https://github.com/docker/docker-credential-helpers describes its protocol.
    """

    def __init__(self, name: str) -> None:
        self.program = f"docker-credential-{name}"

    def get(self, server: str) -> dict[str, str]:
        """The login for a registry, as `Username` and `Secret`.

        Raises:
            CredentialsNotFound: it has none.
            PermanentError: it does not work, or its answer is malformed.
        """
        from docker.credentials.errors import CredentialsNotFound

        answer = self._answer("get", server)
        username, secret = answer.get("Username"), answer.get("Secret")
        if not isinstance(username, str) or not isinstance(secret, str):
            raise self._error("its answer has no text as Username or as Secret")
        if not username and not secret:
            raise CredentialsNotFound(f"no login in {self.program}")
        return {"Username": username, "Secret": secret}

    def list(self) -> dict[str, str]:
        """The user name by registry. Raises PermanentError as `get`."""
        answer = self._answer("list", "")
        if not _are_texts(answer):
            raise self._error("its answer is not an object of texts")
        return answer

    def _answer(self, action: str, server: str) -> dict[str, Any]:
        from docker.credentials.errors import CredentialsNotFound

        try:
            program = shutil.which(self.program)
            if program is None:
                raise self._error("it is not installed, or not on the PATH")
            ended = run_program(
                [program, action],
                name=self.program,
                timeout=answer_timeout(_HELPER_TIMEOUT),
                input=server.encode("utf-8", "replace"),
            )
        except ProgramError as error:
            raise self._error(f"it {error}") from None
        except (OSError, ValueError) as error:  # ValueError: a name that no program can have
            raise self._error(f"it cannot be started: {getattr(error, 'strerror', None) or error}") from error
        if ended.returncode:
            said = ended.stdout.decode("utf-8", "replace").strip()
            if _NOT_FOUND in said:
                raise CredentialsNotFound(f"no login in {self.program}")
            raise self._error(said if said in _REASONS else f"it ended with exit code {ended.returncode}")
        try:
            return json_object(ended.stdout, dict)
        except MalformedAnswerError:  # without its reason, which may quote a password
            raise self._error("its answer is not a JSON object") from None

    def _error(self, problem: str) -> PermanentError:
        return PermanentError(
            f"the credential helper {self.program} does not work: {problem}",
            hint="correct it, or remove it from credsStore and credHelpers in Docker's config.json; what "
            f"it prints is not shown, as it may be a password: to see it, run echo HOST | {self.program} get",
        )


def _logins(config: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The logins in a configuration, in docker-py's form. Raises ValueError."""
    entries = config.get("auths")
    if not any(config.get(section) for section in _SECTIONS):  # a file of logins alone, as before Docker 1.7
        entries = {
            name: entry for name, entry in config.items() if isinstance(entry, dict) and "auth" in entry
        }
    if entries is None:
        return {}
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise ValueError("auths is not an object of objects")
    return {name: _login(name, entry) for name, entry in entries.items()}


def _login(name: str, entry: Mapping[str, Any]) -> dict[str, str]:
    token, encoded = entry.get("identitytoken") or "", entry.get("auth") or ""
    if not _are_texts({"identitytoken": token, "auth": encoded}):
        raise ValueError(f"the login for {name} is not a text")
    if token:
        return {"IdentityToken": token}
    if not encoded:
        return {}  # of a credential helper
    try:
        username, separator, password = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        separator = ""
    if not separator:
        raise ValueError(f"the login for {name} is not USER:PASSWORD in base64")
    return {"username": username, "password": password, "serveraddress": name}


def _are_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
