"""The report on a published image and its source, as a JSON document."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from providers.docker import labels
from providers.docker.registry.layers import Layer, layers
from providers.docker.registry.manifests import PublishedImage
from providers.hiding import safe_message
from providers.json_value import JSON
from providers.regular_files import read_regular
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.engine.image_report import ImageReport, PublishedSecrets, effect_of_apply
from reconciler.engine.image_verify import ImageVerification
from reconciler.views import phrases
from reconciler.views.reports.document_parts import UNUSABLE, Document, cause_of, diagnostic_to_document
from reconciler.views.reports.field_types import check_fields
from reconciler.views.safe import json_text
from reconciler.views.terminal.images import created_at, settings
from reconciler.views.verification import sentence, way_out

FORMAT = "reconciler/image"


class ImageVersion(Struct, frozen=True):
    """A published image, as a report shows it.

    Attributes:
        version: the version in its labels; "" if it has none.
        size: of all layers, in bytes.
        created: seconds since 1970; 0 if unknown.
        layers: lowest first.
    """

    repository: str
    version: str
    digest: str
    size: int
    created: int
    layers: tuple[Layer, ...]


def read_images(path: Path) -> list[ImageVersion]:
    """The published images in a file that `image --json` wrote.

    Raises:
        UserError: the file cannot be read, or has no such report.
    """
    try:
        document = json.loads(read_regular(path))
        documents = [document] if document["format"] == FORMAT else document["images"]
        return [_image_version(one) for one in documents if one["published"] is not None]
    except OSError as problem:
        raise UserError(error("the report cannot be read", f"{problem.strerror}.", file=path)) from None
    except UNUSABLE as problem:
        detail = f"{cause_of(problem)}. Use a file that `reconciler image --json` printed."
        raise UserError(error("the file is not a report about images", detail, file=path)) from None


def _image_version(document: Document) -> ImageVersion:
    published = document["published"]
    image = ImageVersion(
        str(document["repository"]),
        str(published["version"] or ""),
        str(published["digest"]),
        int(published["size"]),
        _seconds(published["created"] or ""),
        tuple(
            Layer(str(one["digest"]), int(one["size"]), safe_message(str(one["instruction"])), one["of_base"])
            for one in published["layers"]
        ),
    )
    check_fields(image)
    return image


def _seconds(created: str) -> int:
    """Seconds since 1970, of a time that a builder wrote; 0 if it is none."""
    try:
        time = datetime.fromisoformat(created)
        return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return 0


def images_text(documents: Sequence[JSON], errors: Sequence[Diagnostic]) -> str:
    """Several reports in one document. `errors` has the problems of pipelines without a report."""
    return json_text(
        {
            "format": f"{FORMAT}s",
            "version": 1,
            "images": list(documents),
            "errors": [diagnostic_to_document(problem) for problem in errors],
        }
    )


def image_document(
    report: ImageReport,
    secrets: PublishedSecrets | None = None,
    verification: ImageVerification | None = None,
) -> dict[str, JSON]:
    """The report as a document for scripts.

    Args:
        secrets: the result of a search for secrets; None without a search.
        verification: the result of a verification; None without one.
    """
    assessment, refusal = report.assessment, report.assessment.refusal
    document: dict[str, JSON] = {
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
        "published": None if report.image is None else _published(report.image),
        "source": _source(report),
        "builder": {"name": report.builder.name, "reason": report.builder.reason} if report.builder else None,
        "serial": report.serial,
    }
    if secrets is not None:
        document["secrets"] = _secrets(secrets)
    if verification is not None:
        document["verification"] = _verification(verification, report)
    return document


def _verification(found: ImageVerification, report: ImageReport) -> JSON:
    statement = found.statement
    revision = statement.revision if statement else None
    return {
        "result": found.result.value,
        "reason": sentence(found),
        "way_out": way_out(found, report) or None,
        "commit": revision.commit if revision else None,
        "dirty": revision.is_dirty if revision else None,
        "path": statement.path if statement else None,
        "plan": statement.plan or None if statement else None,
        "builder": statement.builder if statement else None,
        "statement": statement.digest if statement else None,
        "source_key": found.source_key or None,
        "commit_source_key": found.commit_key or None,
        "files_compared": found.files_compared,
        "differing": list(found.differing),
        "missing": list(found.missing),
    }


def _published(image: PublishedImage) -> JSON:
    return {
        "digest": image.digest,
        "media_type": image.media_type,
        "platform": image.platform,
        "size": image.size,
        "version": image.labels.get(labels.VERSION),
        "created": created_at(image),
        "revision": image.labels.get(labels.REVISION),
        "source_key": image.labels.get(labels.SOURCE_KEY),
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


def _source(report: ImageReport) -> JSON:
    return {
        "version": report.desired["version"],
        "channel": report.desired["channel"],
        "key": report.key.key,
        "files": len(report.key.files),
        "bytes": report.key.size,
        "settings": settings(report),
    }


def _secrets(secrets: PublishedSecrets) -> JSON:
    return {
        "found": [
            {"layer": digest or None, "path": secret.path, "kind": secret.kind}
            for digest, secret in secrets.found
        ],
        "unread": [{"layer": digest, "reason": reason} for digest, reason in secrets.unread.items()],
        "searched": secrets.searched,
        "of_base": secrets.of_base,
    }
