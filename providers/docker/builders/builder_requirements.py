"""Checks a source's requirements on a builder before the build. Writes nothing."""

import os

from providers.docker.source.key import ImageSource, dockerfile
from providers.errors import RefusedError, SettingError


def require_dockerfile(source: ImageSource, builder: str) -> bytes:
    """The Dockerfile's content, for a builder that requires one.

    Raises:
        RefusedError: as for `dockerfile`, or it does not exist.
    """
    recipe = dockerfile(source)
    if recipe is None:
        raise RefusedError(
            f"there is no {source.dockerfile} in {source.folder}, and {builder} requires one",
            hint='write one, or add the folder to a base image: builder = "append"',
        )
    return recipe


def refuse_settings(source: ImageSource, builder: str, *settings: str) -> None:
    """Refuse a source with one of these settings, which `builder` does not support.

    Raises:
        SettingError: for the first such setting.
    """
    for setting in settings:
        if getattr(source, setting):
            raise SettingError(
                f"{builder} does not support {setting}",
                setting=setting,
                hint=f"remove {setting}, or build with docker buildx, which supports it",
            )


def secret_values(source: ImageSource) -> dict[str, str]:
    """The values of the secrets, from the environment.

    Raises:
        SettingError: a variable is not set.
    """
    for name, variable in source.secrets.items():
        if variable not in os.environ:
            raise SettingError(
                f"the secret {name} comes from the environment variable {variable}, which is not set",
                setting="secrets",
                hint=f"set it for this command, for example in a pipeline's secret variables: {variable}=...",
            )
    return {name: os.environ[variable] for name, variable in source.secrets.items()}
