"""Runs `reconciler completion`."""

from reconciler.cli.documents import print_document
from reconciler.cli.shells import script
from reconciler.core.exit_codes import DONE


def run(shell: str) -> int:
    print_document(script(shell))
    return DONE
