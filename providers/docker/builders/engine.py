"""The builder that asks a Docker Engine, through its API: no Docker command line is needed.

The Engine's own API builds with its legacy builder, so Dockerfiles that want BuildKit are refused by name
before anything is built. The context is filtered here and streamed; nothing is written to this disk.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from providers.docker.builders.build_errors import failure, plain, push_failure
from providers.docker.builders.build_log import BuildLog, build_log
from providers.docker.builders.builder_requirements import need_dockerfile, refuse_settings
from providers.docker.builders.command_line import Probe
from providers.docker.registry import auth, logins
from providers.docker.registry.reference import UPLOAD_TAG, Repository, check_tag, is_digest, parse_repository
from providers.docker.source.archive import archive
from providers.docker.source.dockerfile_features import needs_buildkit
from providers.docker.source.key import ImageSource, context, dockerfile
from providers.errors import PermanentError, ProviderError, RefusedError, TransientError
from providers.protocol import Progress, Report

_ANSWER = 10  # seconds for the Engine to say that it is there
_SILENCE = 600  # seconds without a word of progress after which a push is given up
_ENDED = ("Pushed", "Layer already exists", "Mounted from", "Pull complete", "Already exists")  # of a layer
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
_INSTEAD = 'start Docker, or build without it: builder = "append"'


class EngineBuilder:
    """Builds with the Docker Engine that DOCKER_HOST, the Docker context, or the usual socket leads to."""

    name = "engine"

    def __init__(self, source: ImageSource, reason: str) -> None:
        self.reason = reason
        self._source = source

    def check(self) -> None:
        """The Engine answers, and its builder understands the Dockerfile.

        Raises:
            RefusedError: there is no Dockerfile, or it asks for what only BuildKit can do.
            TransientError: no Engine answers.
            FinalError: an Engine is there, and we may not use it.
        """
        _refuse(self._source)
        with _engine(_ANSWER):
            pass

    def publish(
        self, source: ImageSource, repository: str, tag: str, labels: Mapping[str, str], report: Report
    ) -> str:
        """Build the Dockerfile, push the image; its digest.

        The image stays in the Engine under that tag, as after `docker build`.

        Raises:
            RefusedError: a step failed, with the step and the last lines of its output.
            ProviderError: what the Engine or the registry behind it answered.
        """
        check_tag(tag)
        _refuse(source)
        target = parse_repository(repository)
        with _engine(_SILENCE) as api, build_log(f"{target}-{tag}", (), report) as log:
            _log_in(api, target)
            _build(api, source, f"{target}:{tag}", labels, log, report)
        return push(target, tag, report)


def _refuse(source: ImageSource) -> None:
    """Refuse a Dockerfile that is missing, or what is beyond the Engine's own builder."""
    recipe = need_dockerfile(source, "an Engine")
    refuse_settings(source, "the Docker Engine's own builder", "secrets", "cache_to")
    beyond = needs_buildkit(recipe.decode("utf-8", "replace"))
    if beyond:
        raise RefusedError(
            f"{source.dockerfile} asks for what the Docker Engine's own builder cannot do: "
            + "; ".join(beyond),
            hint="install docker buildx, which is used where it is there, or write these lines without it",
        )


def probe() -> Probe:
    """Whether a Docker Engine is there to be used. Asks it for its version, nothing else."""
    try:
        with _engine(_ANSWER):
            return Probe(True, "a Docker Engine is running")
    except TransientError:
        return Probe(False, "no Docker Engine is running")
    except ProviderError as problem:
        return Probe(False, problem.message)


@contextmanager
def _engine(timeout: int) -> Iterator[Any]:
    """docker-py's low-level client, with its errors as ours.

    Args:
        timeout: seconds between two bytes of an answer (a build may be silent for longer).
    """
    import docker
    import requests

    auth.check_config()
    try:
        client = docker.from_env(timeout=timeout)
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise _no_engine(error) from error
    try:
        yield client.api
    except docker.errors.APIError as error:
        raise failure(str(error.explanation or error), "the Docker Engine refused") from error
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
            "a Docker Engine is there, and this user may not use it",
            hint='add the user to the group "docker" and log in again, or build with builder = "append"',
        )
    if "context" in text.lower() and "not found" in text.lower():
        return PermanentError(f"the Docker context is not usable: {text}", hint="see `docker context ls`")
    return TransientError("no Docker Engine answers", hint=_INSTEAD)


def push(target: Repository, tag: str, report: Report) -> str:
    """Push what the Engine has under this name and tag, under `UPLOAD_TAG`; its digest.

    An Engine pushes nothing without a tag, and looks at nothing that may be there before it puts one.

    Raises:
        ProviderError: what the Engine or the registry behind it answered.
    """
    from docker import errors

    digest, failed = "", None
    with _engine(_SILENCE) as api:
        login = logins.push_auth_config(target.registry)
        api.tag(f"{target}:{tag}", str(target), UPLOAD_TAG, force=True)
        for line in api.push(str(target), tag=UPLOAD_TAG, stream=True, decode=True, auth_config=login):
            if "error" in line:
                failed = _message(line)
            digest = (line.get("aux") or {}).get("Digest", digest)
            if text := plain(line.get("status")):
                _tell(line, "push", text, report)
        with suppress(errors.APIError):  # a build beside us may have removed it
            api.remove_image(f"{target}:{UPLOAD_TAG}", noprune=True)
    if failed is not None:
        raise push_failure(failed, target)
    if not is_digest(digest):
        raise PermanentError(
            f"the Docker Engine pushed {target}:{tag} and did not say its digest",
            hint="run again; what is published already is not built again",
        )
    return digest


def _log_in(api: Any, target: Repository) -> None:
    """Where the login is in variables, as `docker login`, which a build needs for a base of that registry.

    The client keeps it in memory.
    """
    given = logins.environment_login()
    if given is not None and not auth.stored_auth_config(target.registry):
        api.login(given.username, given.password, registry=target.registry)


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
    step, failed = "", None
    for line in lines:  # to its end, also after an error: that is what gives the connection back
        if "error" in line:
            failed = _message(line)
            continue
        text = plain(line.get("stream") or line.get("status"))
        if match := _STEP.match(text):
            step, count, instruction = match.groups()
            log.step(step, instruction, number=int(step), count=int(count))
        elif "id" in line:
            _tell(line, "build", text, report)
        else:
            log.line(text, step)
    if failed is not None:
        raise log.failed(failed, step)


def _context(source: ImageSource, report: Report) -> Iterator[bytes]:
    """What the Engine is sent. Refused on the call, before a request that would have the build arguments."""
    entries = context(source)
    return _sent(
        archive(source, entries, extra=_hidden_from_copy(source, {entry.path for entry in entries})), report
    )


def _sent(pieces: Iterator[bytes], report: Report) -> Iterator[bytes]:
    done = 0
    for piece in pieces:
        yield piece
        done += len(piece)
        report(Progress("build", "context", "sending the folder", done))


def _hidden_from_copy(source: ImageSource, seen: set[str]) -> dict[str, bytes]:
    """What the Engine needs beside the context, and a COPY must not see.

    The Engine reads the Dockerfile from the context, then takes from it what .dockerignore says of the two
    files themselves. So an ignored Dockerfile goes along with a .dockerignore that names both.
    """
    if source.dockerfile in seen:
        return {}
    extra = {source.dockerfile: dockerfile(source) or b""}
    if ".dockerignore" not in seen:
        escaped = re.sub(r"([*?\[\]\\])", r"\\\1", source.dockerfile)
        extra[".dockerignore"] = f".dockerignore\n{escaped}\n".encode()
    return extra


def _tell(line: Mapping[str, Any], stage: str, text: str, report: Report) -> None:
    """Bytes while a layer moves, and its end once the Engine has confirmed it; not that it waits its turn."""
    item, detail = str(line.get("id", "")), line.get("progressDetail") or {}
    done, total = detail.get("current"), detail.get("total")
    if text.startswith(_ENDED):
        done = total = total or 0
    elif item and (done is None or (total and done >= total)):
        return
    report(Progress(stage, item, text, done, total))


def _message(line: Mapping[str, Any]) -> str:
    detail = line.get("errorDetail") or {}
    return plain(detail.get("message") or line["error"])
