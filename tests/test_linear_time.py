"""Texts of servers, files and programs take time in proportion to their length, whatever they consist of.

A regular expression that tries the rest of a text from each of its characters takes minutes for a message of
a megabyte, and no other thread runs meanwhile.
"""

import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import pytest

from providers import hiding, secret_rules, text
from providers.docker.builders.build_errors import plain_text
from providers.docker.source.dockerfile_lines import split
from providers.docker.source.secret_scan import kind_of_instruction
from providers.hiding import LineHider, lines_with_secrets, safe_message, shortened
from providers.secret_rules import find
from providers.text import one_line, visible, without_logins
from reconciler.views.safe import safe_for_workflows, without_workflow_commands
from tests.docker.tokens import tokens
from tests.hostile_texts import KEPT, LIMIT, SIZE, hostile_texts, limit_time

ROOT: Final = Path(__file__).parents[1]
ON_CHECKED_TEXT: Final = {"reconciler.pipeline.toml.toml_positions._NAME"}
"""Applied to the keys of valid TOML only, where every quote is closed."""


@pytest.mark.parametrize("package", ["providers", "state", "reconciler"])
def test_every_regular_expression_takes_linear_time(package: str) -> None:
    slow, done = [], 0
    while True:
        command = (sys.executable, "-m", "tests.hostile_texts", package, str(done))
        ended = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
        places = ended.stdout.split()
        done += len(places)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGVTALRM, ended.stderr
        slow.append(places[-1])
    assert done > 10
    assert {*slow} - ON_CHECKED_TEXT == set()


FUNCTIONS: Final[dict[str, Callable[[str], object]]] = {
    "a message": safe_message,
    "a message in short": lambda text: shortened(text, 200),
    "a line of a log": LineHider(),
    "lines of a build": lambda text: [*map(LineHider(), text.splitlines())],
    "output of a build": plain_text,
    "a text on one line": one_line,
    "a text with its lines": visible,
    "an address": without_logins,
    "a diff": lines_with_secrets,
    "a report": lambda text: safe_for_workflows(text, "markdown"),
    "a log of GitHub": without_workflow_commands,
    "a file": lambda text: [*find((text.encode(),))],
    "a Dockerfile": lambda text: split(f"FROM a\nRUN {text}"),
    "a Dockerfile of many lines": lambda text: split("\\\n".join(("RUN <<a", *text[:20_000]))),
    "an instruction": lambda text: kind_of_instruction(f"RUN {text}"),
    "variables": lambda text: kind_of_instruction(f"ENV {text}"),
}


def _apply_to_hostile_texts(name: str) -> None:
    function = FUNCTIONS[name]
    patterns = [one for module in (text, hiding) for one in vars(module).values()]
    patterns += [secret_rules._NAMED, secret_rules._TO_NUMBER]
    texts = [each for one in patterns if isinstance(one, KEPT) for each in hostile_texts(one)[::12]]
    texts += [f"{token}\n" * (SIZE // 10) for token in list(tokens().values())[::8]]
    for one in texts:
        limit_time(20 * LIMIT)
        function(one)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_everything_that_shows_or_searches_a_text_takes_linear_time(name: str) -> None:
    process = get_context("spawn").Process(target=_apply_to_hostile_texts, args=(name,))
    process.start()
    process.join()
    assert process.exitcode == 0
