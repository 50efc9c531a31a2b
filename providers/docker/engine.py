"""The builder that asks a Docker Engine, through its API: no Docker command line is needed.

The Engine's own API builds with its legacy builder, so Dockerfiles that want BuildKit are refused by name
before anything is built. The context is filtered here and streamed; nothing is written to this disk.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from providers.docker import auth
from providers.docker.recipe import needs_buildkit
from providers.docker.reference import Repository, check_tag, is_digest, parse_repository
from providers.docker.source import ImageSource, context, dockerfile
from providers.docker.tar import archive
from providers.errors import (
    FinalError,
    ForbiddenError,
    ProviderError,
    RefusedError,
    TransientError,
    UnauthorizedError,
)
from providers.protocol import Progress, Report

_ANSWER = 10  # seconds for the Engine to say that it is there
_SILENCE = 600  # seconds without a word of progress after which a push is given up
_LAST_LINES = 12
_ENDED = ("Pushed", "Layer already exists", "Mounted from", "Pull complete", "Already exists")  # of a layer
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
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
        """Build the Dockerfile, push the image under `tag`; its digest.

        The image stays in the Engine under that tag, as after `docker build`.

        Raises:
            RefusedError: a step failed, with the step and the last lines of its output.
            ProviderError: what the Engine or the registry behind it answered.
        """
        check_tag(tag)
        _refuse(source)
        target = parse_repository(repository)
        with _engine(_SILENCE) as api:
            _build(api, source, f"{target}:{tag}", labels, report)
            return _push(api, target, tag, report)


def _refuse(source: ImageSource) -> None:
    """Refuse a Dockerfile that is missing, or beyond the Engine's own builder."""
    recipe = dockerfile(source)
    if recipe is None:
        raise RefusedError(
            f"there is no {source.dockerfile} in {source.folder}, and an Engine builds nothing else",
            hint='write one, or add the folder to the base image: builder = "append"',
        )
    beyond = needs_buildkit(recipe.decode("utf-8", "replace"))
    if beyond:
        raise RefusedError(
            f"{source.dockerfile} asks for what the Docker Engine's own builder cannot do: "
            + "; ".join(beyond),
            hint="write these lines without it",
        )


def engine_answers() -> bool:
    """Whether a Docker Engine is there to be used. Asks it for its version, nothing else."""
    try:
        with _engine(_ANSWER):
            return True
    except ProviderError:
        return False


@contextmanager
def _engine(timeout: int) -> Iterator[Any]:
    """docker-py's low-level client, with its errors as ours.

    Args:
        timeout: seconds between two bytes of an answer (a build may be silent for longer).
    """
    import docker
    import requests

    try:
        client = docker.from_env(timeout=timeout)
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise _no_engine(error) from error
    try:
        yield client.api
    except docker.errors.APIError as error:
        raise _failure(str(error.explanation or error), "the Docker Engine refused") from error
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
        return FinalError(
            "a Docker Engine is there, and this user may not use it",
            hint='add the user to the group "docker" and log in again, or build with builder = "append"',
        )
    if "context" in text.lower() and "not found" in text.lower():
        return FinalError(f"the Docker context is not usable: {text}", hint="see `docker context ls`")
    return TransientError("no Docker Engine answers", hint=_INSTEAD)


def _build(api: Any, source: ImageSource, name: str, labels: Mapping[str, str], report: Report) -> None:
    lines = api.build(
        fileobj=_context(source, report),
        custom_context=True,
        dockerfile=source.dockerfile,
        tag=name,
        labels=dict(labels),
        platform=source.platform,
        buildargs=dict(source.build_args),
        rm=True,
        forcerm=True,
        decode=True,
    )
    step = ""
    said: deque[str] = deque(maxlen=_LAST_LINES)
    failed = None
    for line in lines:  # to its end, also after an error: that is what gives the connection back
        if "error" in line:
            failed = _message(line)
            continue
        text = _plain(line.get("stream") or line.get("status"))
        if match := _STEP.match(text):
            number, count, instruction = match.groups()
            step = f"step {number} of {count} ({instruction})"
            said.clear()
            report(Progress("build", "", instruction, int(number), int(count), "steps"))
        elif text:
            said.append(text)
            _tell(line, "build", text, report)
    if failed is not None:
        raise _failure(failed, f"the build failed at {step}" if step else "the build failed", said)


def _push(api: Any, target: Repository, tag: str, report: Report) -> str:
    digest, failed = "", None
    lines = api.push(
        str(target), tag=tag, stream=True, decode=True, auth_config=auth.stored_entry(target.registry)
    )
    for line in lines:
        if "error" in line:
            failed = _message(line)
        digest = (line.get("aux") or {}).get("Digest", digest)
        if text := _plain(line.get("status")):
            _tell(line, "push", text, report)
    if failed is not None:
        raise _push_failure(failed, target)
    if not is_digest(digest):
        raise FinalError(
            f"the Docker Engine pushed {target}:{tag} and did not say its digest",
            hint="run again; what is published already is not built again",
        )
    return digest


def _context(source: ImageSource, report: Report) -> Iterator[bytes]:
    entries = context(source)
    done = 0
    for piece in archive(source, entries, extra=_unseen(source, {entry.path for entry in entries})):
        yield piece
        done += len(piece)
        report(Progress("build", "context", "sending the folder", done))


def _unseen(source: ImageSource, seen: set[str]) -> dict[str, bytes]:
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
    return _plain(detail.get("message") or line["error"])


def _plain(text: object) -> str:
    """Text of a build without the colours that the Engine and the programs in it add."""
    return _COLOURS.sub("", str(text or "")).strip()


def _failure(message: str, what: str, said: Iterable[str] = ()) -> ProviderError:
    """An error the Engine told, by whether it may go away by itself."""
    whole = "\n  ".join((f"{what}: {message}", *said))
    if _passing(message):
        return TransientError(whole, hint="run again when that registry can be reached")
    return RefusedError(whole)


def _push_failure(message: str, target: Repository) -> ProviderError:
    lower, what = message.lower(), f"the Docker Engine could not push to {target}: {message}"
    if "unauthorized" in lower or "no basic auth" in lower or "authentication required" in lower:
        return UnauthorizedError(what, hint=f"run: {target.login}")
    if "denied" in lower or "forbidden" in lower:
        return ForbiddenError(what, hint=f"log in as somebody who may push there: {target.login}")
    if _passing(message):
        return TransientError(what, hint=f"can the Engine reach {target.registry}?", outcome_unknown=True)
    return FinalError(what)


def _passing(message: str) -> bool:
    signs = (
        "connection refused",
        "no such host",
        "i/o timeout",
        "timeout exceeded",
        "connection reset",
        "toomanyrequests",
        "service unavailable",
        "bad gateway",
        "temporary failure",
        "network is unreachable",
    )
    return any(sign in message.lower() for sign in signs)
