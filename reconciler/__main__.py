"""The start of the command line, also `python -m reconciler`."""

import gc
from typing import NoReturn

from reconciler import starting  # first: Ctrl-C during the other imports ends with one word


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    starting.end_on_interruption()
    starting.replace_closed_streams()
    # Most of what a command makes stays until its end: looking for cycles in it took an eighth of a start.
    gc.set_threshold(100_000)
    from reconciler.cli import main as run

    run()


if __name__ == "__main__":
    main()
