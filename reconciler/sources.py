"""From a checked pipeline to what its image is made from, and what the image's labels say."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from providers.docker.labels import CREATED, REVISION, TITLE
from providers.docker.source import ImageSource
from reconciler.pipeline.edit import keyed
from reconciler.pipeline.load import Pipeline


def image_source(pipeline: Pipeline) -> ImageSource:
    """What the image is made from. It gets the config.toml that will be on disk once it is published."""
    options = pipeline.config.reconciler.image
    appended = options.builder in ("auto", "append")  # the others read the Dockerfile only
    folder = os.path.normpath(pipeline.folder.absolute() / options.context)
    config = _below(folder, pipeline.loaded.path)
    return ImageSource(
        folder=Path(folder),
        dockerfile=_below(folder, pipeline.folder / options.dockerfile),
        platform=options.platform,
        build_args=options.build_args,
        keyed={config: keyed(pipeline.loaded.document)},
        replaced={config: pipeline.loaded.text.encode()},
        target=options.target,
        secrets=options.secrets,
        cache_from=options.cache_from,
        cache_to=options.cache_to,
        base=options.base if appended else None,
        workdir=options.workdir if appended else None,
        entrypoint=options.entrypoint if appended else None,
        env=options.env if appended else {},
        pushed_to=pipeline.config.docker.image_name,
    )


def _below(folder: str, path: Path) -> str:
    """`path` relative to the build context, as its entries are named; with ".." when it is not inside."""
    return Path(os.path.relpath(path.absolute(), folder)).as_posix()


def not_source(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Folders among these files that no image needs, each with why it makes the image other source.

    An ignore file that somebody wrote is taken at its word, so this is for a warning.
    """
    found = set(paths)
    if any(path.startswith(".git/") for path in found):
        yield ".git", "Every commit makes it other source"
    for path in sorted(found):
        folder, _, file = path.rpartition("/")
        if file == "pyvenv.cfg" and folder:
            yield folder, "Every machine and every installation makes a virtual environment other source"


def image_labels(pipeline: Pipeline, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """OCI labels that say what the image is; the same on every machine with the same commit.

    https://github.com/opencontainers/image-spec/blob/main/annotations.md. `created` is the time of the
    commit, or SOURCE_DATE_EPOCH, or 1970: the present would give every build another digest.
    """
    commit = git_commit(pipeline.folder)
    epoch = variables.get("SOURCE_DATE_EPOCH") or _git(pipeline.folder, "show", "-s", "--format=%ct", "HEAD")
    created = datetime.fromtimestamp(int(epoch) if epoch.isdigit() else 0, UTC)
    labels = {
        TITLE: pipeline.name,
        CREATED: created.isoformat().replace("+00:00", "Z"),
    }
    return labels | ({REVISION: commit} if commit else {})


def git_commit(folder: Path) -> str:
    """The commit that the folder is at; "" when it is in no repository, or git is not there."""
    return _git(folder, "rev-parse", "HEAD")


def _git(folder: Path, *arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
