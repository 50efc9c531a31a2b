"""Options that several commands share. Each decorator passes its options to the command as one value."""

from reconciler.cli.options import completions
from reconciler.cli.options.applying import (
    applying,
    approval,
    command_line,
    dry_run,
    executor,
    fleet,
    lock_timeout,
    side_by_side,
)
from reconciler.cli.options.command import Command
from reconciler.cli.options.model import model
from reconciler.cli.options.param_types import ADDRESS, as_address
from reconciler.cli.options.planning import deciding, planning, resolving, take, versions
from reconciler.cli.options.reading import classes
from reconciler.cli.options.sections import SectionedCommand
from reconciler.cli.options.selecting import (
    SHARD,
    Selection,
    is_in_pipeline,
    pipeline,
    pipeline_folder,
    pipelines,
    pipelines_to_deploy,
    refuse_forced_bump_of_many,
    shard,
    start_workers,
)
from reconciler.cli.options.targets import (
    STATE,
    EnvironmentType,
    TargetOptions,
    among_stacks,
    destination,
    environment_names,
    login_filter_options,
    open_workspace,
    state_url,
    where,
    workspace,
)

__all__ = [
    "ADDRESS",
    "SHARD",
    "STATE",
    "Command",
    "EnvironmentType",
    "SectionedCommand",
    "Selection",
    "TargetOptions",
    "among_stacks",
    "applying",
    "approval",
    "as_address",
    "classes",
    "command_line",
    "completions",
    "deciding",
    "destination",
    "dry_run",
    "environment_names",
    "executor",
    "fleet",
    "is_in_pipeline",
    "lock_timeout",
    "login_filter_options",
    "model",
    "open_workspace",
    "pipeline",
    "pipeline_folder",
    "pipelines",
    "pipelines_to_deploy",
    "planning",
    "refuse_forced_bump_of_many",
    "resolving",
    "shard",
    "side_by_side",
    "start_workers",
    "state_url",
    "take",
    "versions",
    "where",
    "workspace",
]
