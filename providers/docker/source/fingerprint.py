"""The key that identifies the source of an image. Every plan computes it.

The key covers exactly what builders put into the image, so not the times and owners of files.
"""

import hashlib
from typing import TYPE_CHECKING

from providers.docker.source.context_hashing import ContextHashing
from providers.docker.source.key import (
    RECIPE,
    Announce,
    Announcer,
    ImageSource,
    SourceKey,
    announce_nothing,
    dockerfile,
)
from providers.docker.source.key_parts import FileDigests, short
from providers.docker.source.source_index import SourceIndex

if TYPE_CHECKING:
    from providers.secret_rules import Sieve

_FORMAT = b"picsellia-reconciler source key 2"
_FIRST_FORMAT = b"picsellia-reconciler source key 1"


def fingerprint(
    source: ImageSource, *, search: bool = False, announce: Announce | None = None, cached: bool = False
) -> SourceKey:
    """The source key: sha256 over the Dockerfile, the settings and every file of the filtered context.

    Covers paths, modes (only whether a file is executable, as the rest depends on the umask), link targets
    and contents; not times, owners and our own files (`providers.leftovers`). Also computes the key by the
    first recipe, from the same read, for images with such a label.

    Args:
        search: search each file for secrets while it is in memory: `suspects` of the key.
        announce: called every `SLOW` seconds while it takes longer than that.
        cached: do not read files that are unchanged since the last run, and search all others. Not for what
            is about to be published.

    Raises:
        RefusedError: as for `key.context`, or the source has neither a Dockerfile nor a `base`.
    """
    index = SourceIndex.load(source.real_folder) if cached else None
    sieve = _sieve() if search or index is not None else None
    hashing = ContextHashing(source, Announcer(source, announce or announce_nothing), sieve, index)
    hashing.run()
    hashing.save()
    recipe = dockerfile(source)
    parts = [b"-" if recipe is None else b"+"]
    if recipe is not None:
        # The Dockerfile changes the image even if .dockerignore excludes it from the context.
        parts.append(hashlib.sha256(recipe).digest())
    arguments, hidden = _arguments(source), _hidden(source)
    for name, value in sorted(hidden.items() | arguments.items()):
        parts.append(b"%d:%s" % (len(name.encode()), name.encode()))
        parts.append(b"%d:%s" % (len(value.encode()), value.encode()))
    runs = [run for _, run in hashing.runs]
    first_runs = [hashing.first.get(path, run) for path, run in hashing.runs]
    shown = arguments | {name: short(value.encode()) for name, value in hidden.items()}
    return SourceKey(
        f"{RECIPE}{hashlib.sha256(b''.join((_FORMAT, *runs, *parts))).hexdigest()}",
        FileDigests(runs, {} if recipe is None else {source.dockerfile: short(recipe)}),
        dict(sorted(shown.items())),
        hashing.size,
        recipe="" if recipe is None else short(recipe),
        first=f"sha256:{hashlib.sha256(b''.join((_FIRST_FORMAT, *first_runs, *parts))).hexdigest()}",
        first_files=hashing.first_files,
        suspects=hashing.suspects,
        dockerfile=recipe,
    )


def _sieve() -> "Sieve":
    from providers.secret_rules import Sieve  # its expressions take a while

    return Sieve()


def _arguments(source: ImageSource) -> dict[str, str]:
    """The settings in the key that may be shown."""
    named = {"dockerfile name": source.dockerfile, "platform": source.platform}
    if source.target is not None:
        named["target"] = source.target
    if source.secrets:
        named["secrets"] = ", ".join(sorted(source.secrets))
    if source.base is not None:
        named["base image"] = source.base
    if source.workdir is not None:
        named["working directory"] = source.workdir
    if source.entrypoint is not None:
        named["entrypoint"] = repr(list(source.entrypoint))
    return named


def _hidden(source: ImageSource) -> dict[str, str]:
    """The settings in the key whose values may be secret."""
    build = {f"build argument {name}": value for name, value in source.build_args.items()}
    return build | {f"environment variable {name}": value for name, value in source.env.items()}
