"""From a checked pipeline to what its image is made from, and what the image's labels say."""

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from providers.docker.labels import CREATED, REVISION, TITLE
from providers.docker.source import ImageSource
from reconciler.pipeline.config import FILE_NAME
from reconciler.pipeline.edit import keyed
from reconciler.pipeline.load import Pipeline


def image_source(pipeline: Pipeline) -> ImageSource:
    """What the image is made from. It gets the config.toml that will be on disk once it is published."""
    config_text = pipeline.loaded.text
    options = pipeline.config.reconciler.image
    appended = options.builder != "engine"  # which reads the Dockerfile only
    return ImageSource(
        folder=pipeline.folder,
        dockerfile=options.dockerfile,
        platform=options.platform,
        build_args=options.build_args,
        keyed={FILE_NAME: keyed(config_text)},
        replaced={FILE_NAME: config_text.encode()},
        base=options.base if appended else None,
        workdir=options.workdir if appended else None,
        entrypoint=options.entrypoint if appended else None,
        env=options.env if appended else {},
    )


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
