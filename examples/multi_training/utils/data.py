from typing import Any


def annotated_images(coco: dict[str, Any]) -> list[dict[str, Any]]:
    """The images that have at least one annotation."""
    annotated = {annotation["image_id"] for annotation in coco["annotations"]}
    return [image for image in coco["images"] if image["id"] in annotated]
