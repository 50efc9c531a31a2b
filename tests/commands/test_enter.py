"""The answer for Enter: one rule for all questions, and a table of it in the documentation."""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import reconciler
from reconciler.cli.prompts import Question, enter_means_yes

ROOT = Path(__file__).parents[2]
PACKAGE = Path(reconciler.__path__[0])
DESTRUCTIVE, HARMLESS = (cast(Any, SimpleNamespace(is_destructive=one)) for one in (True, False))


def documented() -> dict[str, tuple[str, str]]:
    """The table: the answers for Enter of each question."""
    lines = (ROOT / "docs/reference/questions.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    return {question: (enter, destructive) for question, _, enter, destructive in cells[2:]}


def test_the_documentation_has_each_question_and_its_answer_for_enter() -> None:
    words = {True: "yes", False: "no"}
    assert documented() == {
        question.text: (
            words[enter_means_yes(question, [HARMLESS])],
            words[enter_means_yes(question, [HARMLESS, DESTRUCTIVE])],
        )
        for question in Question
    }


def test_enter_never_means_yes_to_a_loss() -> None:
    assert not any(enter_means_yes(question, [DESTRUCTIVE]) for question in Question)
    assert {question for question in Question if enter_means_yes(question)} == {
        Question.APPLY,
        Question.DEPLOY,
        Question.PROMOTE,
    }


def asked(file: Path) -> list[str]:
    """The questions in a file: what `confirm` gets, and each text that asks on its own."""
    tree = ast.parse(file.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        ast.unparse(call.args[0])
        for call in calls
        if ast.unparse(call.func).rpartition(".")[2].lower()
        in ("confirm", "confirmation_option", "_is_confirmed")
    ]


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.relative_to(PACKAGE).as_posix()
)
def test_no_question_is_asked_in_another_way(file: Path) -> None:
    text = file.read_text()
    if file.name == "prompts.py":
        assert text.count("click.confirm(") == 1
        return
    assert "click.confirm" not in text
    assert "[y/N]" not in text
    assert "[Y/n]" not in text
    for question in asked(file):
        assert question.rpartition(".")[0] == "Question" or question.rpartition(".")[2] == "question"
