"""A document that a command reads may be cut, edited or forged: it is refused by name, or read.

Every part of every document is replaced by each type of JSON, an unknown word and text with control
characters, and the command that reads it runs. A report of an earlier run may come from anywhere.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest
from msgspec.structs import replace

from reconciler.core.diagnostics import error
from reconciler.core.runs import RunReport
from reconciler.views.reports.drift_json import report_text
from reconciler.views.reports.field_types import check_fields
from reconciler.views.reports.plan_json import plan_text, plans_text
from reconciler.views.reports.run_json import run_text
from tests.conftest import Cli
from tests.reports import runs
from tests.reports.conftest import everything
from tests.reports.test_run_events import events_of, written
from tests.site.made import NOW, images, names

MOST: Final = 150
"""Documents for each command; the exhaustive form has all of them."""
FORGED: Final = "error: forged"
ODD: Final[tuple[Any, ...]] = (
    *(None, True, 7, -1.5, "", "no such word", [], {}, [7], [None], {"a": 7}),
    *(
        f"a\n{FORGED}\n  at nowhere",
        "\x1b[31m\u202e\x00",
        {f"a\n{FORGED}": 7},
        [[]],
        10**400,
        "9999-12-31T23:59",
    ),
)


def some_runs() -> RunReport:
    """A run with a failed, a refused and an applied pipeline."""
    found = runs.every_result()
    return replace(found, runs=found.runs[3:7], problems=(error("a problem", "its detail"),))


def one_plan() -> str:
    return plan_text(replace(runs.refused("app"), diagnostics=(error("a problem", "its detail"),)))


DOCUMENTS: Final[Mapping[str, tuple[Callable[[], str], tuple[tuple[str, ...], ...]]]] = {
    "plan": (one_plan, (("show", "FILE"),)),
    "plans": (
        lambda: plans_text([runs.plan("app"), runs.plan("other")], [], "workspace"),
        (("apply", "--plan", "FILE", "--yes"),),
    ),
    "run": (lambda: run_text(some_runs()), (("show", "FILE"),)),
    "events": (lambda: written(events_of(some_runs())), (("show", "FILE"),)),
    "drift": (
        lambda: report_text(everything()),
        (
            ("drift", "merge", "FILE", "--html", "page.html"),
            ("dashboard", "--reports", "FILE", "--out", "pages"),
        ),
    ),
    "images": (
        lambda: json.dumps(images(names(1), NOW)),
        (("dashboard", "--reports", "FILE", "--out", "pages"),),
    ),
}
"""Each document, and the commands that read it."""


def changes(value: Any, chosen: Callable[[], tuple[Any, ...]]) -> Iterator[Any]:
    """Copies of a document, each with one part replaced, left out or added."""
    yield from chosen()
    if isinstance(value, dict):
        yield {**value, f"a\n{FORGED}": 7}
        for key, item in value.items():
            yield {name: one for name, one in value.items() if name != key}
            yield from ({**value, key: other} for other in changes(item, chosen))
    if isinstance(value, list):
        for number, item in enumerate(value[:3]):
            yield from ([*value[:number], one, *value[number + 1 :]] for one in changes(item, chosen))


def odd_texts(text: str, chosen: Callable[[], tuple[Any, ...]]) -> Iterator[str]:
    """The text of each changed document; of a document in lines, each line is changed."""
    lines = text.splitlines(keepends=True)
    if not lines[0].rstrip().endswith("}"):
        yield from (json.dumps(one) for one in changes(json.loads(text), chosen))
        return
    for number, line in enumerate(lines):
        for one in changes(json.loads(line), chosen):
            yield "".join([*lines[:number], json.dumps(one) + "\n", *lines[number + 1 :]])


def in_turn() -> Callable[[], tuple[Any, ...]]:
    """One of the odd values for each part, another one for the next part."""
    number = -1

    def chosen() -> tuple[Any, ...]:
        nonlocal number
        number += 1
        return (ODD[number % len(ODD)],)

    return chosen


def check(cli: Cli, command: tuple[str, ...], text: str) -> int:
    file = cli.folder / "odd.json"
    file.write_text(text)
    ended = cli(*(str(file) if word == "FILE" else word for word in command))
    assert "Traceback" not in ended.err, text
    assert "a bug in reconciler" not in ended.err, text
    assert ended.code in (0, 1, 10, 11, 12, 13), text
    printed = (ended.out + ended.err).splitlines()
    assert not any(line.startswith(FORGED) for line in printed), text
    if "error: the file is not" in ended.err or "error: this is not an event" in ended.err:
        assert not any(line.strip().startswith(FORGED) for line in printed), ended.err
        assert str(file) in "".join(printed) or "odd.json" in "".join(printed)
    return ended.code


@pytest.mark.parametrize("what", DOCUMENTS)
def test_a_changed_document_is_refused_or_read(what: str, cli: Cli, home: object) -> None:
    cli.checks_documents = False  # what is read from a forged document is written as it is
    made, commands = DOCUMENTS[what]
    assert check(cli, commands[0], made()) in (0, 1, 11, 12, 13)
    for command in commands:
        texts = [*odd_texts(made(), in_turn())]
        for text in random.Random(7).sample(texts, min(len(texts), MOST)):
            check(cli, command, text)


@pytest.mark.full
@pytest.mark.parametrize("what", DOCUMENTS)
def test_every_change_of_a_document_is_refused_or_read(what: str, cli: Cli, home: object) -> None:
    cli.checks_documents = False
    made, commands = DOCUMENTS[what]
    for command in commands:
        for text in odd_texts(made(), lambda: ODD):
            check(cli, command, text)


def test_a_wrong_value_is_named(cli: Cli) -> None:
    document = json.loads(run_text(some_runs()))
    document["pipelines"][0]["exit_code"] = "many"
    (cli.folder / "run.json").write_text(json.dumps(document))

    ended = cli("show", "run.json")

    assert ended.code == 1
    assert "error: the file is not the report of a run\n" in ended.err
    assert "exit code cannot be a text" in ended.err


def test_a_key_cannot_add_a_line_to_an_error(cli: Cli) -> None:
    document = {**json.loads(one_plan()), f"a\n{FORGED}": 1}
    (cli.folder / "plan.json").write_text(json.dumps(document))

    ended = cli("show", "plan.json")

    assert ended.code == 1
    assert f"the plan has unknown keys: a\\n{FORGED}" in ended.err


def test_own_values_have_the_types_that_they_declare() -> None:
    check_fields(everything())
    check_fields(runs.every_result())
