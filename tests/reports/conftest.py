"""Reports without a server, with names that break outputs which do not escape them."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from providers.docker.verdicts import ImageVerdict
from providers.reasons import Reason
from providers.rules import Effect
from reconciler.core.diagnostics import Diagnostic, error
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.reasons import IN_SYNC, ReasonCode
from reconciler.core.values import Address
from reconciler.drift.findings import Acknowledgement, Finding, FindingDates, LastApply, Report, StackReport

AT = datetime(2025, 3, 3, 8, 0, tzinfo=UTC)
STACK = Stack("my-org", "STAGING", "https://staging.picsellia.com", "app")
NASTY = (
    "<script>hacked = 1</script><img src=x onerror='hacked = 1'> | `a` ``` @team #7 \"q\" & &amp; --> ]]> "
    "*b* _i_ ~~s~~ [l](https://example.com) $x$ \\ %0A ::error::no \x1b[31m"
)
CHANGED_OUTSIDE = Reason(ReasonCode.CHANGED_OUTSIDE)
DELETED_OUTSIDE = Reason(ReasonCode.DELETED_OUTSIDE)
KNOWN = Acknowledgement("ada", "while we move", "2025-04-01")


def finding(**given: Any) -> Finding:
    """A finding: drift of a processing's cpu, with the given attributes of the finding or its change."""
    pipeline = given.pop("pipeline", "app")
    stack = dataclasses.replace(STACK, pipeline=pipeline, name=pipeline)
    address = given.pop("address", Address.of("processing", stack.pipeline))
    change = Change(
        path=given.pop("path", "default_cpu"),
        cls=given.pop("cls", ChangeClass.DRIFT),
        desired=given.pop("desired", 4),
        recorded=given.pop("recorded", 4),
        live=given.pop("live", 64),
        reason=given.pop("reason", CHANGED_OUTSIDE),
        write=True,
        place=given.pop("place", f"{stack.pipeline}/config.toml:16"),
    )
    what: dict[str, Any] = {
        "id": "0123456789ab",
        "effect": Effect.RESOURCES,
        "seen": FindingDates(AT - timedelta(days=3), AT),
        "page": f"{STACK.host}/processing",
        "put_back": stack.command("apply", "--target", str(address)),
        "take_over": stack.command("adopt", f"{address}#{change.path}"),
    }
    return Finding(stack=stack, address=address, change=change, **(what | given))


def stack_report(
    *findings: Finding, pipeline: str = "app", unchecked: tuple[Diagnostic, ...] = ()
) -> StackReport:
    """A report of an image, a processing and an input, in sync except for the findings."""
    stack = dataclasses.replace(STACK, pipeline=pipeline, name=pipeline)
    image = Step(Address.of("image", "reg.io", pipeline), Action.NOOP, Reason(ImageVerdict.PUBLISHED))
    processing = Step(Address.of("processing", pipeline), Action.NOOP, IN_SYNC, depends_on=(image.address,))
    below = Step(
        Address.of("input", pipeline, "dataset"),
        Action.NOOP,
        IN_SYNC,
        depends_on=(processing.address,),
    )
    steps = {step.address: step for step in (image, processing, below)}
    for found in findings:
        if found.address not in steps:
            steps[found.address] = Step(
                found.address, Action.UPDATE, CHANGED_OUTSIDE, depends_on=(processing.address,)
            )
    plan = Plan(stack, "lineage", 3, tuple(steps.values()))
    last = LastApply("2025-03-01T12:00:00.000+00:00", "ada", "laptop", "0123456789abcdef", "")
    return StackReport(stack, findings, plan, unchecked, last)


def report(*stacks: StackReport, **more: Any) -> Report:
    return Report(AT, stacks, **more)


def everything() -> Report:
    """A report with each class of finding, each kind of unchecked part, and hostile names."""
    nasty = Address.of("input", "app", NASTY)
    unread = error("the registry does not answer", NASTY, address="input/app/dataset")
    return report(
        stack_report(
            finding(),
            finding(
                address=nasty,
                path="",
                reason=Reason(ReasonCode.DELETED_OUTSIDE),
                effect=Effect.EXISTENCE,
                place="",
            ),
            finding(path=f"default_parameters.{NASTY}", live=NASTY, effect=Effect.PARAMETERS),
            finding(cls=ChangeClass.PENDING, path="default_gpu", live=0, recorded=0, desired=1),
            finding(path="description", live="known", acknowledged=KNOWN, effect=Effect.DESCRIPTION),
            unchecked=(unread,),
        ),
        stack_report(pipeline="quiet"),
        failed={"broken": (error(f"config.toml is no TOML: {NASTY}", file=None),)},
    )
