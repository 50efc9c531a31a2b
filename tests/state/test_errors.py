"""The errors of the state store: the tree in the docstring of their module is that of the classes."""

import re

from state import errors


def test_the_docstring_draws_the_tree_of_the_classes() -> None:
    lines = re.findall(r"^    ([ │├└─]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    drawn = {(name, len(before) // 4) for before, name in lines}

    assert drawn == set(tree(errors.ReconcilerError, 0))


def tree(error: type[Exception], depth: int) -> list[tuple[str, int]]:
    below = [one for one in error.__subclasses__() if one.__module__ == errors.__name__]
    return [(error.__name__, depth), *(found for one in below for found in tree(one, depth + 1))]
