"""What is published of an image and what its source is: for a person, and as a JSON document."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from providers.docker import labels
from providers.docker.labels import SOURCE_KEY
from providers.docker.registry.layers import layers
from providers.docker.registry.manifests import PublishedImage
from reconciler.core.values import JSON
from reconciler.engine.image_report import ImageReport, PublishedSecrets, effect_of_apply
from reconciler.views import phrases
from reconciler.views.counting import plural, size
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import columns, indented, pairs

FORMAT = "reconciler/image"

_STYLES = {"nothing": "green", "re-tag": "yellow", "build": "yellow", "refuse": "bold red"}
_SYMBOLS = {"nothing": "=", "re-tag": "~", "build": "+", "refuse": "!"}
_NEVER = "1970-01-01T00:00:00Z"  # what an image of a folder without a commit says
_DIGITS = 19  # of a digest, with its "sha256:"
_BESIDE = 34  # columns before an instruction
_LONGEST = 100  # columns of an instruction where there is no terminal to fit


def print_image(
    report: ImageReport, out: Console, *, unrecorded: str = "", secrets: PublishedSecrets | None = None
) -> None:
    """The verdict and its reasons, what is published, what the source is, and the layers.

    Args:
        unrecorded: why no record was used, where none was.
        secrets: what a search of what is published has found; None where none was made.
    """
    out.print(Text.assemble((report.pipeline.name, "bold"), (f"  {report.repository}", "dim")))
    out.print()
    for line in _verdict(report):
        out.print(line)
    for title, lines in (
        ("published", _published(report)),
        ("source", _source(report, unrecorded)),
        ("layers", _layers(report, out.width - _BESIDE if out.is_terminal else _LONGEST)),
        ("secrets", [] if secrets is None else _secrets(secrets)),
    ):
        if lines:
            out.print()
            out.print(Text(title, "bold"))
            for line in lines:
                out.print(indented(line, 2))


def image_text(report: ImageReport, secrets: PublishedSecrets | None = None) -> str:
    """The same as a document."""
    searched: dict[str, JSON] = {}
    if secrets is not None:
        searched["secrets"] = {
            "found": [
                {"layer": digest or None, "path": secret.path, "kind": secret.kind}
                for digest, secret in secrets.found
            ],
            "unread": [{"layer": digest, "reason": reason} for digest, reason in secrets.unread.items()],
            "searched": secrets.searched,
            "of_base": secrets.of_base,
        }
    image, key, assessment = report.image, report.key, report.assessment
    refusal = assessment.refusal
    published: JSON = None
    if image is not None:
        published = {
            "digest": image.digest,
            "media_type": image.media_type,
            "platform": image.platform,
            "size": image.size,
            "version": image.labels.get(labels.VERSION),
            "created": _created(image),
            "revision": image.labels.get(labels.REVISION),
            "source_key": image.labels.get(SOURCE_KEY),
            "layers": [
                {
                    "digest": layer.digest,
                    "size": layer.size,
                    "instruction": layer.instruction,
                    "of_base": layer.of_base,
                }
                for layer in layers(image)
            ],
        }
    return json_text(
        {
            "format": FORMAT,
            "version": 1,
            "pipeline": report.pipeline.name,
            "repository": report.repository,
            "verdict": assessment.reason.code.value,
            "reason": phrases.reason(assessment.reason),
            "reason_details": dict(assessment.reason.details),
            "apply": effect_of_apply(report),
            "refusal": phrases.reason(refusal.reason) if refusal else None,
            "refusal_code": refusal.reason.code.value if refusal else None,
            "warning": None,  # kept for scripts that read it
            "differing": None if report.differing is None else list(report.differing),
            "tags": dict(report.tags),
            "published": published,
            "source": {
                "version": report.desired["version"],
                "channel": report.desired["channel"],
                "key": key.key,
                "files": len(key.files),
                "bytes": key.bytes,
                "settings": _settings(report),
            },
            "builder": report.builder and {"name": report.builder.name, "reason": report.builder.reason},
            "serial": report.serial,
            **searched,
        }
    )


def _verdict(report: ImageReport) -> Iterator[Text]:
    assessment, does = report.assessment, effect_of_apply(report)
    head = Text(
        f"{_SYMBOLS[does]} {report.desired['version']}  {assessment.reason.code.value}", _STYLES[does]
    )
    details = phrases.verdict_details(assessment.reason)
    if details and not report.differing:
        head.append(f"  {details}", "default dim")
    yield head
    for line in report.differing or ():
        yield Text(f"    {line}")
    if assessment.refusal:
        yield Text(f"  {phrases.reason(phrases.without_differences(assessment.refusal.reason))}")
    for way in assessment.refusal.ways if assessment.refusal else ():
        yield Text(f"  {phrases.way_text(way)}", "cyan")


def _published(report: ImageReport) -> list[Text]:
    image = report.image
    if image is None:
        return [Text("nothing under this version, nor under a channel tag", "dim")]
    here = [tag for tag, digest in report.tags.items() if digest == image.digest]
    elsewhere = [
        f"{tag} -> {digest[:_DIGITS]}" for tag, digest in report.tags.items() if digest != image.digest
    ]
    created = _created(image) or ""
    ours = SOURCE_KEY in image.labels
    facts = {
        "tags": ", ".join(here) or "none",
        "other tags": ", ".join(elsewhere),
        "digest": image.digest[:_DIGITS],
        "platform": image.platform,
        "created": created if created != _NEVER else "",
        "revision": image.labels.get(labels.REVISION, ""),
        "source key": image.labels[SOURCE_KEY][:_DIGITS] if ours else "none: another tool pushed it",
    }
    return _shown(facts)


def _source(report: ImageReport, unrecorded: str) -> list[Text]:
    key = report.key
    facts = {
        "source key": key.key[:_DIGITS],
        "files": f"{plural(len(key.files), 'file')}, {size(key.bytes)}",
        **{name: str(value) for name, value in _settings(report).items()},
        "record": f"serial {report.serial}" if report.serial is not None else unrecorded,
    }
    if report.builder is not None:
        facts["built by"] = f"{report.builder.name}: {report.builder.reason}"
    return _shown(facts)


def _settings(report: ImageReport) -> dict[str, JSON]:
    """What else makes the image, as far as it is given; of what may be secret only the names."""
    source = report.source
    return {
        name: value
        for name, value in {
            "dockerfile": source.dockerfile,
            "target": source.target,
            "platform": source.platform,
            "base": source.base,
            "workdir": source.workdir,
            "entrypoint": " ".join(source.entrypoint or ()),
            "build arguments": ", ".join(source.build_args),
            "variables": ", ".join(source.env),
            "secrets": ", ".join(source.secrets),
        }.items()
        if value
    }


def _layers(report: ImageReport, width: int) -> list[Text]:
    if report.image is None:
        return []
    found = layers(report.image)
    widest = max((len(size(layer.size)) for layer in found), default=0)
    rows = [
        [
            Text(f"{size(layer.size):>{widest}}"),
            Text(layer.digest.removeprefix("sha256:")[:12], "dim"),
            Text(_ORIGINS[layer.of_base], "cyan"),
            Text(_cut(layer.instruction, width)),
        ]
        for layer in found
    ]
    total = f"{size(report.image.size)} in {plural(len(found), 'layer')}"
    ours = [layer.size for layer in found if layer.of_base is False]
    return [
        *columns(rows),
        Text(f"{total}{f', {size(sum(ours))} on top of the base' if ours else ''}", "dim"),
    ]


def _secrets(secrets: PublishedSecrets) -> list[Text]:
    """What was found, by its place; a secret itself is never shown."""
    rows = [
        [
            Text(digest.removeprefix("sha256:")[:12] or "settings", "dim"),
            Text(secret.kind, "bold red"),
            Text(secret.path),
        ]
        for digest, secret in secrets.found
    ]
    lines = columns(rows)
    for digest, reason in secrets.unread.items():
        lines.append(Text(f"{digest.removeprefix('sha256:')[:12]} was not searched: {reason}", "yellow"))
    base = f"; {plural(secrets.of_base, 'layer')} of the base not searched" if secrets.of_base else ""
    total = plural(len(secrets.found), "secret") if secrets.found else "no secrets"
    lines.append(Text(f"{total} in {plural(secrets.searched, 'layer')} and the settings{base}", "dim"))
    if secrets.found:
        lines.append(Text("Revoke each, then publish a version without it.", "cyan"))
    return lines


_ORIGINS = {True: "base", False: "folder", None: ""}


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _created(image: PublishedImage) -> str | None:
    created = image.labels.get(labels.CREATED) or image.config.get("created")
    return str(created) if created else None


def _shown(facts: dict[str, str]) -> list[Text]:
    return pairs({name: value for name, value in facts.items() if value})
