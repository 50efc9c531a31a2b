"""Errors of a Dockerfile that no builder accepts. A real BuildKit has the last word."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.docker.source.dockerfile_errors import dockerfile_errors

STAGES = "FROM scratch AS one\nCOPY a /\nFROM scratch\n"
BROKEN = [
    ("", 1, "the Dockerfile has no FROM"),
    ("# nothing else\n", 1, "the Dockerfile has no FROM"),
    ("COPY a .\nFROM scratch\n", 1, "COPY is before the first FROM"),
    ("RUN a\nCOPY a .\nCMD b\n", 1, "RUN is before the first FROM"),
    ("FORM scratch\nRUN a\nCOPY a .\n", 1, "the Dockerfile has the unknown instruction FORM"),
    ("FROM scratch\nCOPPY a .\n", 2, "the Dockerfile has the unknown instruction COPPY"),
    ("FROM scratch\nLABEL a=b\n  c=d\n", 3, "the Dockerfile has the unknown instruction C=D"),
    ("FROM scratch\nCOPY << EOF /x\nx\nEOF\n", 3, "the Dockerfile has the unknown instruction X"),
    ("FROM scratch\nENV A=b\\\\\n.\n", 3, "the Dockerfile has the unknown instruction ."),
    ("FROM scratch\n//COPY a .\n", 2, "the Dockerfile has the unknown instruction //COPY"),
    ("FROM scratch\nONBUILD FROM x\n", 2, "ONBUILD cannot have FROM"),
    ("FROM scratch\nCOPY a\n", 2, "COPY has no destination"),
    ('FROM scratch\nCOPY ["a"]\n', 2, "COPY has no destination"),
    ("FROM scratch\nCOPY [broken\n", 2, "COPY has no destination"),
    ("FROM scratch\nCOPY --chown=1:1 a\n", 2, "COPY has no destination"),
    ("FROM scratch\nWORKDIR\n", 2, "WORKDIR has no argument"),
    ("FROM scratch\nENV A\n", 2, "ENV A has no value"),
    ("FROM scratch\nCOPY <<EOF /x\nx\n", 2, "the heredoc EOF has no end"),
    ("FROM scratch\nCOPY <<EOF /x\nx\n\tEOF\nEOF \n", 2, "the heredoc EOF has no end"),
    ("# escape=x\nFROM scratch\n", 1, "the escape character x is not allowed"),
    ("# escape=`\n# escape=`\nFROM scratch\n", 2, "the Dockerfile has two directives escape"),
    ("FROM\n", 1, "FROM is incomplete"),
    ("FROM scratch OF one\n", 1, "FROM scratch OF one is incomplete"),
    ("FROM scratch AS 1x\nCOPY a .\n", 1, "1x is not a name for a stage"),
    (f"{STAGES}COPY --from=2 a /\n", 4, "COPY --from=2 is not a stage"),
    (f"{STAGES}COPY --from=Two a /\n", 4, "COPY --from=Two is neither a stage nor an image"),
    ("FROM scratch AS one\nCOPY a .\nFROM Two\nCOPY a .\n", 3, "FROM Two is neither a stage nor an image"),
    ("FROM $X\nCOPY a .\n", 1, "FROM $X has no image, as X has no value"),
    ("ARG X\nFROM ${X}\nCOPY a .\n", 2, "FROM ${X} has no image, as X has no value"),
]
VALID = [
    "from scratch\ncopy a .\n",
    "\ufeffFROM scratch\r\nCOPY a \\\r\n  .\r\n",
    "FROM scratch\nCO\\\nPY a \\\n\n# a comment\n  # another\n  .\n",
    "FROM scratch\nCOPY a \\ \n .\n",
    "FROM scratch\nENV A=b\\\\\nCOPY a .\n",
    "FROM scratch\nCOPY a . \\",
    "FROM scratch\nCOPY a . \\\n\n# the end\n",
    "FROM scratch\n\x0bCOPY\ta\t/\n",
    "# escape=`\nFROM scratch\nCOPY a `\n .\n",
    "#Escape = `\n# other=one\nFROM scratch\nCOPY a `\n .\n",
    "# a comment\n# syntax=some/other\nFROM scratch\nCOPY a .\n",
    "FROM scratch\nCOPY <<EOF /x\nRUNN x\nEOF\nCOPY a .\n",
    'FROM scratch\nCOPY <<-"EOF" /x\n\tRUNN x\n\tEOF\nCOPY a .\n',
    "FROM scratch\nCOPY <<a.txt 3<<'b' \\\n  /x/\nRUNN\na.txt\nb.txt\nb\r\nCOPY a .\n",
    "FROM scratch\nCOPY <<E\\OF <<$X /x/\n\nEOF\nRUNN\n$X\nCOPY a .\n",
    "FROM scratch\nONBUILD COPY <<EOF /x\nRUNN\nEOF\nCOPY a .\n",
    "FROM scratch\nENV A=<<EOF\nLABEL a='<<x' b=\"<<y\"\nCOPY a .\n",
    "FROM scratch\nONBUILD NOTHING x\nCOPY a .\n",
    "FROM scratch\nMAINTAINER me\nSTOPSIGNAL 9\nUSER 1\nVOLUME /x\nEXPOSE 1\nCOPY a .\n",
    "FROM scratch\nCMD\nENTRYPOINT\nENV A b\nARG X\nCOPY a .\n",
    'FROM scratch\nHEALTHCHECK NONE\nSHELL ["x"]\nCOPY ["a", "/"]\n',
    f"{STAGES}COPY --from=0 a /\nCOPY --from=One a /b\n",
    "FROM scratch\nCOPY --from=Later a /\nFROM scratch AS later\nCOPY a .\n",
    "FROM scratch AS a\nCOPY a .\nFROM scratch as A\nCOPY a .\nFROM a\nCOPY a .\n",
    "ARG X=scratch\nARG Y\nFROM $X\nCOPY a .\nFROM ${Y:-scratch} AS y.1-b_c\nCOPY a .\n",
    "FROM --platform=$BUILDPLATFORM scratch\nCOPY a .\n",
]
NOT_JUDGED = [
    "# syntax=some/other\nFRAM x\n",
    "# syntax=docker/dockerfile:1-labs\nFROM scratch\nNEW x\n",
    "#!/usr/bin/env x\n#syntax = some/other:1\nFRAM x\n",
    "// syntax=some/other\nFRAM x\n",
    '{"syntax": "some/other"}\nFRAM x\n',
    "# unknown=1\n# escape=`\nFROM scratch\nCOPY a `\n .\n",
    "# check=skip=all\n# escape=`\nFROM scratch\nCOPY a `\n .\n",
    "FROM Team/base\n",
    "FROM ghcr.io/Team/base:Tag\n",
    "FROM python:3.12-Slim@sha256:AB\n",
    "FROM $BASE_$TAG\n",
    "FROM scratch AS One\nFROM One\n",
    "FROM scratch\nRUN echo 'it <<EOF\nit's\nEOF\n",
    "FROM scratch\nRUN cat <<<x && python - <<EOF > out && echo $((1<<2))\nRUNN\nEOF\n",
    "FROM scratch\nRUN --mount=type=secret,id=x --new=option true\nCOPY --from=$STAGE a b\n",
]


@pytest.mark.parametrize(("text", "line", "summary"), BROKEN)
def test_what_cannot_build_is_found_at_its_line(text: str, line: int, summary: str) -> None:
    (found,) = dockerfile_errors(text)
    assert (found.line, found.summary) == (line, summary)


@pytest.mark.parametrize("text", [*VALID, *NOT_JUDGED, "# syntax=docker/dockerfile:1.7\nFROM scratch\n"])
def test_nothing_else_is_reported(text: str) -> None:
    assert dockerfile_errors(text) == []


def test_a_file_with_arguments_only_has_no_from() -> None:
    """No case for the real builder: it stops the Docker Engine of Debian trixie."""
    assert [error.summary for error in dockerfile_errors("ARG A=1\n")] == ["the Dockerfile has no FROM"]


def test_the_official_syntax_is_judged() -> None:
    for name in ("docker/dockerfile", "docker/dockerfile:1", "docker.io/docker/dockerfile:1.4@sha256:1"):
        assert dockerfile_errors(f"# syntax={name}\nFROM scratch\nRUNN x\n")
    assert not dockerfile_errors("FROM scratch\nRUNN x\n", {"BUILDKIT_SYNTAX": "some/other"})


def test_build_arguments_and_the_target_are_those_of_the_settings() -> None:
    assert not dockerfile_errors("ARG X\nFROM $X\n", {"X": "python"})
    assert dockerfile_errors("FROM $X\n", {"X": "python"})  # not declared
    assert not dockerfile_errors(STAGES, target="One")
    (found,) = dockerfile_errors(STAGES, target="two")
    assert found.summary == "the Dockerfile has no stage two"
    assert found.detail == "Its stages are: one."


def test_a_text_that_no_instruction_starts_is_one_error() -> None:
    found = dockerfile_errors("FROM scratch\nCOPY << EOF /x\none\ntwo\nEOF\nCOPY a .\nRUNN x\n")
    assert [error.line for error in found] == [3, 7]


@pytest.fixture
def builds(
    attesting_engine: str, use_buildx: None, docker_config: Path, tmp_path: Path
) -> Callable[[str], bool]:
    """Whether a real BuildKit builds a Dockerfile beside a file `a`."""
    (tmp_path / "a").write_text("a")
    environment = {**os.environ, "DOCKER_HOST": attesting_engine, "DOCKER_CONFIG": str(docker_config)}

    def build(text: str) -> bool:
        (tmp_path / "Dockerfile").write_bytes(text.encode())
        command = ["docker", "buildx", "build", str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        refusals = ("failed to solve", "failed to run Build function")  # the latter of a directive
        assert done.returncode == 0 or any(words in done.stderr for words in refusals)
        return done.returncode == 0

    return build


def same(builds: Callable[[str], bool], broken: list[str], valid: list[str]) -> None:
    assert [text for text in broken if builds(text)] == []
    assert [text for text in valid if not builds(text)] == []


def test_a_real_builder_agrees(builds: Callable[[str], bool]) -> None:
    same(builds, [text for text, _, _ in BROKEN[3::8]], VALID[1::8])


@pytest.mark.full
def test_a_real_builder_agrees_about_each(builds: Callable[[str], bool]) -> None:
    same(builds, [text for text, _, _ in BROKEN], VALID)
