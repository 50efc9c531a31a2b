"""Files as a benchmark needs them."""

import os
import time
from pathlib import Path

MINUTE = 60.0  # seconds


def make_older(folder: Path) -> None:
    """Set the times of the last write of all files to a minute ago: the index reads a new file again."""
    before = time.time() - MINUTE
    for path in folder.rglob("*"):
        os.utime(path, (before, before), follow_symlinks=False)
