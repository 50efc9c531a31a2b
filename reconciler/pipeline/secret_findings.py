"""Diagnostics for secrets that an image would contain: where, why, and the ways out."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from providers.docker.source.key import Announce, ImageSource, SourceKey
from providers.docker.source.secret_scan import Secret, is_accepted, secrets_of, today
from reconciler.core.diagnostics import Diagnostic, Severity, error, warning
from reconciler.pipeline.load import Pipeline

_SHOWN = 20  # findings that are listed one by one
_DAYS = 30  # length of a suggested acceptance


def secret_findings(
    pipeline: Pipeline,
    source: ImageSource,
    *,
    key: SourceKey | None = None,
    is_published: bool = False,
    announce: Announce,
) -> list[Diagnostic]:
    """Errors for the secrets that the pipeline's image would hold, and warnings for unused acceptances.

    Args:
        key: that of the source, as `validate` returns it: files that were clean when it was made are not
            read again, nor is the Dockerfile.
        is_published: whether the image of this source is already published. Nothing is built then, and the
            secrets are warnings instead of errors.
        announce: called every `SLOW` seconds while the search takes longer than that.

    Raises:
        RefusedError: a file cannot be read.
    """
    suspects, recipe = (key.suspects, key.dockerfile) if key is not None else (None, None)
    found = list(secrets_of(source, suspects=suspects, recipe=recipe, announce=announce))
    open_ = [secret for secret in found if not is_accepted(secret, source)]
    problems = list(_one_a_line(_finding(pipeline, source, s, is_published) for s in open_))
    more = len(problems) - _SHOWN
    if more > 0:
        rest = f"and {more} more secrets" if more > 1 else "and one more secret"
        problems[_SHOWN:] = [(warning if is_published else error)(rest, file=pipeline.folder)]
    return [*problems, *_unused_acceptances(pipeline, {secret.path for secret in found})]


def _finding(pipeline: Pipeline, source: ImageSource, secret: Secret, is_published: bool) -> Diagnostic:
    file, line = _file(pipeline, source, secret.path), secret.line
    if secret.setting:
        place, line = pipeline.loaded.place_of("reconciler", "image", *secret.setting.split(".", 1))
        file = place if place != pipeline.loaded.path else file
    detail = [f"{_expired(pipeline, secret)}Everyone who can pull the image can read it."]
    if is_published:
        detail.append("Revoke it, then publish a version without it.")
    detail.append(_way_out(source, secret))
    until = today() + timedelta(days=_DAYS)
    detail.append(
        "If it opens nothing, accept it in config.toml:  [[reconciler.image.accepted_secrets]] with "
        f'path = "{secret.path}", reason = "…", until = {until}'
    )
    return Diagnostic(
        Severity.WARNING if is_published else Severity.ERROR,
        f"the published image holds {secret.kind}" if is_published else f"the image would hold {secret.kind}",
        "\n".join(detail),
        file=file,
        line=line,
    )


def _way_out(source: ImageSource, secret: Secret) -> str:
    build = 'pass it to the build with secrets = ["NAME"] in [reconciler.image]: no layer holds it then'
    if secret.setting or secret.path in (source.dockerfile, *source.replaced):
        return f"Remove the value from the file, and {build}."
    return f"Add {secret.path} to .dockerignore. If only the build needs it, {build}."


def _expired(pipeline: Pipeline, secret: Secret) -> str:
    for accepted in pipeline.config.reconciler.image.accepted_secrets:
        if accepted.path == secret.path:
            return f"Its acceptance expired on {accepted.until} ({accepted.reason}). "
    return ""


def _unused_acceptances(pipeline: Pipeline, paths: set[str]) -> Iterator[Diagnostic]:
    key = ("reconciler", "image", "accepted_secrets")
    for index, accepted in enumerate(pipeline.config.reconciler.image.accepted_secrets):
        if accepted.path not in paths and not pipeline.loaded.is_inherited(*key):
            yield warning(
                f"accepted_secrets names {accepted.path}, which contains no secret",
                "Paths are relative to the build context. Correct the path or remove the entry.",
                file=pipeline.loaded.path,
                line=pipeline.loaded.line_of(*key, index),
            )


def _file(pipeline: Pipeline, source: ImageSource, path: str) -> Path:
    """The file, relative to the current folder if the pipeline's folder is."""
    return Path(os.path.normpath(pipeline.folder / os.path.relpath(source.folder / path, pipeline.folder)))


def _one_a_line(findings: Iterator[Diagnostic]) -> Iterator[Diagnostic]:
    """One finding for each line: a build argument is also a line of config.toml, a file of the context."""
    seen: set[tuple[Path | None, int | None]] = set()
    for finding in findings:
        place = (finding.file, finding.line)
        if finding.line is None or place not in seen:
            yield finding
        seen.add(place)
