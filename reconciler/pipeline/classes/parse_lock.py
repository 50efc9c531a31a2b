"""A lock for parsing Python source: one thread at a time, without warnings about invalid escapes."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()


@contextmanager
def parsing() -> Iterator[None]:
    """Hold the lock around `ast.parse` and `compile`.

    CPython 3.11 counts their recursion depth for all threads together, and raises SystemError if two
    threads parse at the same time (https://github.com/python/cpython/issues/106905). `catch_warnings` is not
    thread-safe either.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in the pipeline's code are not our warnings
        yield
