"""Runs `reconciler deploy`."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from reconciler.cli import options, prompts
from reconciler.cli.applying import Dialogue, Failed, apply_all
from reconciler.cli.prompts import Default, choose
from reconciler.cli.questions import ASKED, answers
from reconciler.core.diagnostics import UserError
from reconciler.core.events import Emit
from reconciler.core.plan import Action
from reconciler.core.plan_options import PlanOptions
from reconciler.core.values import Address
from reconciler.engine.apply import ApplyResult
from reconciler.engine.plan import PlanResult
from reconciler.engine.requests import ApplyOptions, PlanRequest, ReadOptions
from reconciler.engine.validate import ValidatedPipeline, validate
from reconciler.pipeline.bumps import Bump
from reconciler.pipeline.config import LoadedConfig, load
from reconciler.pipeline.toml.toml_edits import Edits, Value
from reconciler.pipeline.toml.toml_positions import Path as KeyPath
from reconciler.pipeline.version import bump, channel_tag, is_rc
from reconciler.views.counting import listed
from reconciler.views.phrases import reason
from reconciler.views.terminal.console import console
from reconciler.views.terminal.deployed import print_deployed, print_details
from reconciler.views.terminal.messages import print_applied

KEEP = "keep"


def run(
    name: str | None,
    where: options.TargetOptions,
    version: PlanRequest,
    take: tuple[Address, ...],
    image: str | None,
    cpu: int | None,
    gpu: int | None,
    yes: bool,
    apply_options: ApplyOptions,
    read_options: ReadOptions,
) -> int:
    edits = _edits_of_options(image, cpu, gpu)

    def pipelines(failed: Failed, emit: Emit) -> Iterator[ValidatedPipeline]:
        try:
            yield _read(options.pipeline_folder(name), edits, where.reads(read_options, search=True), emit)
        except UserError as problem:
            failed(problem)

    return apply_all(
        pipelines,
        where,
        replace(version, options=PlanOptions(take=take)),
        apply_options,
        yes=yes,
        dialogue=_Deploy,
        out=sys.stdout,
        err=sys.stderr,
    )


class _Deploy(Dialogue):
    verb = "deploy"
    question = "Deploy this?"
    default_answer = True
    may_bump = True

    def revise(self, planned: PlanResult, request: PlanRequest) -> PlanRequest:
        if request.bump is not None or planned.plan.has_errors or planned.plan.claimed:
            return request  # a plan that cannot be applied publishes no version
        reason, current = _new_version_reason(planned), planned.pipeline.config.metadata.version
        self.progress.pause()
        if reason is None:
            self.err.print(f"no new version: {current} {_no_bump_reason(planned)}", style="dim")
        if reason is None or not prompts.is_interactive():
            return request
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
        edits = planned.pipeline.loaded.edits.items()
        lost = [f"{path[-1]} {value}" for path, value in edits if path[-2:] in ASKED]
        if lost:
            self.err.print(f"Not saved in config.toml, because nothing was applied: {listed(lost)}")

    def report_applied(self, applied: ApplyResult) -> None:
        print_applied(applied, self.out, self.err, pages=False)
        if applied.succeeded:
            print_deployed(applied, self.out)


def _read(folder: Path, option_edits: Edits, read_options: ReadOptions, emit: Emit) -> ValidatedPipeline:
    """The pipeline, with answers for the values that its config.toml lacks. Raises UserError."""
    out, err = console(sys.stdout), console(sys.stderr)
    loaded = load(folder, option_edits, read_options.environment, read_options.shared)
    if loaded.config is None:
        raise UserError(*loaded.diagnostics)
    print_details(loaded.config, out)
    edits = _with_image_tag(loaded, answers(loaded, option_edits, err))
    validated = validate(folder, read_options, edits, emit=emit)
    validated.require_valid()
    return validated


def _edits_of_options(image: str | None, cpu: int | None, gpu: int | None) -> Edits:
    values: Mapping[KeyPath, Value | None] = {
        ("docker", "image_name"): image,
        ("docker", "cpu"): cpu,
        ("docker", "gpu"): gpu,
    }
    return {path: value for path, value in values.items() if value is not None}


def _with_image_tag(loaded: LoadedConfig, edits: Edits) -> Edits:
    """The edits, and the image tag of the version if config.toml has another one."""
    config = loaded.config
    assert config is not None
    tag = channel_tag(config.metadata.version)
    return edits if config.docker.image_tag == tag else {**edits, ("docker", "image_tag"): tag}


def _no_bump_reason(planned: PlanResult) -> str:
    """Why the version in config.toml stays."""
    image = next(step for step in planned.plan.steps if step.address.kind == "image")
    if image.action is Action.CREATE:
        return "is not published yet"
    if image.action is Action.NOOP:
        return "is published from this source"
    return "is built from this source"


def _new_version_reason(planned: PlanResult) -> str | None:
    """Why the plan needs a new version, or may need one; None if it needs none."""
    refusals = (step.refusal for step in planned.plan.steps if step.address.kind == "image")
    return next((reason(refusal.reason) for refusal in refusals if refusal is not None), None)
