"""No change means no finding, whatever the platform's formatting of values.

Stacks of every kind are generated with values of every form. The platform returns numbers as text or floats,
flags in another order, enum names in lower case and missing values as null, and hides fields.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, cast

from providers import enums
from reconciler.core.graph import Graph, Resource
from reconciler.core.plan import Plan
from reconciler.core.planner import plan_steps
from reconciler.core.remote import RemoteState
from reconciler.core.values import Address
from reconciler.drift.findings import findings
from state.snapshot import RecordedResource
from state.stores.base import Store
from tests.conftest import CASES
from tests.engine.conftest import FACTS, STACK, Bench, image, input_of, model, processing, version_of
from tests.engine.test_properties import FragileStore

STACKS, WORLDS = 400, 25
NOW = datetime(2025, 3, 1, tzinfo=UTC)

Habit = Callable[[str, Any], Any]


def numbers_as(form: type[str] | type[float]) -> Habit:
    def told(value: Any) -> Any:
        match value:
            case bool():
                return value
            case int() | float():
                return form(value)
            case list():
                return [told(item) for item in value]
            case dict():
                return {key: told(item) for key, item in value.items()}
        return value

    return lambda name, value: value if name == "required" else told(value)


def in_lower_case(name: str, value: Any) -> Any:
    return value.lower() if name in ENUMS and isinstance(value, str) else value


def nothing_as_null(name: str, value: Any) -> Any:
    return None if value in ("", [], {}, "NOT_CONFIGURED") else value


def nothing_as_a_word(name: str, value: Any) -> Any:
    return "NOT_CONFIGURED" if name in ENUMS and value is None else value


def in_another_order(name: str, value: Any) -> Any:
    match value:
        case list() if name == "docker_flags":
            return value[::-1]
        case dict():
            return dict(reversed(value.items()))
    return value


ENUMS = ("type", "target", "framework", "input_type", "inference_type_constraint", "framework_constraint")
NUMBERS: list[Habit] = [lambda name, value: value, numbers_as(str), numbers_as(float)]
WORDS: list[Habit] = [in_lower_case, nothing_as_null, nothing_as_a_word, in_another_order]


def habits(random: Random) -> Habit:
    """One formatting of numbers, and any of the others."""
    chosen = [random.choice(NUMBERS), *some(random, WORDS)]

    def told(name: str, value: Any) -> Any:
        for habit in chosen:
            value = habit(name, value)
        return value

    return told


def value(random: Random, depth: int = 2) -> Any:
    """The value of a parameter."""
    forms: list[Callable[[], Any]] = [
        lambda: random.randint(-(2**53) + 1, 2**53 - 1),
        lambda: random.choice([0, 1, 640, 0.0, 4.0, 1e-05, 1 / 3, -2.5]),
        random.random,
        lambda: random.choice([True, False, None]),
        lambda: random.choice(["", "640", "007", "1e3", " x ", "ünï", "true", "NOT_CONFIGURED", "a.b"]),
    ]
    if depth:
        forms.append(lambda: [value(random, depth - 1) for _ in range(random.randint(0, 3))])
        forms.append(lambda: {key: value(random, depth - 1) for key in some(random, "abc")})
    return random.choice(forms)()


def some(random: Random, plural: Any) -> list[Any]:
    return [thing for thing in plural if random.random() < 0.5]


def stack(random: Random) -> list[Resource]:
    """An image, processings with their inputs, and a model with its versions."""
    made = [image()]
    flags = [[], ["--gpus=all", "--ipc=host"], ["--gpus all", "--ipc host", "--name training"]]
    parameters = {key: value(random) for key in some(random, ["a", "b.c", "ß", "1"])}
    for name in some(random, "pq"):
        fields = {
            "type": random.choice(enums.PROCESSING_TYPES),
            "target": "DATASET_VERSION",
            "description": random.choice(["", "two\nlines", "ünï", "4"]),
            "default_cpu": random.randint(0, 128),
            "default_gpu": random.randint(0, 8),
            "default_parameters": parameters,
            "docker_image": "reg.io/team/app",
            "docker_tag": random.choice(["latest", "1.0", "1"]),
            "docker_flags": random.choice(flags),
        }
        made.append(processing(name, **dict(some(random, fields.items()))))
        for input_name in some(random, "xyz"):
            constraint = random.choice([None, *enums.INFERENCE_TYPES])
            made.append(
                input_of(
                    name,
                    input_name,
                    input_type=random.choice(enums.INPUT_TYPES),
                    required=random.random() < 0.5,
                    inference_type_constraint=constraint,
                    framework_constraint=random.choice([None, *enums.FRAMEWORKS]),
                )
            )
    made.append(model("M"))
    for name in some(random, ["v1", "v2"]):
        fields = {
            "framework": random.choice([*enums.FRAMEWORKS, "YOLOV8"]),
            "type": random.choice(enums.INFERENCE_TYPES),
            "docker_flags": random.choice(flags),
            "parameters": parameters,
        }
        made.append(version_of("M", name, **dict(some(random, fields.items()))))
    return made


def found(bench: Bench, made: list[Resource], recorded: Mapping[Address, RecordedResource]) -> list[str]:
    """The findings of a plan, without the threads of a read."""
    live = {Address(*key): bench.world.answer(live) for key, live in bench.world.objects.items()}
    world = RemoteState(live, requested=live.keys())
    steps, _ = plan_steps(Graph(made), recorded, world, FACTS)
    plan = Plan(STACK, "lineage-1", 1, steps)
    known = findings(plan, world, FACTS, adoptable={}, first_seen={}, now=NOW)
    return [finding.field for finding in known]


def test_unchanged_objects_have_no_findings() -> None:
    random = Random(20250301)
    hideable = sorted({name for facts in FACTS.values() for name in facts.rules} - {"version"})
    for _ in range(STACKS):
        made = [*stack(random), processing("mine", default_cpu=4)]
        bench = Bench(cast(Store, FragileStore()))
        bench.world.habit = habits(random)
        assert bench.apply(*made).succeeded
        recorded = {Address.parse(text): entry for text, entry in bench.record.resources.items()}
        for _ in range(WORLDS):
            bench.world.habit = habits(random)
            bench.world.hidden = some(random, hideable) if random.random() < 0.5 else ()
            assert found(bench, made, recorded) == [], f"{made}"
        # … and it would be found, in each of them.
        bench.world.hidden = ()
        bench.world.edit("processing", "mine", default_cpu=8)
        assert found(bench, made, recorded) == ["processing/mine#default_cpu"]
    CASES["worlds in which nobody changed anything, and drift was silent"] += STACKS * WORLDS
