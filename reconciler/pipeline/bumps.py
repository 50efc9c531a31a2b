"""The bumps that the command line offers."""

from enum import StrEnum


class Bump(StrEnum):
    """The part of the version to raise; the values of `--bump`."""

    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"
    RC = "rc"
    FINAL = "final"
