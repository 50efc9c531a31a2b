"""Read `[reconciler]`, our own table. It is strict: a misspelt `protect` must not be ignored silently."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import asdict

from providers.docker.source.key import is_folder_in_image
from providers.table import FACTS, address_form, ancestors
from providers.text import has_login
from reconciler.core.values import Address
from reconciler.pipeline.keys import check_word
from reconciler.pipeline.objects import row_tables
from reconciler.pipeline.schema import ImageOptions, Reconciler
from reconciler.pipeline.sections import check_selectable
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.toml_reader import TomlReader, table_advice


def read_settings(reader: TomlReader) -> Reconciler | None:
    """`[reconciler]` with its defaults, or None and the errors."""
    table = reader.document.get("reconciler", {})
    if not isinstance(table, dict):
        reader.error("reconciler must be a table", table_advice("reconciler"), "reconciler")
        return None
    rows = row_tables()
    shared = {key: table[key] for key in table if key != "env" and key not in rows}
    if not shared:
        return Reconciler()
    return _settings(reader, shared, "reconciler", rows)


def ignored_fields(settings: Reconciler) -> dict[Address, tuple[str, ...]]:
    """The fields, or keys of them, that the user leaves to the platform: of each spelling of an address."""
    ignored: dict[Address, tuple[str, ...]] = {}
    for text, paths in settings.ignore_changes.items():
        address = Address.parse(text)
        ignored[address] = (*ignored.get(address, ()), *paths)
    return ignored


def check_defaults(reader: TomlReader, table: Mapping[str, Any]) -> None:
    """Check `[defaults]` of a reconciler.toml, which has the keys of `[reconciler]`."""
    _settings(reader, table, "defaults")


def _settings(
    reader: TomlReader, table: Mapping[str, Any], section: str, also: Iterable[str] = ()
) -> Reconciler | None:
    from reconciler.pipeline.settings_table import validated  # late: imports pydantic, which is slow

    settings = validated(reader, table, section, also)
    if settings is None:
        return None
    for address, paths in settings.ignore_changes.items():
        where = (section, "ignore_changes", address)
        if (kind := _kind_of_address(reader, address, *where)) is not None:
            _check_ignored_fields(reader, kind, paths, *where)
    for index, address in enumerate(settings.protect):
        _kind_of_address(reader, address, section, "protect", index)
    if settings.stack is not None:
        _check_stack(reader, settings.stack, section)
    _check_startable(reader, settings.image, section)
    _check_references(reader, settings.image, section)
    _check_sbom(reader, settings.image, section)
    return settings


def _check_startable(reader: TomlReader, image: ImageOptions, section: str) -> None:
    """Report values with which an image could be published, and never started or built."""
    where = (section, "image")
    for path, text in _texts(asdict(image)):
        if "\0" in text:
            reader.error(
                f"{section}.image.{path[0]} contains a NUL character",
                "No program, file or variable can have one. Remove it.",
                *where,
                *path,
            )
    for table in ("env", "build_args"):
        for name in getattr(image, table):
            if not name or "=" in name:
                reader.error(
                    f"{name!r} in {section}.image.{table} is not the name of a variable",
                    "A name is not empty, and has no equals sign.",
                    *(*where, table, name),
                )
            check_word(
                reader,
                f"{name} in {section}.image.{table}",
                f"{name}={getattr(image, table)[name]}",
                *(*where, table, name),
            )
    for index, word in enumerate(image.entrypoint or ()):
        check_word(reader, f"a word of {section}.image.entrypoint", word, *where, "entrypoint", index)
    if image.workdir is not None and _is_too_long(image.workdir):
        reader.error(
            f"{section}.image.workdir is too long for a path",
            "A path has less than 4096 bytes, and each name in it at most 255.",
            *(*where, "workdir"),
        )
    if image.workdir is not None and not is_folder_in_image(image.workdir):
        reader.error(
            f"{section}.image.workdir is not an absolute path",
            'Write the path of a folder in the image, without "..", for example "/experiment".',
            *(*where, "workdir"),
        )
    if image.entrypoint and not image.entrypoint[0]:
        reader.error(
            f"{section}.image.entrypoint does not begin with a program",
            'Write the program and its arguments, for example ["python", "pipeline.py"].',
            *(*where, "entrypoint", 0),
        )


def _is_too_long(path: str) -> bool:
    """Whether no file system can have this path: PATH_MAX and NAME_MAX of Linux."""
    encoded = path.encode()
    return len(encoded) > 4095 or any(len(name) > 255 for name in encoded.split(b"/"))


def _texts(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each text in a value, with its path. Keys of tables are texts, too."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield (*path, key), key
            yield from _texts(item, (*path, key))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _check_references(reader: TomlReader, image: ImageOptions, section: str) -> None:
    """Report a login in the name of an image: plans, commands and the image itself show it."""
    names: dict[tuple[str | int, ...], str | None] = {
        (key,): getattr(image, key) for key in ("base", "sbom_generator", "dockerfile", "context", "target")
    }
    for key in ("cache_from", "cache_to"):
        names |= {(key, index): text for index, text in enumerate(getattr(image, key))}
    for where, name in names.items():
        if name and has_login(name):
            reader.error(
                f"{section}.image.{where[0]} contains a login",
                "Everyone who sees a plan would see it. Leave it out, and log in with docker login.",
                *(section, "image", *where),
            )


def _check_sbom(reader: TomlReader, image: ImageOptions, section: str) -> None:
    """Report a list of packages that no builder would make."""
    if image.sbom and image.builder not in ("auto", "buildx"):
        reader.error(
            f'{section}.image.sbom needs docker buildx, and builder is "{image.builder}"',
            'Only buildx can list the packages of an image. Set builder = "buildx", or remove sbom.',
            *(section, "image", "sbom"),
        )
    if image.sbom_generator is not None and not image.sbom:
        reader.error(
            f"{section}.image.sbom_generator has no effect without sbom",
            "Add sbom = true, or remove the line.",
            *(section, "image", "sbom_generator"),
        )


def _check_stack(reader: TomlReader, stack: str, section: str) -> None:
    """Report the name of a stack that cannot select its pipeline, or that several pipelines would share."""
    if section == "defaults":
        reader.error(
            "defaults.stack would give all pipelines one stack",
            "A stack belongs to one pipeline: set stack in [reconciler] of its config.toml.",
            section,
            "stack",
        )
    elif not stack.isprintable() or stack != stack.strip():
        reader.error(
            f"{section}.stack {stack!r} is not a name",
            "Use printable characters, without spaces at the ends.",
            section,
            "stack",
        )
    else:
        check_selectable(reader, stack, section, "stack")


def _kind_of_address(reader: TomlReader, text: str, *where: str | int) -> str | None:
    """The kind of this address, or None and the error."""
    try:
        kind, name = Address.parse(text)
    except ValueError:
        kind, name = "", ()
    if kind not in FACTS:
        written = text.partition("/")[0]
        reader.error(
            f"{text!r} is not an address",
            f"Write kind/name with one of {', '.join(FACTS)}, for example processing/my_app."
            f"{'' if written in FACTS else did_you_mean(written, FACTS)}",
            *where,
        )
        return None
    if not FACTS[kind].written and len(name) != len(ancestors(kind)) + 1:
        reader.error(
            f"{text!r} is not the address of a resource of the kind {kind}",
            f"Write {address_form(kind)}, with %2F for a slash in a name.",
            *where,
        )
        return None
    return kind


def _check_ignored_fields(reader: TomlReader, kind: str, paths: Sequence[str], *where: str | int) -> None:
    """Report each entry of ignore_changes that is not a field: it would protect nothing."""
    if FACTS[kind].published_as:
        reader.error(
            f"ignore_changes names an {kind}, which has no fields to ignore",
            "An image is built from the folder and published as a whole. Remove the line.",
            *where,
        )
        return
    rules = FACTS[kind].rules
    for index, path in enumerate(paths):
        field, dot, key = path.partition(".")
        rule = rules.get(field)
        if rule is None:
            reader.error(
                f"{path!r} is not a field of the kind {kind}",
                f"Its fields are {', '.join(rules)}.{did_you_mean(field, rules)}",
                *where,
                index,
            )
        elif dot and not (rule.keyed and key):
            reader.error(
                f"{path!r} is not a part of {field} that can be ignored",
                f'Write "{field}.NAME" for one entry, or "{field}" for all.'
                if rule.keyed
                else f'It is compared as a whole. Write "{field}".',
                *where,
                index,
            )
