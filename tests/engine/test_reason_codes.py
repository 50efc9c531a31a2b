"""Every reason code, refusal and way out is used by the planner or the image."""

from random import Random
from typing import Any

from providers.docker.verdicts import ImageRefusal, ImageVerdict, ImageWay
from providers.protocol import Assessment, KindFacts, LiveObject, RequiredAction
from providers.reasons import Reason
from providers.rules import FieldRule
from reconciler.core.graph import Graph, Resource
from reconciler.core.plan import Step
from reconciler.core.plan_options import PlanOptions
from reconciler.core.planner import plan_steps
from reconciler.core.reasons import ReasonCode, RefusalCode, Way
from reconciler.core.remote import RemoteState, TagInUse
from reconciler.core.values import Address
from state.snapshot import Intent, RecordedResource
from tests.docker import test_verdicts
from tests.engine.conftest import APP, FACTS, IMAGE, input_of, processing

OF_DOCUMENTS = {ReasonCode.UNSTATED, RefusalCode.UNSTATED, Way.UNSTATED}  # see engine/test_planner.py
OF_SECRETS = {RefusalCode.SECRET, Way.SEE_ERRORS}  # see commands/test_context_secrets.py
OF_CLAIMS = {  # see engine/test_claims.py
    ReasonCode.CLAIMED_ELSEWHERE,
    RefusalCode.CLAIMED,
    Way.TAKE,
    Way.DECLARE_ANOTHER,
}
OF_CONTRACTS = {
    RefusalCode.BREAKS_CALLERS,
    Way.MAJOR_VERSION,
    Way.KEEP_INPUTS,
}  # see commands/test_contract.py
OF_ORPHANS = {ReasonCode.ORPHANED}  # see commands/test_orphans.py
DATASET = Address.of("input", "app", "dataset")
VALUES: dict[Address, dict[str, list[Any]]] = {
    APP: {
        "type": ["AUTO_TAGGING", "PRE_ANNOTATION"],
        "default_cpu": [1, 2, 3],
        "default_parameters": [{"a": 1}, {"a": 2, "b": 1}],
    },
    DATASET: {"input_type": ["DATALAKE", "DATASET_VERSION"], "required": [True, False]},
    IMAGE: {"version": ["1.0.0"], "content": [1, 2], "channel": ["latest", "test"]},
}


def assess(*_: object) -> Assessment:
    return Assessment(RequiredAction.NOTHING, Reason(ImageVerdict.PUBLISHED))


KINDS = {
    **FACTS,
    "image": KindFacts(
        {"version": FieldRule(), "content": FieldRule(), "channel": FieldRule()},
        prunable=False,
        published_as="version",
        content="content",
        moves="channel",
        assess=assess,
    ),
}


def a_plan(random: Random) -> tuple[Step, ...]:
    """The steps of a random situation of a stack."""

    def some(address: Address) -> dict[str, Any]:
        fields = {name: random.choice(values) for name, values in VALUES[address].items()}
        return {name: value for name, value in fields.items() if name == "version" or random.random() < 0.8}

    destroy, owns = random.random() < 0.1, random.choice([(), ("input",)])
    made: dict[Address, Resource] = {
        APP: processing(owns=owns, **some(APP)),
        DATASET: input_of("app", "dataset", **some(DATASET)),
        IMAGE: Resource(IMAGE, some(IMAGE)),
    }
    wanted = [] if destroy else [it for it in made.values() if random.random() < 0.7]
    if made[APP] not in wanted:
        wanted = [it for it in wanted if it is not made[DATASET]]
    recorded: dict[Address, RecordedResource] = {}
    found: dict[Address, LiveObject] = {}
    unfinished: dict[Address, Intent] = {}
    for address in VALUES:
        if random.random() < 0.7:
            id, fields = random.choice("12"), some(address)
            recorded[address] = RecordedResource(str(address), address.kind, id, fields, {}, ())
        if random.random() < 0.7:
            found[address] = LiveObject(random.choice("12"), address.name, some(address))
        elif random.random() < 0.3:
            recorded.pop(address, None)
            fields = some(address)
            kept = random.choice([{}, fields])
            unfinished[address] = Intent(str(address), "replace", None, fields, "now", "run", kept)
    steps, _ = plan_steps(
        Graph(wanted),
        recorded,
        RemoteState(
            found, renamed={} if APP in found else random.choice([{}, {APP: Address.of("processing", "b")}])
        ),
        KINDS,
        PlanOptions(
            ours=random.choice([(), None]),
            theirs=random.choice([(), None]),
            replace=random.choice([(), [APP]]),
            prune=random.random() < 0.3,
            destroy=destroy,
            ignored=random.choice([{}, {APP: ["default_cpu", "default_parameters.a"]}]),
            protected=random.choice([(), (), [APP], [DATASET]]),
        ),
        [address for address in found if random.random() < 0.2],
        unfinished,
        random.choice([{}, {IMAGE: TagInUse("latest", "sha256:1", random.choice(["sha256:1", "sha256:2"]))}]),
        random.choice([{}, {APP: {"default_cpu": "my-org@STAGING/other"}}]),
    )
    return steps


def test_every_code_of_the_planner_occurs() -> None:
    seen: set[object] = set()
    random = Random(7)
    for _ in range(5000):
        for step in a_plan(random):
            seen |= {step.reason.code, *(change.reason.code for change in step.changes)}
            if step.refusal is not None:
                seen |= {step.refusal.reason.code, *(way.label for way in step.refusal.ways)}

    expected = (
        {*ReasonCode, *RefusalCode, *Way} - OF_DOCUMENTS - OF_SECRETS - OF_CLAIMS - OF_CONTRACTS - OF_ORPHANS
    )
    assert expected - seen == set()


def test_every_code_of_an_image_occurs() -> None:
    published, pointing_at = test_verdicts.published, test_verdicts.pointing_at
    assess = test_verdicts.kind(**{"a.py": "2"}).facts.assess
    assert assess is not None
    desired = test_verdicts.DESIRED
    earlier = {**desired, "version": "1.0.2"}
    situations = [
        assess(desired, None, {}, None, []),
        assess(desired, None, {}, None, [pointing_at("reg.io/app", "latest")]),
        assess(desired, None, {}, published(), []),
        assess(desired, None, {}, published(tag=None), []),
        assess(desired, None, {}, published(channel=None), []),
        assess(desired, desired, {}, published(channel=None), []),
        assess(desired, None, {}, published(source_key=None, label=None), []),
        assess(desired, None, {}, published(source_key=test_verdicts.OLD_KEY), []),
        assess(desired, earlier, {}, published(source_key=test_verdicts.OLD_KEY), []),
        assess(desired, desired, {}, published(platform="linux/arm64", source_key=test_verdicts.OLD_KEY), []),
    ]

    for live in (None, published(), published(tag=None)):
        promoted = test_verdicts.promoting().facts.assess
        assert promoted is not None
        situations.append(promoted(desired, None, {}, live, []))

    refusals = [assessment.refusal for assessment in situations if assessment.refusal]
    assert {assessment.reason.code for assessment in situations} == set(ImageVerdict)
    assert {refusal.reason.code for refusal in refusals} == set(ImageRefusal)
    ways = {way.label for refusal in refusals for way in refusal.ways}
    assert ways == set(ImageWay) - {ImageWay.OTHER_STATE}  # that is how a rollback ends
