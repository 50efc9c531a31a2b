"""The names that a config.toml and an inputs class may use, as data.

Taken from the public SDK 6.37 (`picsellia.types.enums`), which takes a second to import; a test holds the two
equal. Nothing here is ever sent: it only tells a good name from a bad one before anything was built.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

TRAINING: Final = "TRAINING"
NOT_CONFIGURED: Final = "NOT_CONFIGURED"

FRAMEWORKS: Final = ("TENSORFLOW", "PYTORCH", "ONNX", NOT_CONFIGURED)

# The official documentation's training example says YOLOV8, which no SDK lists.
DOCUMENTED_FRAMEWORKS: Final = ("YOLOV8",)

INFERENCE_TYPES: Final = (
    NOT_CONFIGURED,
    "CLASSIFICATION",
    "OBJECT_DETECTION",
    "SEGMENTATION",
    "POINT",
    "KEYPOINT",
    "LINE",
    "MASK",
    "MULTI",
)

PROCESSING_TYPES: Final = (
    "PRE_ANNOTATION",
    "DATA_AUGMENTATION",
    "DATASET_VERSION_CREATION",
    "AUTO_TAGGING",
    "AUTO_ANNOTATION",
    "DATA_AUTO_TAGGING",
    "MODEL_COMPRESSION",
    "MODEL_CONVERSION",
)

INPUT_TYPES: Final = ("TEXT", "NUMBER", "DATASET_VERSION", "MODEL_VERSION", "MODEL", "DATALAKE", "DATASET")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` with its leading space, or "" when nothing known is near; case does not matter."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""
