from collections import Counter
from typing import Any


def agreed(
    proposals: list[dict[str, Any]], votes: int, thresholds: dict[str, float]
) -> list[dict[str, Any]]:
    """One annotation for each box that at least `votes` models propose with enough confidence."""
    sure = [one for one in proposals if one["score"] >= thresholds.get(one["model"], 0.0)]
    count = Counter((one["image_id"], one["category_id"], tuple(one["bbox"])) for one in sure)
    first = {(one["image_id"], one["category_id"], tuple(one["bbox"])): one for one in reversed(sure)}
    return [first[box] for box, number in count.items() if number >= votes]
