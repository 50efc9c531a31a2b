"""Authentication with a registry: the login stored by `docker login`, and the tokens requested with it.

docker-py reads the login, so config.json, credential stores and credential helpers work as with Docker.
Passwords and tokens stay in the memory of this module; none is shown, logged or saved.
"""

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from providers.answers import MalformedAnswerError, json_object
from providers.docker.registry import error_mapping, stored_logins
from providers.docker.registry.reference import Repository
from providers.errors import PermanentError, ProviderError
from providers.hiding import shortened
from providers.http import origin, same_origin
from providers.image_names import is_loopback, normal_registry
from providers.patterns import pattern
from providers.timeouts import answer_timeout

# One parameter of a WWW-Authenticate header, with the scheme if it starts a new challenge.
_PARAMETER = pattern(r'(?:^|,)\s*(?:([A-Za-z]+)\s+)?([A-Za-z_]+)=(?:"([^"]*)"|([^\s,"]+))')
_HEADER = pattern(r"[!-~]+")  # valid characters after "Bearer " in an Authorization header
_CLIENT = "picsellia-reconciler"
_DAY = 86_400  # seconds
_MARGIN = 10.0  # seconds before its expiry from which a token is not used any more
CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 60.0  # seconds between two bytes of a response


@dataclass(frozen=True, slots=True)
class Login:
    """A user name with its password, or an identity token to exchange.

    Attributes:
        origin: the environment variable it comes from; "" for a stored login.
    """

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    origin: str = ""


def stored_auth_config(registry: str, *, other_names: bool = True) -> dict[str, Any]:
    """The login stored for `registry` ("docker.io", "reg.io:5000"), in the format of the Docker Engine API.

    Honours DOCKER_CONFIG, `auths`, `credHelpers` and `credsStore`. May start a credential helper. Empty
    without a stored login.

    Docker stores a login under the name of `docker login`, so `REG.io:443` is no login for `reg.io` to it.

    Args:
        other_names: also look under the other names of this registry.

    Raises:
        PermanentError: the configuration or its credential helper does not work.
    """
    from docker.errors import DockerException

    try:
        config = stored_logins.stored_logins()
        names = (*config.auths, *config.cred_helpers) if other_names else ()
        others = (name for name in names if normal_registry(name) == registry)
        found = (config.resolve_authconfig(name) for name in (registry, *others))
        return dict(next(filter(None, found), {}))
    except (DockerException, ValueError) as error:
        raise PermanentError(
            f"the stored login for {registry} cannot be read: {error}",
            hint="check config.json in DOCKER_CONFIG or ~/.docker, and the credential helper that it names",
        ) from error


def stored_login(registry: str) -> Login | None:
    """The stored login for `registry`, or None. Raises as `stored_auth_config`."""
    values = {key.lower(): value for key, value in stored_auth_config(registry).items()}
    if values.get("identitytoken"):
        return Login("<token>", identity_token=values["identitytoken"])
    if values.get("username"):
        return Login(values["username"], values.get("password") or "")
    return None


class Authorization:
    """Answers one registry's challenges and caches tokens by scope. Thread-safe.

    Args:
        repository: a repository of the registry, for error messages.
        session: sends the requests to the token server.
        look_up: returns the login; called at most once, after the first challenge or 404.
        takes_variables: whether it also finds a login in variables.
    """

    def __init__(
        self,
        repository: Repository,
        session: requests.Session,
        look_up: Callable[[], Login | None],
        *,
        takes_variables: bool = True,
    ) -> None:
        self._takes_variables = takes_variables
        self._repository = repository
        self._session = session
        self._look_up = look_up
        self._login: Login | None = None
        self._looked_up = False
        self._challenge: str | None = None
        self._has_asked = False
        self._basic: str | None = None
        self._token_server: Mapping[str, str] | None = None
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        self._lock = threading.RLock()

    @property
    def username(self) -> str | None:
        """User name of the login in use, with the variable it comes from; None if no login is in use."""
        if self._login is None or not self._login.origin:
            return self._login.username if self._login else None
        return f"{self._login.username} ({self._login.origin})"

    def header(self, scopes: tuple[str, ...]) -> str | None:
        """The Authorization header to send first; None before the first challenge.

        Once the token server is known, a missing or expired token is fetched before the request, so no layer
        is sent twice.

        Raises:
            ProviderError: the token server refused.
        """
        with self._lock:
            if self._token_server is None:
                return self._basic
            token, expiry = self._tokens.get(scopes, ("", 0.0))
            return f"Bearer {token}" if time.monotonic() < expiry else self._new_token(scopes)

    def answer_challenge(self, challenge: str, scopes: tuple[str, ...]) -> str | None:
        """The Authorization header for a WWW-Authenticate header; None without a suitable login.

        Raises:
            ProviderError: the token server refused, or the stored login cannot be read.
        """
        schemes = parse_challenges(challenge)
        with self._lock:
            self._find_login()
            if schemes.get("bearer", {}).get("realm"):
                self._token_server = schemes["bearer"]
                return self._new_token(scopes)
            if "basic" in schemes and self._login and not self._login.identity_token:
                self._basic = _basic(self._login)
                return self._basic
            return None

    def challenge_of_registry(self) -> str | None:
        """The challenge of the registry's base URL; None without a login for it, or if it needs none.

        A registry may answer 404, and not 401, to requests without a login. It is asked once.

        Raises:
            ProviderError: the registry did not respond, or the stored login cannot be read.
        """
        with self._lock:
            if not self._has_asked and self._find_login() is not None:
                url = self._repository.base_url
                doing = f"asking {self._repository.registry} how to log in"
                try:
                    response = self._session.get(url, timeout=(CONNECT_TIMEOUT, answer_timeout(READ_TIMEOUT)))
                except (requests.RequestException, ValueError) as error:
                    raise error_mapping.from_exception(
                        error, self._repository, doing, writing=False
                    ) from error
                if response.status_code == 401 and same_origin(response.url, url):
                    self._challenge = response.headers.get("WWW-Authenticate", "")
                elif response.status_code == 429 or response.status_code >= 500:
                    raise self.refusal(response, doing)
                self._has_asked = True
            return self._challenge

    def _find_login(self) -> Login | None:
        if not self._looked_up:
            self._login = self._look_up()
            self._looked_up = True
        return self._login

    def refusal(self, response: requests.Response, doing: str) -> ProviderError:
        """The error for a refusing response of the registry or its token server."""
        return error_mapping.from_response(
            response,
            self._repository,
            doing,
            username=self.username,
            variable=self._login.origin if self._login else "",
            takes_variables=self._takes_variables,
        )

    def _new_token(self, scopes: tuple[str, ...]) -> str:
        assert self._token_server is not None
        token, _ = self._tokens[scopes] = self._fetch_token(self._token_server, scopes)
        return f"Bearer {token}"

    def _fetch_token(self, parameters: Mapping[str, str], scopes: tuple[str, ...]) -> tuple[str, float]:
        """A bearer token for `scopes`, and its last use in monotonic seconds."""
        realm, login = parameters["realm"], self._login
        self._check_realm(realm)
        doing = f"fetching a token for {self._repository.path}"
        start = time.monotonic()
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
                    auth=fixed_header(_basic(login) if login else None, realm),
                    timeout=(CONNECT_TIMEOUT, answer_timeout(READ_TIMEOUT)),
                )
        except (requests.RequestException, ValueError) as error:
            raise error_mapping.from_exception(error, self._repository, doing, writing=False) from error
        if not same_origin(response.url, realm):
            raise PermanentError(
                f"the token server of {self._repository.registry} redirects to another server when {doing}",
                hint="the administrator of the registry must name the server that has the tokens",
            )
        if response.status_code != 200:
            raise self.refusal(response, doing)
        body = _object(response)
        token = body.get("token") or body.get("access_token")
        if not isinstance(token, str) or not _HEADER.fullmatch(token):
            raise PermanentError(f"the token server of {self._repository.registry} returned no token")
        lifetime = body.get("expires_in")
        seconds = float(min(max(lifetime, 0), _DAY)) if isinstance(lifetime, int | float) else 60.0
        return token, start + max(seconds - _MARGIN, seconds / 2)

    def _check_realm(self, realm: str) -> None:
        """Refuse a token server without https, unless it is on this machine.

        There, a login is sent to the registry's own port only: any program may listen on another one.
        """
        server, registry_origin = origin(realm), origin(self._repository.url)
        registry = self._repository.registry
        if server is None or registry_origin is None:
            raise PermanentError(
                f"the token server's URL from {registry} is invalid",
                hint="the administrator of the registry must correct its realm",
            )
        if server.scheme == "https":
            return
        if not is_loopback(server.host):
            raise PermanentError(
                f"the token server {server} of {registry} does not use https",
                hint="the registry must use a token server with https",
            )
        if self._login is not None and not (
            self._repository.loopback and server.port == registry_origin.port
        ):
            raise PermanentError(
                f"the token server {server} of {registry} uses another port and no https",
                hint="without https, a login is sent to the registry's own port only",
            )


def parse_challenges(header: str) -> dict[str, dict[str, str]]:
    """The schemes of a WWW-Authenticate header, in lower case, with their parameters."""
    schemes: dict[str, dict[str, str]] = {}
    scheme = ""
    for new_scheme, name, quoted, plain in _PARAMETER.findall(header):
        scheme = new_scheme.lower() or scheme
        schemes.setdefault(scheme, {})[name.lower()] = quoted or plain
    return schemes or ({header.strip().lower(): {}} if header.strip() else {})


def fixed_header(
    header: str | None, url: str
) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """An `auth` for requests that sets exactly this header.

    Args:
        url: a URL of the server that the header is for. Requests to other origins do not get it.
    """

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if header and same_origin(request.url or "", url):
            request.headers["Authorization"] = header
        return request

    return authorize


def _basic(login: Login) -> str:
    """The header of a login, with the bytes of a variable that are no UTF-8. Raises PermanentError."""
    try:
        content = f"{login.username}:{login.password}".encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise PermanentError(
            f"the login of {shortened(login.username, 80)} has a character that cannot be sent",
            hint="store the login again",
        ) from None
    return f"Basic {base64.b64encode(content).decode()}"


def _object(response: requests.Response) -> dict[str, Any]:
    try:
        return json_object(response.content, dict)
    except MalformedAnswerError:
        return {}
