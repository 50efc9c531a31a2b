"""What `reconciler deploy` does."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from reconciler.cli import options, prompts
from reconciler.cli.applying import Dialogue, Failed, apply_all
from reconciler.cli.prompts import Default, choose
from reconciler.cli.questions import ASKED, answers
from reconciler.core.diagnostics import UserError
from reconciler.core.plan import Action, Plan
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
    name: str,
    where: options.TargetOptions,
    version: PlanRequest,
    image: str | None,
    cpu: int | None,
    gpu: int | None,
    yes: bool,
    apply_options: ApplyOptions,
    read_options: ReadOptions,
) -> int:
    given = _given(image, cpu, gpu)

    def found(failed: Failed) -> Iterator[ValidatedPipeline]:
        try:
            yield _read(options.pipeline_folder(name), given, where.reads(read_options))
        except UserError as problem:
            failed(problem)

    return apply_all(
        found,
        where,
        version,
        apply_options,
        yes=yes,
        dialogue=_Deploy,
        out=sys.stdout,
        err=sys.stderr,
    )


class _Deploy(Dialogue):
    verb = "deploy"
    question = "Deploy this?"
    usually = True
    bumps = True

    def revise(self, planned: PlanResult, request: PlanRequest) -> PlanRequest:
        if request.bump is not None or planned.plan.has_errors:
            return request  # with errors no version is published, so there is none to choose
        reason, current = _new_version_reason(planned), planned.pipeline.config.metadata.version
        self.watch.pause()
        if reason is None:
            self.err.print(f"no new version: {current} {_no_bump_reason(planned)}", style="dim")
        if reason is None or not prompts.someone_watches():
            return request
        self.err.print()
        self.err.print(reason, soft_wrap=not self.err.is_terminal)
        choices = {kind.value: f"{current} -> {bump(current, kind)}" for kind in Bump}
        if not is_rc(current):
            del choices[Bump.FINAL.value]
        default = Default(Bump.PATCH.value, "the smallest step")
        if is_rc(current):
            default = Default(Bump.RC.value, f"{current} is a candidate")
        if planned.foreign_version:
            choices[KEEP] = f"take {current} as it is, as made from these files"
        answer = choose("Version bump", choices, default, self.err)
        if answer == KEEP:
            return replace(request, accept_foreign=True)
        return replace(request, bump=Bump(answer))

    def is_refused_unseen(self, plan: Plan) -> bool:
        """Never: inputs that the class does not declare any more are documented to be removed."""
        return False

    def undone(self, planned: PlanResult) -> None:
        edits = planned.pipeline.loaded.edits.items()
        lost = [f"{path[-1]} {value}" for path, value in edits if path[-2:] in ASKED]
        if lost:
            self.err.print(f"Not saved in config.toml, as nothing was applied: {listed(lost)}")

    def done(self, applied: ApplyResult) -> None:
        print_applied(applied, self.out, self.err, pages=False)
        if applied.succeeded:
            print_deployed(applied, self.out)


def _read(folder: Path, given: Edits, read_options: ReadOptions) -> ValidatedPipeline:
    """The pipeline, with everything that was missing in its config.toml. Raises UserError."""
    out, err = console(sys.stdout), console(sys.stderr)
    loaded = load(folder, given, read_options.environment, read_options.shared)
    if loaded.config is None:
        raise UserError(*loaded.diagnostics)
    print_details(loaded.config, out)
    edits = _edits_to_write(loaded, answers(loaded, given, err))
    checked = validate(folder, read_options, edits)
    checked.require_valid()
    return checked


def _given(image: str | None, cpu: int | None, gpu: int | None) -> Edits:
    values: Mapping[KeyPath, Value | None] = {
        ("docker", "image_name"): image,
        ("docker", "cpu"): cpu,
        ("docker", "gpu"): gpu,
    }
    return {path: value for path, value in values.items() if value is not None}


def _edits_to_write(loaded: LoadedConfig, found: Edits) -> Edits:
    """The edits, and the image tag where config.toml has another one than is about to be registered."""
    config = loaded.config
    assert config is not None
    tag = channel_tag(config.metadata.version)
    return found if config.docker.image_tag == tag else {**found, ("docker", "image_tag"): tag}


def _no_bump_reason(planned: PlanResult) -> str:
    """Why the version in config.toml is good enough."""
    image = next(step for step in planned.plan.steps if step.address.kind == "image")
    if image.action is Action.CREATE:
        return "was never published"
    return "is published from this source" if image.action is Action.NOOP else "is this source"


def _new_version_reason(planned: PlanResult) -> str | None:
    """Why a new version has to be published, or may have to be; None when nothing is to be published."""
    refusals = (step.refusal for step in planned.plan.steps if step.address.kind == "image")
    return next((reason(refusal.reason) for refusal in refusals if refusal is not None), None)
