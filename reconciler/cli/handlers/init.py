"""Runs `reconciler init`."""

import shlex
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import click

from providers.enums import TRAINING
from reconciler.cli import kept_answers, options, prompts
from reconciler.cli.prompts import Default, ask, choose
from reconciler.cli.questions import MODEL, answers, form
from reconciler.core.diagnostics import UserError, error, warning
from reconciler.core.exit_codes import DONE
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.config import read
from reconciler.pipeline.new_pipeline import TYPES, NewPipeline, create, files_of, name_problem
from reconciler.pipeline.stacks import stacks_of
from reconciler.pipeline.toml.edits import Value
from reconciler.pipeline.toml.toml_edits import apply_edits
from reconciler.pipeline.toml.toml_positions import Path as KeyPath
from reconciler.schemas.editors import linked
from reconciler.system.files import display_path, writing
from reconciler.views.counting import plural
from reconciler.views.terminal.console import Console, console
from reconciler.views.terminal.messages import print_diagnostics, print_pairs
from reconciler.views.terminal.text import Text
from reconciler.workspace.discovery import PipelineIndex, folders_of_stack

_PARTS = {
    "steps.py": "your work",
    "utils/inputs.py": "the inputs that a job is started with",
    "utils/parameters.py": "the parameters, with their defaults",
    "pyproject.toml": "the packages that the image gets",
    FILE_NAME: "everything that is deployed",
}


def run(
    folder: Path | None, type_: str | None, image: str | None, model: Mapping[str, str], base: str
) -> int:
    out, err = console(sys.stdout), console(sys.stderr)
    if not prompts.is_interactive():
        missing = {"NAME": folder is None, "--type TYPE": type_ is None}
        if names := [name for name, is_missing in missing.items() if is_missing]:
            raise click.UsageError(f"without a terminal, init needs {' and '.join(names)}")
    if folder is None:
        folder = Path(str(ask("Name", "letters, digits and _", None, _usable_name, err)))
    _refuse(folder)
    if type_ is None:
        type_ = choose("Type", TYPES, Default(next(iter(TYPES)), "the usual one"), err)
    if model and type_ != TRAINING:
        raise click.UsageError("the options for a model are for a training pipeline")
    if type_ != TRAINING:
        _refuse_taken(folder.name)
    files = files_of(NewPipeline(folder.name, type_, base))
    config = _complete(folder, files[FILE_NAME], image, model, err)
    for stack in {*stacks_of(tomllib.loads(config)).values()}:
        _refuse_taken(stack)
    files[FILE_NAME] = linked(config, folder / FILE_NAME, options.workspace().root, "config")
    with writing(folder, f"{folder} cannot be made", "Nothing was written."):
        try:
            create(folder, files)
        except FileExistsError:
            _refuse(folder)
            raise
    kept_answers.forget(folder / FILE_NAME)
    shown = display_path(folder)
    out.print(
        Text.assemble(("Created ", "bold green"), f"{shown} with {plural(len(files), 'file')}. To edit:")
    )
    print_pairs({path: text for path, text in _PARTS.items() if path in files}, out, indent=2)
    if reason := options.workspace().excludes(folder):
        print_diagnostics([warning(f"{shown} is not a pipeline of the workspace", reason)], err)
    workspace = options.workspace()
    if others := [
        one
        for one in PipelineIndex(workspace.root, workspace).called(folder.name)
        if not one.samefile(folder)
    ]:
        also = f"{plural(len(others), 'other pipeline')} called {folder.name}"
        places = ", ".join(map(display_path, others))
        detail = f"In {places}. Commands need the path of the folder: reconciler plan {shlex.quote(shown)}"
        print_diagnostics([warning(f"the workspace has {also}", detail)], err)
    out.print("Check it, and deploy it:")
    out.print(f"  reconciler validate {shlex.quote(shown)}")
    out.print(f"  reconciler deploy {shlex.quote(shown)}")
    return DONE


def _complete(folder: Path, text: str, image: str | None, model: Mapping[str, str], err: Console) -> str:
    """The text of config.toml with the values of the options and the answers. Raises UserError."""
    given: dict[KeyPath, Value] = {(MODEL, key): value for key, value in model.items()}
    if image is not None:
        given["docker", "image_name"] = image
    loaded = read(text, folder / FILE_NAME, shared=options.workspace().shared())
    return apply_edits(text, answers(form(loaded, given), err))


def _refuse_taken(stack: str) -> None:
    """Raise UserError if a pipeline of the workspace has this stack."""
    workspace = options.workspace()
    for folder in folders_of_stack(stack, workspace.root, workspace):
        detail = (
            f"{display_path(folder)} has it, and two pipelines with one stack overwrite each other's state. "
            "Choose another name for the pipeline, or of a training, for its image."
        )
        raise UserError(error(f"the stack {stack!r} is taken", f"{detail} Nothing was written."))


def _usable_name(typed: Value) -> str:
    name = str(typed).strip()
    if (problem := name_problem(name)) is not None:
        raise click.UsageError(f"The name {problem}.")
    if Path(name).exists():
        raise click.UsageError(f"{name} exists already.")
    return name


def _refuse(folder: Path) -> None:
    """Raise UserError if no pipeline can be made in this folder."""
    if folder.name in ("", ".."):
        detail = "init makes a new folder. Name it, as in: reconciler init my_pipeline"
        raise UserError(error(f"{str(folder)!r} cannot be the name of a pipeline", detail))
    if (problem := name_problem(folder.name)) is not None:
        raise UserError(error(f"{folder.name!r} cannot be the name of a pipeline", f"It {problem}."))
    if folder.exists() or folder.is_symlink():
        detail = "init never writes into an existing folder. Choose another name, or move that folder away."
        raise UserError(error(f"{folder} exists already", detail))
    if not folder.parent.is_dir():
        detail = f"Create it:  mkdir -p {shlex.quote(str(folder.parent))}"
        raise UserError(error(f"there is no folder {folder.parent}", detail))
