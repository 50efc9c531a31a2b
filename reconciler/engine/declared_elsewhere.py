"""Finds what a plan would delete although another pipeline of the workspace declares it, or may declare it.

Each config.toml of the workspace counts, whatever is selected, and whether its pipeline can be planned or
not. They are read only for a plan that deletes what its own file does not declare.
"""

import shlex
import threading
from collections.abc import Collection, Container, Iterator, Mapping
from pathlib import Path

from providers.regular_files import real_path
from providers.table import FACTS
from reconciler.core.diagnostics import Diagnostic, error
from reconciler.core.plan import Action, Stack, Step
from reconciler.core.remote import RemoteState
from reconciler.core.values import Address
from reconciler.engine.renames import WorkspaceFiles
from reconciler.engine.sources import root_of
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.exclusive import named_resources
from reconciler.pipeline.load import Pipeline
from reconciler.system.files import display_path

_Named = Mapping[Path, set[Address] | None]


class DeclaredElsewhere:
    """What the files of a workspace name. Each is read once, when the first plan needs it. Thread-safe.

    Args:
        files: finds the files; None if no other one counts.
    """

    def __init__(self, files: WorkspaceFiles | None) -> None:
        self._files = files
        self._named: dict[tuple[Path, str | None], _Named] = {}
        self._reading = threading.Lock()

    def errors(
        self, stack: Stack, pipeline: Pipeline | None, steps: tuple[Step, ...], remote_state: RemoteState
    ) -> Iterator[Diagnostic]:
        """An error for each delete of what another file declares, or of anything if one cannot be read.

        What the pipeline's own file declares is its own. Objects that a class lists belong to their parent.

        Args:
            pipeline: None for a stack without a folder, in the workspace of the current one.
        """
        deletes = [
            step for step in steps if step.action is Action.DELETE and not FACTS[step.address.kind].listed_by
        ]
        if self._files is None or not deletes:
            return
        own: Container[Address] = ()
        if pipeline is not None:
            root, environment = root_of(pipeline) or pipeline.real_folder, pipeline.loaded.environment
            known: Collection[str] = pipeline.loaded.shared.environments
            own = named_resources(pipeline.loaded.document, environment, known) or ()
        else:
            root, environment = Path.cwd(), stack.environment
            known = self._files.environments_of(root)
        deletes = [step for step in deletes if step.address not in own]
        if not deletes:
            return
        way = (
            f"Leave it to that pipeline:  reconciler state forget --stack {shlex.quote(str(stack))}"
            if pipeline is None
            else "Apply without --prune first: it leaves the state of this stack, stays on the platform, and "
            "the other pipeline can take it."
        )
        others = dict(self._named_in(root, environment, known))
        if pipeline is not None:
            others.pop(pipeline.real_folder, None)
        for step in deletes:
            live = remote_state.found.get(step.address)
            names = {step.address, *([Address(step.address.kind, live.name)] if live is not None else [])}
            for folder, named in others.items():
                if named is None or named & names:
                    yield _unknown(step, folder) if named is None else _declared(step, folder, way)
                    break

    def _named_in(self, root: Path, environment: str | None, known: Container[str]) -> _Named:
        assert self._files is not None
        with self._reading:
            if (root, environment) not in self._named:
                documents = self._files.documents_below(real_path(root))
                self._named[root, environment] = {
                    folder: named_resources(document, environment, known)
                    for folder, document in documents.items()
                }
        return self._named[root, environment]


def _declared(step: Step, folder: Path, way: str) -> Diagnostic:
    return error(
        f"{step.address} would be deleted, but the files of {display_path(folder)} declare it",
        way,
        address=str(step.address),
        file=folder / FILE_NAME,
    )


def _unknown(step: Step, folder: Path) -> Diagnostic:
    return error(
        f"{step.address} would be deleted, but {display_path(folder)} may declare it: "
        f"its {FILE_NAME} does not say",
        f"Correct or delete {FILE_NAME} there first, or leave the folder out: [workspace] exclude of "
        "reconciler.toml.",
        address=str(step.address),
        file=folder / FILE_NAME,
    )
