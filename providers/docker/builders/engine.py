"""The builder for a Docker Engine, through its API. Does not require the Docker command line.

The Engine's API builds with its legacy builder, so Dockerfiles that require BuildKit are refused before the
build, with the lines that do. The context is filtered and streamed; nothing is written to this machine's
disk.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from providers.docker.builders.build_errors import build_error, plain_text, push_error
from providers.docker.builders.build_log import BuildLog, build_log
from providers.docker.builders.builder_requirements import refuse_settings, require_dockerfile
from providers.docker.builders.command_line import Probe
from providers.docker.builders.progress_events import object_in, size_in, text_in
from providers.docker.registry import auth, logins, stored_logins
from providers.docker.registry.reference import UPLOAD_TAG, Repository, check_tag, is_digest, parse_repository
from providers.docker.source.archive import archive
from providers.docker.source.dockerfile_features import needs_buildkit
from providers.docker.source.key import ImageSource, context, dockerfile
from providers.errors import (
    PermanentError,
    ProviderError,
    RefusedError,
    TransientError,
    UnexpectedError,
)
from providers.image_names import is_loopback
from providers.patterns import pattern
from providers.protocol import Progress, Report

_PING_TIMEOUT = 10  # seconds
_PROGRESS_TIMEOUT = 600  # seconds without progress until a build or a push fails
_LAYER_END = ("Pushed", "Layer already exists", "Mounted from", "Pull complete", "Already exists")
_STEP = pattern(r"Step ([0-9]{1,9})/([0-9]{1,9}) : (.*)")


class EngineBuilder:
    """Builds with the Docker Engine of DOCKER_HOST, of the Docker context, or at the default socket."""

    name = "engine"
    label = "the Docker Engine"

    def __init__(self, source: ImageSource, reason: str) -> None:
        self.reason = reason
        self._source = source

    def check(self) -> None:
        """Check that the Engine is running and supports the Dockerfile.

        Raises:
            RefusedError: the Dockerfile is missing or requires BuildKit.
            TransientError: no Engine is running.
            PermanentError: this user may not use the Engine.
        """
        _check_source(self._source)
        with _engine(_PING_TIMEOUT):
            pass

    def publish(
        self, source: ImageSource, repository: str, tag: str, labels: Mapping[str, str], report: Report
    ) -> str:
        """Build the Dockerfile and push the image. Returns its digest.

        The image stays in the Engine under that tag, as after `docker build`.

        Raises:
            RefusedError: a step failed, with the step and the last lines of its output.
            ProviderError: an error of the Engine or the registry.
        """
        check_tag(tag)
        _check_source(source)
        target = parse_repository(repository)
        with _engine(_PROGRESS_TIMEOUT) as api, build_log(f"{target}-{tag}", (), report) as log:
            _log_in(api, target)
            _build(api, source, f"{target}:{tag}", labels, log, report)
        return push(target, tag, report)


def _check_source(source: ImageSource) -> None:
    """Refuse a source without a Dockerfile, or with features that the Engine's own builder lacks."""
    recipe = require_dockerfile(source, "an Engine")
    refuse_settings(source, "the Docker Engine's own builder", "secrets", "cache_to", "sbom")
    unsupported = needs_buildkit(recipe.decode("utf-8", "replace"))
    if unsupported:
        raise RefusedError(
            f"the Docker Engine's own builder does not support these parts of {source.dockerfile}: "
            + "; ".join(f"line {line}: {text}" for line, text in unsupported),
            hint="install docker buildx, or rewrite these lines",
        )


def probe() -> Probe:
    """Whether a Docker Engine is usable. Only requests its version."""
    try:
        with _engine(_PING_TIMEOUT):
            return Probe(True, "a Docker Engine is running")
    except TransientError:
        return Probe(False, "no Docker Engine is running")
    except ProviderError as problem:
        return Probe(False, problem.message)


@contextmanager
def _engine(timeout: int) -> Iterator[Any]:
    """docker-py's low-level client, with errors translated to those of `providers.errors`.

    Args:
        timeout: seconds between two bytes of a response (a build may be silent for longer).
    """
    import docker
    import requests

    logins_by_registry = stored_logins.stored_logins()
    try:
        client = docker.from_env(timeout=timeout)
        api: Any = client.api
        api._auth_configs = logins_by_registry  # its own have no timeout for a credential helper
        if is_loopback(urlsplit(api.base_url).hostname or ""):
            api.trust_env = False  # a proxy would read the logins
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise _no_engine(error) from error
    except (ValueError, LookupError, AttributeError, TypeError) as error:  # it reads more than the logins
        raise stored_logins.config_error("", f"{type(error).__name__}: {error}") from error
    try:
        yield api
    except docker.errors.APIError as error:
        raise build_error(str(error.explanation or error), "the Docker Engine refused") from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise TransientError(
            f"the connection to the Docker Engine broke: {type(error).__name__}",
            hint="is it still running?",
            outcome_unknown=True,
        ) from error
    finally:
        client.close()


def _no_engine(error: Exception) -> ProviderError:
    text = str(error)
    if "Permission denied" in text or "PermissionError" in text:
        return PermanentError(
            "this user may not use the Docker Engine",
            hint='add the user to the group "docker" and log in again, or build with builder = "append"',
        )
    if "context" in text.lower() and "not found" in text.lower():
        return PermanentError(f"the Docker context is not usable: {text}", hint="see `docker context ls`")
    return TransientError(
        "no Docker Engine is running", hint='start Docker, or build without it: builder = "append", and base'
    )


def push(target: Repository, tag: str, report: Report) -> str:
    """Push the Engine's image of this name and tag under `UPLOAD_TAG`. Returns its digest.

    An Engine cannot push without a tag, and it overwrites an existing tag without a check.

    Raises:
        ProviderError: an error of the Engine or the registry.
    """
    from docker import errors

    digest, problem = "", None
    with _engine(_PROGRESS_TIMEOUT) as api:
        login = logins.push_auth_config(target.registry)
        api.tag(f"{target}:{tag}", str(target), UPLOAD_TAG, force=True)
        lines = api.push(str(target), tag=UPLOAD_TAG, stream=True, decode=True, auth_config=login)
        for line in _events(lines):
            if "error" in line:
                problem = _message(line)
            digest = text_in(object_in(line, "aux"), "Digest") or digest
            if text := plain_text(text_in(line, "status")):
                _report_layer(line, "push", text, report)
        with suppress(errors.APIError):  # a concurrent build may have removed it
            api.remove_image(f"{target}:{UPLOAD_TAG}", noprune=True)
    if problem is not None:
        raise push_error(problem, target)
    if not is_digest(digest):
        raise UnexpectedError(
            f"the Docker Engine pushed {target}:{tag} but did not report its digest",
            hint="run again; published images are not rebuilt",
        )
    return digest


def _log_in(api: Any, target: Repository) -> None:
    """Use a login from environment variables, for builds with a base image in that registry.

    The client keeps it in memory.
    """
    login = logins.environment_login()
    if login is not None and not auth.stored_auth_config(target.registry):
        api.login(login.username, login.password, registry=target.registry)


def _build(
    api: Any, source: ImageSource, name: str, labels: Mapping[str, str], log: BuildLog, report: Report
) -> None:
    lines = api.build(
        fileobj=_context(source, report),
        custom_context=True,
        dockerfile=source.dockerfile,
        tag=name,
        labels=dict(labels),
        platform=source.platform,
        buildargs=dict(source.build_args),
        target=source.target or "",
        cache_from=list(source.cache_from),
        rm=True,
        forcerm=True,
        decode=True,
    )
    step, problem = "", None
    for line in _events(lines):  # read to the end even after an error, to release the connection
        if "error" in line:
            problem = _message(line)
            continue
        text = plain_text(text_in(line, "stream") or text_in(line, "status"))
        if match := _STEP.match(text):
            step, count, instruction = match.groups()
            log.step(step, instruction, number=int(step), count=int(count))
        elif "id" in line:
            _report_layer(line, "build", text, report)
        else:
            log.line(text, step)
    if problem is not None:
        raise log.step_error(problem, step)


def _context(source: ImageSource, report: Report) -> Iterator[bytes]:
    """The tar of the context. Errors occur on the call, before a request with the build arguments is sent."""
    entries = context(source)
    extra = _files_hidden_from_copy(source, {entry.path for entry in entries})
    return _report_sent(archive(source, entries, extra=extra, report=report), report)


def _report_sent(chunks: Iterator[bytes], report: Report) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        report(Progress("build", "context", "sending the folder", done))


def _files_hidden_from_copy(source: ImageSource, paths: set[str]) -> dict[str, bytes]:
    """Files that the Engine needs beside the context, invisible to COPY.

    The Engine reads the Dockerfile from the context and then applies .dockerignore to both files. So an
    ignored Dockerfile is sent with a .dockerignore that lists both.
    """
    if source.dockerfile in paths:
        return {}
    extra = {source.dockerfile: dockerfile(source) or b""}
    if ".dockerignore" not in paths:
        escaped = re.sub(r"([*?\[\]\\])", r"\\\1", source.dockerfile)
        extra[".dockerignore"] = f".dockerignore\n{escaped}\n".encode()
    return extra


def _report_layer(line: Mapping[str, Any], stage: str, text: str, report: Report) -> None:
    """Report transferred bytes of a layer, and its end once confirmed by the Engine; not queued layers."""
    item, detail = text_in(line, "id"), object_in(line, "progressDetail")
    done, total = size_in(detail, "current"), size_in(detail, "total")
    if text.startswith(_LAYER_END):
        done = total = total or 0
    elif item and (done is None or (total and done >= total)):
        return
    report(Progress(stage, item, text, done, total))


def _message(line: Mapping[str, Any]) -> str:
    return plain_text(text_in(object_in(line, "errorDetail"), "message") or text_in(line, "error"))


def _events(lines: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    """The events that an Engine streams. Anything else is left out, as progress is no reason to end a build.

    Raises:
        UnexpectedError: they are not JSON.
    """
    from docker.errors import StreamParseError

    try:
        yield from (line for line in lines if isinstance(line, dict))
    except (StreamParseError, RecursionError, ValueError) as error:
        raise UnexpectedError("the Docker Engine's answer cannot be read") from error
