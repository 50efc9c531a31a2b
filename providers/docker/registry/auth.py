"""Who we are to a registry: the login that `docker login` stored, and the tokens that a login is worth.

The look-up is docker-py's, so that config.json, credential stores and credential helpers give what they
give to Docker. Passwords and tokens stay in memory, in this module; none is shown, logged or saved.
"""

import base64
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from providers.answers import MalformedAnswerError, json_object
from providers.docker.registry import error_mapping
from providers.docker.registry.reference import Repository, is_loopback
from providers.errors import PermanentError
from providers.http import origin, same_origin
from providers.regular_files import check_regular
from providers.timeouts import answer_timeout

# One parameter of a WWW-Authenticate header, with the scheme where it begins another challenge.
_PARAMETER = re.compile(r'(?:^|,)\s*(?:([A-Za-z]+)\s+)?([A-Za-z_]+)=(?:"([^"]*)"|([^\s,"]+))')
_HEADER = re.compile(r"[!-~]+")  # what can stand in an Authorization header after "Bearer "
_CLIENT = "picsellia-reconciler"
_DAY = 86_400  # seconds
_MARGIN = 10.0  # seconds before its end at which a token is no longer used
CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 60.0  # seconds between two bytes of an answer


@dataclass(frozen=True, slots=True)
class Login:
    """A user name with its password, or an identity token to be exchanged.

    Attributes:
        origin: the variable that it is from; "" when it was stored.
    """

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    origin: str = ""


def stored_entry(registry: str) -> dict[str, Any]:
    """What `docker login` stored for `registry` ("docker.io", "reg.io:5000"), as the Engine wants it.

    Honours DOCKER_CONFIG, `auths`, `credHelpers` and `credsStore`. May start a credential helper. Empty when
    nothing is stored.

    Raises:
        FinalError: the configuration or its credential helper does not work.
    """
    from docker import auth, errors
    from docker.credentials.errors import StoreError

    check_config()
    try:
        return dict(auth.load_config().resolve_authconfig(registry) or {})
    except (errors.DockerException, StoreError, ValueError, OSError, AttributeError, TypeError) as error:
        raise PermanentError(  # docker-py takes it for granted that what is JSON has the right shape
            f"the stored login for {registry} cannot be read: {type(error).__name__}: {error}",
            hint="check config.json in DOCKER_CONFIG or ~/.docker, and the credential helper that it names",
        ) from error


def check_config() -> None:
    """Raise FinalError if Docker's configuration is no regular file: docker-py would read it for ever."""
    from docker.utils.config import find_config_file

    found = find_config_file()
    file = str(found) if found is not None else None  # a path of any kind, by its annotation
    try:
        if file is not None:
            check_regular(file)
    except OSError as error:
        raise PermanentError(
            f"Docker's configuration {file} cannot be read: {error.strerror}",
            hint="name the folder of another one in DOCKER_CONFIG",
        ) from error


def stored_login(registry: str) -> Login | None:
    """The stored login for `registry`; None when there is none. Raises as `stored_entry`."""
    values = {key.lower(): value for key, value in stored_entry(registry).items()}
    if values.get("identitytoken"):
        return Login("<token>", identity_token=values["identitytoken"])
    if values.get("username"):
        return Login(values["username"], values.get("password") or "")
    return None


class Authorization:
    """Answers one registry's challenges, and remembers the answers per scope. Safe for threads.

    Args:
        repository: whose registry it is; named in errors.
        session: sends the requests to the token server.
        look_up: finds the stored login; called at most once, and only when the registry wants one.
    """

    def __init__(
        self,
        repository: Repository,
        session: requests.Session,
        look_up: Callable[[], Login | None],
    ) -> None:
        self._repository = repository
        self._session = session
        self._look_up = look_up
        self._login: Login | None = None
        self._looked_up = False
        self._basic: str | None = None
        self._token_server: Mapping[str, str] | None = None
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        self._lock = threading.RLock()

    @property
    def username(self) -> str | None:
        """Of the login in use, with the variable it is from; None when there is none or none was needed."""
        if self._login is None or not self._login.origin:
            return self._login.username if self._login else None
        return f"{self._login.username} ({self._login.origin})"

    def header(self, scopes: tuple[str, ...]) -> str | None:
        """The Authorization header to try first; None before the registry asked for one.

        Once its token server is known, a missing or ended token is fetched before the request: nobody wants
        to send a layer twice.

        Raises:
            ProviderError: the token server refused.
        """
        with self._lock:
            if self._token_server is None:
                return self._basic
            token, end = self._tokens.get(scopes, ("", 0.0))
            return f"Bearer {token}" if time.monotonic() < end else self._new_token(scopes)

    def answer(self, challenge: str, scopes: tuple[str, ...]) -> str | None:
        """The header that answers a WWW-Authenticate header; None when there is nothing to answer with.

        Raises:
            ProviderError: the token server refused, or the stored login cannot be read.
        """
        offered = challenges(challenge)
        with self._lock:
            if not self._looked_up:
                self._login = self._look_up()
                self._looked_up = True
            if offered.get("bearer", {}).get("realm"):
                self._token_server = offered["bearer"]
                return self._new_token(scopes)
            if "basic" in offered and self._login and not self._login.identity_token:
                self._basic = _basic(self._login)
                return self._basic
            return None

    def _new_token(self, scopes: tuple[str, ...]) -> str:
        assert self._token_server is not None
        token, _ = self._tokens[scopes] = self._token(self._token_server, scopes)
        return f"Bearer {token}"

    def _token(self, parameters: Mapping[str, str], scopes: tuple[str, ...]) -> tuple[str, float]:
        """A bearer token for `scopes`, and when (monotonic seconds) to stop using it."""
        realm, login = parameters["realm"], self._login
        self._refuse_open_line(realm)
        doing = f"fetching a token for {self._repository.path}"
        asked = time.monotonic()
        try:
            if login and login.identity_token:
                response = self._session.post(
                    realm,
                    data={
                        "grant_type": "refresh_token",
                        "client_id": _CLIENT,
                        "service": parameters.get("service", ""),
                        "scope": " ".join(scopes),
                        "refresh_token": login.identity_token,
                    },
                    timeout=(CONNECT_TIMEOUT, answer_timeout(READ_TIMEOUT)),
                )
            else:
                query = [("scope", scope) for scope in scopes]
                if "service" in parameters:
                    query.insert(0, ("service", parameters["service"]))
                response = self._session.get(
                    realm,
                    params=query,
                    auth=signed(_basic(login) if login else None, realm),
                    timeout=(CONNECT_TIMEOUT, answer_timeout(READ_TIMEOUT)),
                )
        except (requests.RequestException, ValueError) as error:
            raise error_mapping.from_exception(error, self._repository, doing, writing=False) from error
        if response.status_code != 200:
            raise error_mapping.from_answer(response, self._repository, doing, username=self.username)
        answer = _object(response)
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not _HEADER.fullmatch(token):
            raise PermanentError(f"the token server of {self._repository.registry} answered without a token")
        lifetime = answer.get("expires_in")
        seconds = float(min(max(lifetime, 0), _DAY)) if isinstance(lifetime, int | float) else 60.0
        return token, asked + max(seconds - _MARGIN, seconds / 2)

    def _refuse_open_line(self, realm: str) -> None:
        """A token is fetched over https, whatever a registry asks for, or else on this machine.

        There a login goes to the registry's own port only: on another one, anybody's program may listen.
        """
        there, here = origin(realm), origin(self._repository.url)
        registry = self._repository.registry
        if there is None or here is None:
            raise PermanentError(
                f"{registry} names an address for tokens that is not usable",
                hint="the administrator of the registry has to correct its realm",
            )
        if there.scheme == "https":
            return
        if not is_loopback(there.host):
            raise PermanentError(
                f"{registry} sends to {there} for a token: not https",
                hint="the registry's token server has to be reached over https",
            )
        if self._login is not None and not (self._repository.loopback and there.port == here.port):
            raise PermanentError(
                f"{registry} sends to {there} for a token: another port, and not https",
                hint="without https, a login is sent to the registry's own port only",
            )


def challenges(header: str) -> dict[str, dict[str, str]]:
    """The schemes that a WWW-Authenticate header offers, in lower case, with their parameters."""
    offered: dict[str, dict[str, str]] = {}
    found = _PARAMETER.findall(header)
    scheme = ""
    for begins, name, quoted, plain in found:
        scheme = begins.lower() or scheme
        offered.setdefault(scheme, {})[name.lower()] = quoted or plain
    return offered or ({header.strip().lower(): {}} if header.strip() else {})


def signed(header: str | None, home: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """An `auth` for requests that sets exactly this header, and keeps ~/.netrc from adding its own.

    Args:
        home: address of whom the header is for. A request that goes elsewhere is left without it.
    """

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if header and same_origin(request.url or "", home):
            request.headers["Authorization"] = header
        return request

    return sign


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def _object(response: requests.Response) -> dict[str, Any]:
    try:
        return json_object(response.content, dict)
    except MalformedAnswerError:
        return {}
