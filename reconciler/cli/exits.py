"""Exit codes, as scripts rely on them."""

DONE = 0
FAILED = 1
USAGE = 2
PENDING = 10
DRIFT = 11
CONFLICT = 12
UNCHECKED = 13
LOCKED = 13
INTERRUPTED = 130


class Exit(Exception):  # noqa: N818 - a way out, not an error
    """Leave the command with this code; everything that had to be said was said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
