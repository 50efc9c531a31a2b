"""What a command does with one pipeline, alone or among many: how it plans it, and applies the plan."""

from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.diagnostics import UserError
from reconciler.core.plan import Plan
from reconciler.engine.apply import ApplyRequest, ApplyResult, apply_plan
from reconciler.engine.plan import with_build_warnings
from reconciler.engine.promote import plan_pipeline
from reconciler.engine.requests import PlanRequest, ReadOptions
from reconciler.engine.rollback import plan_back, roll_back
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline, validate
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.version import image_tag_edits


class Operation(Protocol):
    """Plans one pipeline, and applies a plan of it. Can be pickled. Both raise as `apply_plan`."""

    def plan(self, session: Session, validated: ValidatedPipeline, request: PlanRequest) -> Plan: ...

    def apply(
        self, session: Session, validated: ValidatedPipeline, plan_request: PlanRequest, request: ApplyRequest
    ) -> ApplyResult: ...


class ApplyFiles(Struct, frozen=True):
    """Brings the platform in line with the files, promotes, or deletes what is in the state: as requested."""

    def plan(self, session: Session, validated: ValidatedPipeline, request: PlanRequest) -> Plan:
        planned = with_build_warnings(plan_pipeline(session, validated, request))
        return replace(planned.plan, writes_config=bool(planned.edits))

    def apply(
        self, session: Session, validated: ValidatedPipeline, plan_request: PlanRequest, request: ApplyRequest
    ) -> ApplyResult:
        return apply_plan(session, validated, plan_request, request)


class DeployFiles(Struct, frozen=True):
    """As `ApplyFiles`, and the image tag of the version goes into config.toml if it has another one.

    Attributes:
        read: how to read the files.
    """

    read: ReadOptions

    def plan(self, session: Session, validated: ValidatedPipeline, request: PlanRequest) -> Plan:
        edited = self._with_image_tag(session, validated)
        planned = with_build_warnings(plan_pipeline(session, edited, request))
        return replace(planned.plan, writes_config=bool(planned.edits))

    def apply(
        self, session: Session, validated: ValidatedPipeline, plan_request: PlanRequest, request: ApplyRequest
    ) -> ApplyResult:
        return apply_plan(session, self._with_image_tag(session, validated), plan_request, request)

    def _with_image_tag(self, session: Session, validated: ValidatedPipeline) -> ValidatedPipeline:
        pipeline, _ = validated.require_valid()
        config = pipeline.config
        tag = config.docker.image_tag
        edits = image_tag_edits(config.metadata.version, tag, pipeline.declared_channel)
        return validate(pipeline.folder, self.read, edits, emit=session.emit) if edits else validated


class RollBack(Struct, frozen=True):
    """Restores an earlier state version. Needs config.toml alone, without classes and source.

    Attributes:
        is_of_many: see `find_earlier`.
    """

    is_of_many: bool

    def plan(self, session: Session, validated: ValidatedPipeline, request: PlanRequest) -> Plan:
        pipeline = _configured(validated)
        planned = plan_back(session, pipeline, request, is_of_many=self.is_of_many)
        loaded = planned.pipeline.loaded
        return replace(planned.plan, writes_config=loaded.text != loaded.on_disk)

    def apply(
        self, session: Session, validated: ValidatedPipeline, plan_request: PlanRequest, request: ApplyRequest
    ) -> ApplyResult:
        pipeline = _configured(validated)
        return roll_back(session, pipeline, plan_request, request, is_of_many=self.is_of_many)


def _configured(validated: ValidatedPipeline) -> Pipeline:
    """The pipeline. Raises UserError if its config.toml has errors."""
    if validated.pipeline is None:
        raise UserError(*validated.diagnostics)
    return validated.pipeline
