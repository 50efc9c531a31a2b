"""Runs `reconciler deploy`."""

import sys
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

import click
from msgspec.structs import replace

from providers.text import shown_names
from reconciler.api.applying import ApplyResult, PlanResult
from reconciler.api.commands import Command
from reconciler.api.requests import ApplyOptions, Consent, FleetOptions, PlanRequest, ReadOptions
from reconciler.api.validating import ValidatedPipeline, validate
from reconciler.cli import kept_answers, options, prompts
from reconciler.cli.applying import Dialogue, WritingCommand
from reconciler.cli.outputs import Outputs
from reconciler.cli.prompts import Default, Question, choose
from reconciler.cli.questions import ASKED, MODEL, answers, form
from reconciler.cli.report_files import terminal
from reconciler.cli.selected_applying import apply_selected
from reconciler.core.events import Emit
from reconciler.core.plan import Action, Plan
from reconciler.core.plan_options import PlanOptions
from reconciler.core.values import Address
from reconciler.pipeline.bumps import Bump
from reconciler.pipeline.config import load
from reconciler.pipeline.toml.edits import Edits, Value
from reconciler.pipeline.toml.toml_positions import Path as KeyPath
from reconciler.pipeline.version import bump, image_tag_edits, is_rc
from reconciler.views.counting import listed, plural
from reconciler.views.phrases import reason
from reconciler.views.terminal.console import Console, console
from reconciler.views.terminal.deployed import print_deployed, print_details
from reconciler.views.terminal.messages import print_applied

KEEP = "keep"
NONE = "none"


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    version: PlanRequest,
    take: tuple[Address, ...],
    image: str | None,
    cpu: int | None,
    gpu: int | None,
    model: Mapping[str, str],
    dry_run: bool,
    consent: Consent,
    fleet_options: FleetOptions,
    apply_options: ApplyOptions,
    outputs: Outputs,
    read_options: ReadOptions,
) -> int:
    edits = _edits_of_options(image, cpu, gpu, model)
    request = replace(version, options=PlanOptions(take=take))
    options.refuse_forced_bump_of_many(selection.request, request, where, "deploy")
    if dry_run:
        from reconciler.cli.handlers import plan

        unused = {"--image": image, "--cpu": cpu is not None, "--gpu": gpu is not None, "--model": model}
        return plan.dry_run(selection, where, request, fleet_options, outputs, read_options, unused=unused)
    if edits and not selection.request.is_of_one:
        raise click.UsageError("the options for values of config.toml, such as --image, are for one pipeline")
    does = Command.deploy(where.reads(read_options, search=True))
    return apply_selected(
        WritingCommand(does, Question.DEPLOY, _Deploy, _with_bump),
        selection,
        where,
        request,
        consent=consent,
        fleet_options=fleet_options,
        apply_options=apply_options,
        read_options=read_options,
        outputs=outputs,
        read=partial(_read, edits, terminal(outputs)),
    )


def _with_bump(plans: Collection[Plan], request: PlanRequest) -> PlanRequest:
    """The options after one question about the versions of all pipelines that need a new one."""
    new = [plan for plan in plans if not plan.has_errors and not plan.claimed and _new_version_reason(plan)]
    if request.bump is not None or not new or not prompts.is_interactive():
        return request
    err = console(sys.stderr)
    err.print()
    names = shown_names([plan.stack.name for plan in new], 8)
    err.print(f"{plural(len(new), 'pipeline')} need a new version: {names}")
    choices = {kind.value: kind.value for kind in Bump} | {NONE: "publish no new version"}
    default = Default(Bump.PATCH.value, "the smallest bump")
    answer = choose("Version bump for all of them", choices, default, err)
    return request if answer == NONE else replace(request, bump=Bump(answer))


class _Deploy(Dialogue):
    may_bump = True

    def revise(self, planned: PlanResult, request: PlanRequest) -> PlanRequest:
        if request.bump is not None or planned.plan.has_errors or planned.plan.claimed:
            return request  # a plan that cannot be applied publishes no version
        reason, current = _new_version_reason(planned.plan), planned.pipeline.config.metadata.version
        self.progress.pause()
        if reason is None:
            self.err.print(f"no new version: {current} {_no_bump_reason(planned)}", style="dim")
        if reason is None or not prompts.is_interactive():
            return request
        if not planned.foreign_version:  # which needs no build if it is accepted
            from reconciler.api.images import require_builder

            require_builder(planned.pipeline)
        self.err.print()
        self.err.print(reason)
        choices = {kind.value: f"{current} -> {bump(current, kind)}" for kind in Bump}
        if not is_rc(current):
            del choices[Bump.FINAL.value]
        default = Default(Bump.PATCH.value, "the smallest bump")
        if is_rc(current):
            default = Default(Bump.RC.value, f"{current} is a release candidate")
        if planned.foreign_version:
            choices[KEEP] = f"accept {current} as made from these files"
        answer = choose("Version bump", choices, default, self.err)
        if answer == KEEP:
            return replace(request, accept_foreign=True)
        return replace(request, bump=Bump(answer))

    def needs_yes(self, planned: PlanResult) -> bool:
        """Never: deploy is documented to remove inputs that the class no longer declares."""
        return False

    def report_not_applied(self, planned: PlanResult) -> None:
        self._report_not_saved(planned, "nothing was applied")

    def report_applied(self, applied: ApplyResult) -> None:
        print_applied(applied, self.out, self.err, pages=False)
        if applied.succeeded:
            print_deployed(applied, self.out)
            kept_answers.forget(applied.planned.pipeline.loaded.path)
        else:
            self._report_not_saved(applied.planned, "the deploy did not succeed")

    def _report_not_saved(self, planned: PlanResult, why: str) -> None:
        """Print the answers and options that config.toml has not got."""
        edits = planned.pipeline.loaded.edits.items()
        lost = [f"{path[-1]} {value}" for path, value in edits if path[-2:] in ASKED]
        if lost:
            self.err.print(f"Not saved in config.toml, because {why}: {listed(lost)}")


def _read(
    option_edits: Edits, out: Console, folder: Path, read_options: ReadOptions, emit: Emit
) -> ValidatedPipeline:
    """The pipeline, with answers for the values that its config.toml lacks. Raises UserError."""
    err = console(sys.stderr)
    loaded = load(folder, None, read_options.environment, read_options.shared)
    asked = form(loaded, option_edits)
    assert asked.complete.config is not None
    config = asked.complete.config
    if not config.is_training and any(path[0] == MODEL for path in option_edits):
        raise click.UsageError("the options for a model are for a training pipeline")
    print_details(config, out)

    def check() -> None:
        from reconciler.api.images import require_builder  # late: few runs ask

        found = validate(folder, read_options, asked.stand_ins, emit=emit)
        pipeline, _ = found.require_valid()
        require_builder(pipeline, found.source)

    edits = {
        **answers(asked, err, check),
        **image_tag_edits(config.metadata.version, config.docker.image_tag, loaded.channel),
    }
    validated = validate(folder, read_options, edits, emit=emit)
    validated.require_valid()
    return validated


def _edits_of_options(image: str | None, cpu: int | None, gpu: int | None, model: Mapping[str, str]) -> Edits:
    values: dict[KeyPath, Value | None] = {
        ("docker", "image_name"): image,
        ("docker", "cpu"): cpu,
        ("docker", "gpu"): gpu,
        **{(MODEL, key): value for key, value in model.items()},
    }
    return {path: value for path, value in values.items() if value is not None}


def _no_bump_reason(planned: PlanResult) -> str:
    """Why the version in config.toml stays."""
    image = next(step for step in planned.plan.steps if step.address.kind == "image")
    if image.action is Action.CREATE:
        return "is new, so it needs no bump"
    if image.action is Action.NOOP:
        return "is published from this source"
    return "is built from this source"


def _new_version_reason(plan: Plan) -> str | None:
    """Why the plan needs a new version, or may need one; None if it needs none."""
    refusals = (step.refusal for step in plan.steps if step.address.kind == "image")
    return next((reason(refusal.reason) for refusal in refusals if refusal is not None), None)
