"""Runs `reconciler schema`."""

import sys
from pathlib import Path

import click

from reconciler.cli import options
from reconciler.cli.documents import print_document
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE
from reconciler.pipeline import FILE_NAME
from reconciler.schemas import NAMES, schema_text
from reconciler.schemas.editors import link_file, save_schema
from reconciler.system.files import display_path, writing
from reconciler.views.terminal.console import console
from reconciler.views.terminal.text import Text
from reconciler.workspace.discovery import find_all


def run(name: str | None, link: bool) -> int:
    if link and name is not None:
        raise click.UsageError("--link saves the schemas that editors need; leave the name out")
    if link:
        _link()
    elif name is not None:
        print_document(schema_text(name))
    else:
        out = console(sys.stdout)
        width = max(map(len, NAMES))
        for one, meaning in NAMES.items():
            out.print(Text(f"{one:<{width}}  {meaning}"))
    return DONE


def _link() -> None:
    """Raises UserError if a file cannot be written."""
    out = console(sys.stdout)
    workspace = options.workspace()
    files = [(folder / FILE_NAME, "config") for folder in find_all(Path.cwd(), workspace)]
    if workspace.file is not None:
        files.append((workspace.file, "workspace"))
    if not files:
        detail = "Run the command in the folder of a workspace or a pipeline."
        raise UserError(error("there is no config.toml and no reconciler.toml here", detail))
    for name in dict.fromkeys(name for _, name in files):
        with writing(workspace.root / ".schemas", "the schema cannot be saved"):
            saved = save_schema(workspace.root, name)
        if saved is not None:
            out.print(f"saved {display_path(saved)}")
    for file, name in files:
        with writing(file, "the file cannot be written"):
            changed = link_file(file, workspace.root, name)
        out.print(f"{'changed' if changed else 'unchanged'} {display_path(file)}")
