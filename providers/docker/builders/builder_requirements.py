"""What a source asks of the builder that is to build it, checked before anything is built. Writes nothing."""

import os

from providers.docker.source.key import ImageSource, dockerfile
from providers.errors import RefusedError, SettingError


def need_dockerfile(source: ImageSource, builder: str) -> bytes:
    """The Dockerfile's content, for a builder that builds nothing else.

    Raises:
        RefusedError: as `dockerfile`, or there is none.
    """
    recipe = dockerfile(source)
    if recipe is None:
        raise RefusedError(
            f"there is no {source.dockerfile} in {source.folder}, and {builder} builds nothing else",
            hint='write one, or add the folder to the base image: builder = "append"',
        )
    return recipe


def refuse_settings(source: ImageSource, builder: str, *settings: str) -> None:
    """Refuse a source that asks for one of these settings, which `builder` cannot do.

    Raises:
        SettingError: the first one that is given.
    """
    for setting in settings:
        if getattr(source, setting):
            raise SettingError(
                f"{builder} cannot do {setting}",
                setting=setting,
                hint=f"remove {setting}, or build with docker buildx, which can",
            )


def secret_values(source: ImageSource) -> dict[str, str]:
    """Each secret's value, from the environment.

    Raises:
        SettingError: a variable is not set.
    """
    for name, variable in source.secrets.items():
        if variable not in os.environ:
            raise SettingError(
                f"the secret {name} is taken from the environment variable {variable}, which is not set",
                setting="secrets",
                hint=f"set it for this command, for example in a pipeline's secret variables: {variable}=...",
            )
    return {name: os.environ[variable] for name, variable in source.secrets.items()}
