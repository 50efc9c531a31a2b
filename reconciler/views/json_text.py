"""How every JSON document of ours is written."""

from reconciler.core.values import JSON
from reconciler.views.safe import json_text


def written(document: JSON) -> str:
    return json_text(document)
