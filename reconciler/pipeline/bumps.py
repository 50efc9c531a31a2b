"""The ways to raise a version, which the command line offers."""

from enum import StrEnum


class Bump(StrEnum):
    """What to raise; the words of `--bump`."""

    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"
    RC = "rc"
    FINAL = "final"
