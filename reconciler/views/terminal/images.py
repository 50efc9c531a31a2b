"""The report on a published image and its source, for a terminal."""

from collections.abc import Iterator

from providers.docker import labels
from providers.docker.labels import SOURCE_KEY
from providers.docker.registry.layers import layers
from providers.docker.registry.manifests import PublishedImage
from providers.hiding import safe_message
from providers.json_value import JSON
from providers.protocol import builder_text
from reconciler.core.approval import SHORT
from reconciler.core.exit_codes import CONFLICT, DONE
from reconciler.engine.image_report import ImageReport, PublishedSecrets, effect_of_apply
from reconciler.engine.image_verify import ImageVerification
from reconciler.views import phrases
from reconciler.views.counting import plural, size
from reconciler.views.terminal.console import Console, columns, indented, pairs
from reconciler.views.terminal.text import Text
from reconciler.views.verification import sentence, way_out

_STYLES = {"nothing": "green", "re-tag": "yellow", "build": "yellow", "refuse": "bold red"}
_SYMBOLS = {"nothing": "=", "re-tag": "~", "build": "+", "refuse": "!"}
_NEVER = "1970-01-01T00:00:00Z"  # creation time of an image of a folder without a commit
_DIGITS = 19  # characters of a digest, with its "sha256:"
_BESIDE = 34  # columns before an instruction
_LONGEST = 100  # columns of an instruction without a terminal


def print_image(
    report: ImageReport,
    out: Console,
    *,
    no_state_reason: str = "",
    secrets: PublishedSecrets | None = None,
    verification: ImageVerification | None = None,
) -> None:
    """Print the verdict with its reasons, the published image, source, layers, secrets and provenance.

    Args:
        no_state_reason: why the report uses no state, if it uses none.
        secrets: the result of a search for secrets; None without a search.
        verification: the result of a verification; None without one.
    """
    out.print(Text.assemble((report.pipeline.name, "bold"), (f"  {report.repository}", "dim")))
    out.print()
    for line in _verdict(report):
        out.print(line)
    for title, lines in (
        ("published", _published(report)),
        ("source", _source(report, no_state_reason)),
        ("layers", _layers(report, out.width - _BESIDE if out.is_terminal else _LONGEST)),
        ("secrets", [] if secrets is None else _secrets(secrets)),
        ("provenance", [] if verification is None else _verification(verification, report)),
    ):
        if lines:
            out.print()
            out.print(Text(title, "bold"))
            for line in lines:
                out.print(indented(line, 2))


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
    if image is None and report.tags:
        tags = (f"{tag} -> {digest[:_DIGITS]}" for tag, digest in report.tags.items())
        return _nonempty_pairs({"tags": ", ".join(tags)})
    if image is None:
        return [Text("neither this version nor a channel tag is published", "dim")]
    here = [tag for tag, digest in report.tags.items() if digest == image.digest]
    elsewhere = [
        f"{tag} -> {digest[:_DIGITS]}" for tag, digest in report.tags.items() if digest != image.digest
    ]
    created = created_at(image) or ""
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
    return _nonempty_pairs(facts)


def _source(report: ImageReport, no_state_reason: str) -> list[Text]:
    key = report.key
    facts = {
        "source key": key.key[:_DIGITS],
        "files": f"{plural(len(key.files), 'file')}, {size(key.size)}",
        **{name: str(value) for name, value in settings(report).items()},
        "state": f"serial {report.serial}" if report.serial is not None else no_state_reason,
    }
    if report.builder is not None:
        facts["built by"] = builder_text(report.builder)
    return _nonempty_pairs(facts)


def settings(report: ImageReport) -> dict[str, JSON]:
    """The build settings, without tokens. Build arguments, variables and secrets only by name."""
    source = report.source
    return {
        name: safe_message(value)
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
    """The kind and the place of each secret, never the secret itself."""
    rows = [
        [
            Text(digest.removeprefix("sha256:")[:12] or "settings", "dim"),
            Text(secret.kind, "bold red"),
            Text(safe_message(secret.path)),
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


def _verification(found: ImageVerification, report: ImageReport) -> list[Text]:
    style = {DONE: "green", CONFLICT: "bold red"}.get(found.exit_code, "yellow")
    lines = [Text.assemble((found.result.value, style), f"  {sentence(found)}")]
    lines += [Text(f"  {line}") for line in found.differing]
    if way := way_out(found, report):
        lines.append(Text(way, "cyan"))
    statement = found.statement
    if statement is None:
        return lines
    facts = {
        "commit": str(statement.revision or ""),
        "folder": statement.path,
        "plan": statement.plan[:SHORT],
        "built by": statement.builder,
        "source key": found.source_key[:_DIGITS],
        "of the commit": found.commit_key[:_DIGITS] if found.commit_key != found.source_key else "",
    }
    return [*lines, *_nonempty_pairs(facts)]


_ORIGINS = {True: "base", False: "folder", None: ""}


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def created_at(image: PublishedImage) -> str | None:
    """The creation time of an image, in ISO 8601; None if it has none."""
    created = image.labels.get(labels.CREATED) or image.config.get("created")
    return str(created) if created else None


def _nonempty_pairs(facts: dict[str, str]) -> list[Text]:
    return pairs({name: safe_message(value) for name, value in facts.items() if value})
