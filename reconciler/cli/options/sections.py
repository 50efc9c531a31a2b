"""The help of a command with many options: in sections, by what the options are for."""

from typing import Final

import click

MANY: Final = 20
"""A command with fewer options shows them in one list."""

OTHERS: Final = "Options"
SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "Select pipelines": (
        *("--all", "--group", "--type", "--gpu", "--no-gpu", "--changed", "--stale", "--allow-empty"),
        *("--shard",),
    ),
    "Select the environment": ("--organization", "--env"),
    "Publish a version": ("--bump", "--force-bump", "--accept-foreign", "--final"),
    "Write to config.toml": (
        *("--image", "--cpu", "--gpu", "--model", "--model-version", "--framework", "--inference-type"),
        "--write",
    ),
    "Decide what changes": ("--target", "--replace", "--take", "--prune", "--ours", "--theirs"),
    "Apply a saved plan": ("--plan", "--skip-moved", "--skip-stale"),
    "Approve": ("--dry-run", "--yes", "--approve", "--override"),
    "Control the run": (
        *("--jobs", "--builds", "--waves", "--max-failures", "--parallel", "--rps", "--executor"),
        "--lock-timeout",
    ),
    "Write results": (
        *("--output", "--json", "--events", "--junit", "--markdown", "--html", "--dashboard"),
        *("--out", "--exit-code"),
    ),
    "Read classes": ("--python", "--static-only", "--class-timeout"),
    "Options of every command": ("--quiet", "--verbose", "--no-color", "--no-input", "--help"),
}
"""Heading -> its options, in the order of the help. `--gpu` is a choice of pipelines, or a value."""


class SectionedCommand(click.Command):
    """A command whose help has its options in sections if they are many."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [one for one in self.get_params(ctx) if isinstance(one, click.Option) and not one.hidden]
        if len(options) < MANY:
            super().format_options(ctx, formatter)
            return
        sections: dict[str, list[click.Option]] = {OTHERS: [], **{heading: [] for heading in SECTIONS}}
        for one in options:
            sections[section_of(one)].append(one)
        for heading, found in sections.items():
            order = SECTIONS.get(heading, ())
            found.sort(key=lambda one: _name(one) in order and order.index(_name(one)))
            records = [record for one in found if (record := one.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def section_of(option: click.Parameter) -> str:
    """The heading of an option."""
    name = _name(option)
    if name == "--gpu":
        return "Select pipelines" if option.secondary_opts else "Write to config.toml"
    return next((heading for heading, names in SECTIONS.items() if name in names), OTHERS)


def _name(option: click.Parameter) -> str:
    return max(option.opts, key=len)
