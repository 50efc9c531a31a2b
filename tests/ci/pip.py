"""A stand-in for pip, which installs nothing: what a workflow asks for has to be what is here.

It knows `pip install REQUIREMENT...`; the packages of extras have to be here, too.
"""

import sys
from importlib.metadata import distribution

from packaging.requirements import Requirement


def here(requirement: Requirement) -> bool:
    """Whether it is installed, with its extras and in a version that fits. Raises PackageNotFoundError."""
    found = distribution(requirement.name)
    if not requirement.extras <= set(found.metadata.get_all("Provides-Extra", [])):
        return False
    of_extras = [
        needed
        for needed in map(Requirement, found.requires or [])
        if needed.marker and any(needed.marker.evaluate({"extra": extra}) for extra in requirement.extras)
    ]
    return requirement.specifier.contains(found.version) and all(here(needed) for needed in of_extras)


def main(arguments: list[str]) -> int:
    match arguments:
        case ["install", *requirements] if requirements:
            return 0 if all(here(Requirement(asked)) for asked in requirements) else 1
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
