"""Each reason is a code with words for every audience, and no code parses the words."""

import re
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec.structs import replace

from providers.reasons import Reason, WayOut
from reconciler.core.contract import ContractChange
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.promotion import Promotion, PromotionRefusal, RunningVersion
from reconciler.core.reasons import IN_SYNC, ReasonCode, RefusalCode, Way
from reconciler.core.stale import PlanMismatch, plan_mismatch
from reconciler.core.values import Address
from reconciler.drift.findings import DriftState
from reconciler.views import phrases
from reconciler.views.phrases import Audience
from reconciler.views.reports import document_parts
from tests.reasons import CONTRACT_CHANGES, REASON_CODES, REASONS, WAY_CODES, WAYS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "reason-codes.md"
HEAD = """# Reason codes

In `plan --json` and `drift --json`, `reason` is text for people, and its wording may change. `reason_code` is
for scripts and does not change. `reason_details` has the values that the text was made from.

A refusal has its text in `summary`. Its ways out are text in `ways` and values in `ways_out`. In
`image --json`, `verdict` is the code of the image, and `refusal_code` the code of a refusal.
"""
T = TypeVar("T")
TEXTS = {ReasonCode.UNSTATED, RefusalCode.UNSTATED, Way.UNSTATED}
"""Codes whose words come from a document of an earlier version."""


def table(title: str, rows: list[tuple[str, str]]) -> str:
    lines = "".join(f"| `{code}` | {words} |\n" for code, words in rows)
    return f"\n## {title}\n\n| code | for example |\n|---|---|\n{lines}"


def first_of_each(found: list[T], code: str) -> list[T]:
    seen: dict[str, T] = {}
    for one in found:
        seen.setdefault(getattr(one, code).value, one)
    return list(seen.values())


def contracts() -> str:
    head = (
        "\n## Changes of a contract\n\n"
        "A plan lists under `contract` what it changes for jobs of the processing.\n\n"
        "| code | effect | for example |\n|---|---|---|\n"
    )
    lines = [
        f"| `{change.reason.code}` | {phrases.effect(change)} | {phrases.contract_reason(change)} |\n"
        for change in CONTRACT_CHANGES
    ]
    return head + "".join(lines)


def page() -> str:
    """The reference page of all codes, with their words in a plan of the files."""
    reasons = [
        (reason.code.value, "text of a document of an earlier version")
        if reason.code in TEXTS
        else (reason.code.value, phrases.reason(reason))
        for reason in first_of_each(REASONS, "code")
    ]
    ways = [
        (way.label.value, "text of a document of an earlier version")
        if way.label in TEXTS
        else (way.label.value, phrases.way(way)[0])
        for way in first_of_each(WAYS, "label")
    ]
    count = len(ReasonCode)
    refusals = count + len(RefusalCode) + len(PromotionRefusal)
    images = reasons[refusals:]
    return "".join(
        (
            HEAD,
            table("Changes and steps", reasons[:count]),
            table("Refusals", reasons[count:refusals]),
            contracts(),
            table("Images", images),
            table("Ways out", ways),
        )
    )


def test_every_code_has_a_value_of_its_own() -> None:
    assert len(REASON_CODES) == len(document_parts.REASON_CODES) > 40
    assert len(WAY_CODES) == len(document_parts.WAY_CODES) > 5


@pytest.mark.parametrize("audience", Audience)
@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.code.value)
def test_every_reason_has_words_for_each_audience(reason: Reason, audience: Audience) -> None:
    words = phrases.reason(reason, audience)
    assert words == words.strip() != ""
    assert not words.endswith(".") and "\n" not in words and "{" not in words


@pytest.mark.parametrize("change", CONTRACT_CHANGES, ids=lambda change: change.reason.code.value)
def test_every_change_of_a_contract_has_words(change: ContractChange) -> None:
    words = phrases.contract_reason(change)
    assert words == words.strip() != ""
    assert not words.endswith(".") and "\n" not in words and "{" not in words


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.label.value)
def test_every_way_out_has_words(way: WayOut) -> None:
    label, command = phrases.way(way)
    assert label == label.strip() != ""
    assert command == way.command
    assert phrases.way_text(way).startswith(label)


def published(version: str) -> Step:
    """A step that publishes a version of an image."""
    change = Change("version", ChangeClass.PENDING, version, "1.0.0", "1.0.0", IN_SYNC, write=True)
    return Step(Address.of("image", "reg.io/app"), Action.UPDATE, IN_SYNC, (change,))


@pytest.mark.parametrize("code", PlanMismatch)
def test_every_mismatch_of_a_saved_plan_has_words(code: PlanMismatch) -> None:
    here, there = (Stack("my-org", "PROD", f"https://{host}.org", "app") for host in ("a", "b"))
    runs = RunningVersion("my-org@STAGING/app", "STAGING", "reg.io/app", "1.0.0", "sha256:1")
    promotion = Promotion(runs, RunningVersion("my-org@PROD/app", "PROD"), "1.0.0")
    saved = Plan(here, "lineage", 1, (published("1.0.1"),), sources="digest", promotion=promotion)
    saved = replace(saved, request={"bump": "patch"} if code is PlanMismatch.OTHER_VERSION else {})
    current = {
        PlanMismatch.OTHER_STACK: replace(saved, stack=there),
        PlanMismatch.FILES_CHANGED: replace(saved, sources="another"),
        PlanMismatch.OTHER_VERSION: replace(saved, sources="another", steps=(published("1.0.2"),)),
        PlanMismatch.OTHER_STATE: replace(saved, lineage="another"),
        PlanMismatch.OTHER_IMAGE: replace(
            saved, sources="another", promotion=replace(promotion, source=replace(runs, digest="sha256:2"))
        ),
    }[code]

    assert plan_mismatch(saved, saved) is None
    mismatch = plan_mismatch(saved, current)
    assert mismatch is not None and mismatch.code is code
    words = phrases.plan_mismatch(mismatch)
    assert words == words.strip() != ""
    if code is PlanMismatch.OTHER_STACK:
        assert here.host in words and there.host in words


@pytest.mark.parametrize("code", DriftState)
def test_every_drift_state_has_words(code: DriftState) -> None:
    counts = {"drift": 2, "pending": 1}
    details = {"counts": counts, "problem": "no answer", "environment": "STAGING", "destroyed": True}
    details |= {"ignored": 2, "fields": [["docker_tag", "1.0.0"]]}
    words = phrases.drift_state(Reason(code, details))
    assert bool(words) == (code is not DriftState.NOT_REQUESTED)
    assert ("2 drift, 1 pending" in words) == (code in (DriftState.DIFFERENT, DriftState.PARTLY_READ))


def test_reasons_of_a_rollback_do_not_mention_the_files() -> None:
    """A rollback does not use the files, so no reason may mention them."""
    exempt = {ReasonCode.NOT_DESTROYED, ReasonCode.DESTROYED, *TEXTS}  # no rollback destroys
    for reason in REASONS:
        if isinstance(reason.code, ReasonCode) and reason.code not in exempt:
            assert "files" not in phrases.reason(reason, Audience.ROLLBACK), reason.code


def test_the_reference_page_has_every_code(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page()


def test_no_code_parses_words() -> None:
    """Reasons and ways out stay values until they are printed. A separator would make their words data."""
    split = re.compile(r"""\.(r?partition|r?split)\(["'][^"']*:\s+["']""")
    edited = re.compile(r"\b(reason|way_text|verdict_details)\([^()]*\)\.\w+\(")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("reconciler", "providers/docker")
        for path in sorted((ROOT / folder).rglob("*.*"))
        if path.suffix in (".py", ".html")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if split.search(line) or edited.search(line)
    ]
    assert found == []
