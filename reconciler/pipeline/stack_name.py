"""The name of a pipeline's stack, which depends on its config.toml alone. Pure."""

from providers.enums import TRAINING
from providers.image_names import normal_name


def stack_name(kind: str, name: str, image_name: str, stack: str | None) -> str:
    """The name of the stack: `[reconciler] stack`, else a training's image, else metadata.name.

    The platform keeps the names of processings unique. The name of a training is no object there, so any
    number of trainings may share it.

    Args:
        kind: metadata.type.
        name: metadata.name.
        image_name: docker.image_name; its normal form counts.
        stack: `[reconciler] stack`, or None.

    Returns:
        The name; "" for a training without an image name, which has no stack yet.
    """
    if stack is not None:
        return stack
    return normal_name(image_name) if kind == TRAINING else name
