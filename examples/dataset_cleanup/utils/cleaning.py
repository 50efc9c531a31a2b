import hashlib
import os
import shutil
from typing import Any

from PIL import Image, ImageFilter, ImageStat


def images_to_keep(
    images_dir: str,
    images: list[dict[str, Any]],
    smallest_side: int,
    least_sharpness: float,
    drop_duplicates: bool,
) -> list[dict[str, Any]]:
    """The images that are large enough, sharp enough and not seen before."""
    kept, seen = [], set()
    for image in images:
        with Image.open(os.path.join(images_dir, image["file_name"])) as opened:
            grey = opened.convert("L")
        if min(grey.size) < smallest_side or sharpness(grey) < least_sharpness:
            continue
        content = hashlib.sha256(grey.tobytes()).digest()
        if drop_duplicates and content in seen:
            continue
        seen.add(content)
        kept.append(image)
    return kept


def sharpness(grey: Image.Image) -> float:
    """How much the edges vary: a blurred image has few."""
    return ImageStat.Stat(grey.filter(ImageFilter.FIND_EDGES)).var[0]


def copy_kept_images(images: list[dict[str, Any]], source: str, target: str) -> None:
    os.makedirs(target, exist_ok=True)
    for image in images:
        shutil.copy2(os.path.join(source, image["file_name"]), os.path.join(target, image["file_name"]))
