"""Finds secrets in a published image: in its configuration and in the files of its layers."""

from collections.abc import Iterator, Mapping
from typing import Any

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.layer_archive import members
from providers.docker.registry.logins import login_beside
from providers.docker.registry.reference import parse_image
from providers.docker.source.dockerfile_lines import instructions
from providers.docker.source.key import ImageSource, dockerfile
from providers.docker.source.secret_scan import Secret, kind_of_instruction, secrets_of_file
from providers.errors import ProviderError
from providers.hiding import without_tokens
from providers.patterns import pattern
from providers.secret_rules import kind_of_value

_BY_BUILDERS = pattern(r"^/bin/sh -c #\(nop\)\s+|(?<!\s)\s*+# buildkit$")
"""What builders add to an instruction in the history of an image."""
_SEARCHED = ("config", "Env", "Labels", "OnBuild", "history", "rootfs")
"""Parts of a configuration that are searched in their own way, or have digests only."""


def secrets_of_layer(stream: Iterator[bytes]) -> Iterator[Secret]:
    """Finds the secrets in the files of a stored layer. Reads it as a stream, once.

    Raises:
        RefusedError: its compression is not supported, or it is not a layer.
    """
    for member, content in members(stream):
        if member.isreg():
            yield from secrets_of_file(member.name, content)


def secrets_of_configuration(config: Mapping[str, Any]) -> Iterator[Secret]:
    """Finds the secrets in an image's configuration, which anyone can read without a pull.

    Their paths are "environment NAME", "label NAME", "history N", "on build N", and for every other text
    "setting NAME", such as "setting Entrypoint".
    """
    run = config.get("config") or {}
    for text in run.get("Env") or ():
        name, _, value = str(text).partition("=")
        if kind := kind_of_value(name, value):
            yield Secret(f"environment {without_tokens(name)}", kind)
    for name, value in (run.get("Labels") or {}).items():
        if kind := kind_of_value(name, str(value)):
            yield Secret(f"label {without_tokens(name)}", kind)
    for place, texts in (("history", _history(config)), ("on build", run.get("OnBuild") or ())):
        for number, text in enumerate(texts, 1):
            if kind := kind_of_instruction(str(text)):
                yield Secret(f"{place} {number}", kind)
    for name, value in {**config, **run}.items():
        if name not in _SEARCHED and (kind := kind_of_instruction(" ".join((name, *_texts(value))))):
            yield Secret(f"setting {without_tokens(name)}", kind)


def _history(config: Mapping[str, Any]) -> Iterator[str]:
    """Each instruction, with all else that its entry has."""
    for entry in config.get("history") or ():
        others = {name: value for name, value in entry.items() if name != "created_by"}
        created_by = _BY_BUILDERS.sub("", str(entry.get("created_by") or ""))
        yield "\n".join((created_by, *_texts(others)))


def _texts(value: object) -> Iterator[str]:
    """Every text in a value, in any depth, also those that are names."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def base_layers(source: ImageSource, pool: ConnectionPool | None = None) -> set[str]:
    """Digests of the layers of the source's base images, as far as these can be read.

    They are not searched: their publishers are responsible for them, and operating systems contain test keys.
    """
    names = [] if source.base is None else [source.base]
    if (source.folder / source.dockerfile).exists() and (recipe := dockerfile(source)) is not None:
        names += _bases(recipe.decode("utf-8", "replace"))
    digests: set[str] = set()
    for name in names:
        try:
            repository, reference = parse_image(name)
            look_up = login_beside(repository, source.pushed_to)
            with RegistryClient(repository, look_up=look_up, pool=pool) as registry:
                image = registry.image(reference, source.platform)
        except ProviderError:  # its layers are searched too
            continue
        if image is not None:
            digests.update(layer.digest for layer in image.layers)
    return digests


def _bases(recipe: str) -> Iterator[str]:
    """The base images in a Dockerfile, without its own stages and names with build arguments."""
    stages = {"scratch"}
    for _, instruction in instructions(recipe):
        word, *rest = instruction.split()
        operands = [part for part in rest if not part.startswith("--")]
        if word.upper() != "FROM" or not operands:
            continue
        if operands[0] not in stages and "$" not in operands[0]:
            yield operands[0]
        if len(operands) == 3:
            stages.add(operands[2])
