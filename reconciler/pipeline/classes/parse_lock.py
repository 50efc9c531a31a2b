"""Room to parse Python source in, for all who read classes: one at a time, and no odd escape is told."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_ALONE = threading.Lock()


@contextmanager
def parsing() -> Iterator[None]:
    """Hold this around `ast.parse` and `compile`.

    In CPython 3.11 they count their depth for all threads together, and raise SystemError once two have been
    counted as one (https://github.com/python/cpython/issues/106905); what silences warnings is no safer.
    """
    with _ALONE, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in somebody's string is not our message
        yield
