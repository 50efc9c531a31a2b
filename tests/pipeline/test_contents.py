"""Checks of a folder: the files of config.toml and the Dockerfile exist, and no inputs class is unused."""

import os
from pathlib import Path

import pytest

from providers.docker.source.dockerfile_features import missing_sources
from reconciler.core.diagnostics import Severity
from reconciler.engine.requests import ReadOptions
from reconciler.engine.validate import validate
from tests.pipeline import sources
from tests.pipeline.conftest import PROCESSING, Files

WHOLE = {
    "config.toml": PROCESSING,
    "pipeline.py": "",
    "pyproject.toml": "",
    "Dockerfile": "FROM scratch\nCOPY ./pyproject.toml app/\nCOPY . app\n",
    "utils/steps.py": "",
}


def found(folder: Path) -> list[tuple[Severity, str, str, int | None]]:
    """Severity, summary, file and line of every problem."""
    return [
        (one.severity, one.summary, one.file.relative_to(folder).as_posix() if one.file else "", one.line)
        for one in validate(folder, ReadOptions(static_only=True)).diagnostics
    ]


def test_a_complete_pipeline_has_no_problems(folder: Files) -> None:
    assert found(folder(WHOLE)) == []


@pytest.mark.parametrize(
    ("key", "name", "line"),
    [("pipeline_script", "pipeline.py", 8), ("requirements_file", "pyproject.toml", 9)],
)
def test_a_missing_file_of_config(folder: Files, key: str, name: str, line: int) -> None:
    where = folder({**WHOLE, "Dockerfile": "FROM scratch\n"})
    (where / name).unlink()
    assert found(where) == [
        (Severity.ERROR, f"execution.{key}: there is no file {name}", "config.toml", line)
    ]
    (where / name).mkdir()
    (problem,) = found(where)
    assert problem[0] is Severity.ERROR
    assert "Is a folder, not a file" in problem[1]
    (where / name).rmdir()
    os.mkfifo(where / name)
    assert f"execution.{key}: {name}: Is a named pipe, not a file" in {
        summary for _, summary, _, _ in found(where)
    }


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('context = "../missing"', "there is no folder {top}/missing."),
        ('context = "missing/deeper"', "there is no folder {top}/pipeline/missing/deeper."),
        ('context = "pipeline.py"', "{top}/pipeline/pipeline.py is not a folder."),
        ('context = "pipeline.py/deeper"', "{top}/pipeline/pipeline.py/deeper is not a folder."),
        ('dockerfile = "Other"', "there is no Other in {top}/pipeline."),
        ('dockerfile = "/Dockerfile"', "the Dockerfile"),
        ('dockerfile = "../Dockerfile"', "the Dockerfile ../Dockerfile is not inside {top}/pipeline."),
    ],
)
@pytest.mark.parametrize("table", ["reconciler.image", "reconciler.env.STAGING.reconciler.image"])
def test_a_setting_of_the_build_context_that_is_not_there(
    folder: Files, table: str, setting: str, words: str
) -> None:
    where = folder({**WHOLE, "config.toml": f"{PROCESSING}\n[{table}]\n{setting}\n"})
    options = ReadOptions(static_only=True, environment="STAGING")
    (problem,) = validate(where, options).diagnostics
    assert problem.summary == "the image's build context cannot be read"
    assert problem.detail.startswith(words.format(top=where.parent))
    assert "disappeared" not in problem.detail
    assert problem.place == f"{where}/config.toml:18"


def test_a_missing_dockerfile_that_no_setting_names(folder: Files) -> None:
    where = folder(WHOLE)
    (where / "Dockerfile").unlink()
    (problem,) = validate(where, ReadOptions(static_only=True)).diagnostics
    assert problem.place == str(where)


def test_the_older_key_of_the_script_appears_in_the_message(folder: Files) -> None:
    config = PROCESSING.replace("pipeline_script =", "picsellia_pipeline_script =")
    where = folder({**WHOLE, "config.toml": config})
    (where / "pipeline.py").unlink()
    assert [summary for _, summary, _, _ in found(where)] == [
        "execution.picsellia_pipeline_script: there is no file pipeline.py"
    ]


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ("COPY ../shared shared", "../shared from outside of the build context"),
        ("ADD utils/../../shared shared", "from outside of the build context"),
        ("COPY missing.txt .", "missing.txt, which is not in the build context"),
        ("COPY pipeline.py missing.txt ./", "missing.txt, which is not"),
        ("COPY --chown=1:1 missing.txt .", "missing.txt, which is not"),
        ('COPY ["pipeline.py", "missing.txt", "./"]', "missing.txt, which is not"),
        ("copy /utils/missing.py .", "/utils/missing.py, which is not"),
        ("COPY util .", "util, which is not"),
        ("COPY ignored.txt .", "ignored.txt, which is not"),
        ("COPY emptied/model.bin .", "emptied/model.bin, which is not"),
        ("COPY pipeline.py/x .", "pipeline.py/x, which is not"),
        ("COPY pipeline.py \\\n  missing.txt ./", "missing.txt, which is not"),
        ('COPY "../shared" /app/', "copies ../shared from outside"),
        ("COPY '../shared' pipeline.py /app/", "copies ../shared from outside"),
        ('COPY ../sha"red" /app/', "copies ../shared from outside"),
        ('COPY ["../shared", "/app/"]', "copies ../shared from outside"),
        ('ADD ["pipeline.py", "../shared", "/app/"]', "copies ../shared from outside"),
        ("COPY /../shared /app/", "copies /../shared from outside"),
        ("COPY ../lib/*.py /app/", "copies ../lib/*.py from outside"),
        ("COPY ../l?b/x ../lib/[ab]/*.py /app/", "copies ../lib/[ab]/*.py from outside"),
        ('COPY ["../lib/*.py", "/app/"]', "copies ../lib/*.py from outside"),
        ("COPY lib/*.py /app/", "copies lib/*.py, which is not"),
        ("COPY 'missing.txt' .", "missing.txt, which is not"),
        ("RUN --mount=type=bind,source=../x,target=/x true", "mounts ../x from outside"),
        ('RUN --mount=type=bind,source="../x",target=/x true', "mounts ../x from outside"),
        ('RUN --mount=type=bind,"src=../x",target=/x true', "mounts ../x from outside"),
        ("RUN --network=none --mount=target=/x,source=../x true", "mounts ../x from outside"),
        ("RUN --mount=type=bind,source=missing.txt,target=/x true", "mounts missing.txt, which is not"),
    ],
)
def test_a_copy_of_a_file_outside_the_context(folder: Files, instruction: str, words: str) -> None:
    where = folder(
        {
            **WHOLE,
            "Dockerfile": f"FROM scratch\n{instruction}\n",
            "ignored.txt": "",
            "emptied/model.bin": "",
            ".dockerignore": "ignored.txt\nemptied/*\n",
        }
    )
    (problem,) = found(where)
    assert problem[0] is Severity.ERROR
    assert words in problem[1]
    assert problem[2:] == ("Dockerfile", 2)


@pytest.mark.parametrize(
    "instruction",
    [
        *(
            "COPY . .",
            "COPY ./ app",
            "COPY / app",
            "COPY utils utils",
            "COPY utils/ utils",
            "COPY ./utils/../ .",
        ),
        *("COPY /pipeline.py .", "COPY --from=other ../x y", "COPY *.txt .", "COPY $HERE .", "COPY ${A}/b ."),
        *("ADD deploy@gitlab.company.com:team/repo.git /src", "ADD a_B-1@host:/b.git#main:dir /src"),
        *(
            "ADD https://example.com/x .",
            "ADD git@github.com:a/b.git .",
            "ADD SSH://a/b.git .",
            "COPY <<EOF /x\nmissing.txt y\nEOF",
        ),
        *("COPY link/anything .", "COPY --link pipeline.py .", "# COPY missing.txt .", "RUN cp ../x y"),
        "ADD --checksum=x https://a/b .",
        # BuildKit drops what leads out of the context.
        *("COPY ../utils /app/utils", "COPY ../utils/*.py /app", "COPY a/../../utils /app", "COPY .. /app"),
        *(
            'COPY "../utils" /app',
            'COPY ["../utils", "/app/"]',
            "ADD ../../pipeline.py /app/",
            "COPY ../* /app",
        ),
        *("COPY 'utils' /app", 'COPY "../$HERE" .', "COPY link/*.py .", "COPY ut?ls/missing/*.py /app/"),
        "RUN --mount=type=bind,source=../utils,target=/x true",
        "RUN --mount=type=bind,source=$HERE,target=/x --mount=target=/y true",
        "RUN --mount=type=bind,from=other,source=../x,target=/x true",
        "RUN --mount=type=cache,source=../x,target=/x true",
        "RUN --mount=type=secret,id=x tool --mount=source=../x",
    ],
)
def test_existing_and_builder_defined_sources_are_accepted(folder: Files, instruction: str) -> None:
    where = folder({**WHOLE, "Dockerfile": f"FROM scratch\n{instruction}\n"})
    (where / "link").symlink_to("/somewhere")
    assert found(where) == []


def test_a_missing_file_of_a_stage_that_may_not_be_built_is_a_warning() -> None:
    text = "FROM a AS one\nCOPY x .\nFROM b AS two\nCOPY x .\nFROM c\nCOPY x .\n"
    assert [(one.line, one.certain) for one in missing_sources(text, [], str.isupper)] == [
        (2, False),
        (4, False),
        (6, True),
    ]
    assert [one.certain for one in missing_sources(text, [], str.isupper, "Two")] == [False, True, False]


def test_a_dockerfile_that_cannot_build(folder: Files) -> None:
    where = folder({**WHOLE, "Dockerfile": "FROM scratch\nCOPPY . app\nENV A=1\n  B=2\n"})
    assert found(where) == [
        (Severity.ERROR, "the Dockerfile has the unknown instruction COPPY", "Dockerfile", 2),
        (Severity.ERROR, "the Dockerfile has the unknown instruction B=2", "Dockerfile", 4),
    ]
    details = [one.detail for one in validate(where, ReadOptions(static_only=True)).diagnostics]
    assert details == [
        "Did you mean 'COPY'?",
        "If it continues the instruction before it, end the line before it with \\.",
    ]


@pytest.mark.parametrize("image", ['builder = "append"\nbase = "python:3.12"', 'dockerfile = "Other"'])
def test_a_dockerfile_that_is_not_built_is_not_judged(folder: Files, image: str) -> None:
    config = f"{PROCESSING}\n[reconciler.image]\n{image}\n"
    where = folder({**WHOLE, "config.toml": config, "Dockerfile": "nothing", "Other": "FROM scratch\n"})
    assert found(where) == []


def test_an_unused_inputs_class_is_a_warning(folder: Files) -> None:
    where = folder({**WHOLE, "utils/inputs.py": sources.inputs("pass")})
    assert found(where) == [
        (
            Severity.WARNING,
            "Inputs declares inputs, but config.toml does not name it",
            "utils/inputs.py",
            5,
        )
    ]
    (finding,) = validate(where, ReadOptions()).diagnostics
    assert 'inputs_class = "utils/inputs.py:Inputs"' in finding.detail
    named = PROCESSING.replace(
        "requirements_file", 'inputs_class = "utils/inputs.py:Inputs"\nrequirements_file'
    )
    assert found(folder({"config.toml": named})) == []


BASE = "picsellia_pipelines_cli.utils.inputs"


@pytest.mark.parametrize(
    "path", ["inputs.py", "utils/inputs.py", "src/utils/inputs.py", "a/b/c/d/e/inputs.py"]
)
@pytest.mark.parametrize(
    "text",
    [
        f"from {BASE} import PipelineInputs\nclass Inputs(PipelineInputs): ...",
        f"from {BASE} import PipelineInputs as Base\nclass Inputs(Base): ...",
        f"from {BASE} import PipelineInputs as Base, other\nclass Inputs(other, Base, metaclass=x): ...",
        f"import {BASE} as m\nclass Inputs(m.PipelineInputs): ...",
        f"import {BASE}\nclass Inputs({BASE}.PipelineInputs): ...",
        f"from {BASE} import *\nclass Inputs(PipelineInputs[int]): ...",
        f"from {BASE} import PipelineInputs\nBase = PipelineInputs\nclass Inputs(Base): ...",
        f"from {BASE} import PipelineInputs\nclass _Own(PipelineInputs): ...\nclass Inputs(_Own): ...",
        f"try:\n  from {BASE} import PipelineInputs as B\nexcept ImportError: ...\nclass Inputs(B): ...",
        f"import {BASE} as m\nif m:\n  class Inputs(m.PipelineInputs): ...\nelse:\n  pass",
    ],
)
def test_an_unused_inputs_class_is_found_whatever_its_form_and_place(
    folder: Files, path: str, text: str
) -> None:
    where = folder({**WHOLE, path: text})
    (problem,) = found(where)
    assert problem[:3] == (Severity.WARNING, "Inputs declares inputs, but config.toml does not name it", path)


@pytest.mark.parametrize(
    "path",
    [
        *("ignored/inputs.py", "venv/lib/x/inputs.py", ".hidden/inputs.py", "a/.b/inputs.py"),
        *("conda/lib/python3.11/site-packages/inputs.py", "inputs.txt", "../other/inputs.py"),
    ],
)
def test_a_class_that_is_no_source_of_the_pipeline_is_not_reported(folder: Files, path: str) -> None:
    config = f'{PROCESSING}\n[reconciler.image]\ncontext = ".."\ndockerfile = "../Dockerfile"\n'
    files = {**WHOLE, "venv/pyvenv.cfg": "", "config.toml": config, "../Dockerfile": "FROM scratch\n"}
    inputs = {path: sources.inputs("pass"), "own/inputs.py": sources.inputs("pass")}
    where = folder({**files, "../.dockerignore": "*/ignored\n", **inputs})
    assert [file for _, summary, file, _ in found(where) if "declares" in summary] == ["own/inputs.py"]


def test_other_classes_of_a_module_are_not_reported(folder: Files) -> None:
    elses = "".join(f"elif x == {number}:\n  pass\n" for number in range(2000))
    text = f"from {BASE} import PipelineInputs as Base\nclass A(B): ...\ndef f():\n  class C(Base): ...\n"
    where = folder({**WHOLE, "utils/x.py": f"{text}if x:\n  pass\n{elses}", "utils/y.py": "(" * 10_000})
    assert found(where) == []


def test_a_context_with_many_modules_is_searched_from_the_top(folder: Files) -> None:
    many = {f"deep/a/b/{number}.py": "" for number in range(2500)}
    where = folder({**WHOLE, **many, "z.py": sources.inputs("pass"), "deep/a/b/z.py": sources.inputs("pass")})
    assert [file for _, _, file, _ in found(where)] == ["z.py"]


def test_a_dockerfile_for_buildkit_is_refused_if_another_builder_is_set(folder: Files) -> None:
    config = f'{PROCESSING}\n[reconciler.image]\nbuilder = "engine"\n'
    text = "FROM scratch\nCOPY ../utils /x\nCOPY utils/../utils /x\nRUN --mount=type=cache,target=/c true\n"
    where = folder({**WHOLE, "config.toml": config, "Dockerfile": text})
    assert [problem[1:] for problem in found(where)] == [
        ("the Docker Engine's own builder does not support COPY ../utils", "Dockerfile", 2),
        ("the Docker Engine's own builder does not support RUN --mount", "Dockerfile", 4),
    ]


WHITEOUTS = {".wh.gone": "", "utils/.wh..wh..opq": "", ".wh.folder/x.py": "", "a.wh.b": "", "utils/wh.x": ""}


@pytest.mark.parametrize(
    ("image", "dockerfile", "severity"),
    [
        ('base = "python:3.12"', False, Severity.ERROR),
        ('base = "python:3.12"\nbuilder = "append"', True, Severity.ERROR),
        ('base = "python:3.12"', True, Severity.WARNING),
        ("", True, None),
    ],
)
def test_names_that_the_append_builder_refuses(
    folder: Files, image: str, dockerfile: bool, severity: Severity | None
) -> None:
    where = folder({**WHOLE, **WHITEOUTS, "config.toml": f"{PROCESSING}\n[reconciler.image]\n{image}\n"})
    if not dockerfile:
        (where / "Dockerfile").unlink()
    names = [".wh.folder/x.py", ".wh.gone", "utils/.wh..wh..opq"]
    expected = [
        (severity, f"the append builder cannot add {name} to an image", name, None)
        for name in (names if severity else [])
    ]
    assert found(where) == expected
    (where / ".dockerignore").write_text("**/.wh.*\n")
    assert found(where) == []
