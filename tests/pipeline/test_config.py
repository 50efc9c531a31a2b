"""config.toml: accepted and refused files. Every error has its line and the fix."""

import random
import re
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from msgspec import Struct
from pydantic import BaseModel

from providers.docker.registry.reference import parse_repository
from providers.errors import RefusedError
from reconciler.core.diagnostics import Diagnostic, Severity
from reconciler.pipeline import settings_table
from reconciler.pipeline.config import LoadedConfig, load, read
from reconciler.pipeline.schema import AcceptedSecret, Config, ImageOptions, ModelTarget, Reconciler
from reconciler.pipeline.sections import IMAGE
from tests.pipeline.conftest import PROCESSING, TRAINING, Files

FILE = Path("app/config.toml")

ROWS = """\
[[model_versions]]
origin_name = "Detector"
name = "v1"
framework = "onnx"

[[model_versions]]
origin_name = "Detector"
name = "v2"
inference_type = "mask"
"""
UNTARGETED = TRAINING[: TRAINING.index("[model_version]")]


def loaded(text: str) -> LoadedConfig:
    return read(text, FILE)


def config(text: str) -> Config:
    found = loaded(text)
    assert found.config is not None, [d.summary for d in found.diagnostics]
    return found.config


def messages(text: str, severity: Severity = Severity.ERROR) -> list[tuple[int | None, str]]:
    """The line and the message of each problem; the fuzz test below covers the other parts."""
    return [(d.line, f"{d.summary}\n{d.detail}") for d in loaded(text).diagnostics if d.severity is severity]


def only(text: str, severity: Severity = Severity.ERROR) -> tuple[int | None, str]:
    problems = messages(text, severity)
    assert len(problems) == 1, problems
    return problems[0]


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


# Accepted files


def test_a_processing_pipeline_as_the_official_tool_writes_it() -> None:
    found = config(PROCESSING)
    assert found.metadata.name == "cleanup"
    assert str(found.metadata.version) == "1.0.0"
    assert found.metadata.description == "Cleans."
    assert found.metadata.type == "DATASET_VERSION_CREATION"
    assert found.execution.pipeline_script == "pipeline.py"
    assert found.execution.inputs_class is None
    assert (found.docker.image_name, found.docker.cpu, found.docker.gpu) == ("team/cleanup", 4, 0)
    assert not found.is_training
    assert loaded(PROCESSING).diagnostics == ()


def given(**fields: str) -> dict[str, dict[str, str]]:
    """What a row says of a model version, and of nothing else."""
    return {"model": {}, "model-version": fields}


def test_a_training_pipeline_with_one_target() -> None:
    found = config(TRAINING)
    assert found.is_training
    assert found.targets == (
        ModelTarget(
            origin_name="Detector",
            name="v1",
            fields=given(framework="ONNX", type="OBJECT_DETECTION"),
            line=13,
        ),
    )


def test_a_training_pipeline_with_several_targets() -> None:
    assert [(t.name, t.fields, t.line) for t in config(UNTARGETED + ROWS).targets] == [
        ("v1", given(framework="ONNX"), 13),
        ("v2", given(type="MASK"), 18),
    ]


def test_an_empty_framework_differs_from_a_missing_one() -> None:
    empty = replaced(replaced(TRAINING, '"ONNX"', '""'), '"OBJECT_DETECTION"', '""')
    absent = replaced(
        replaced(TRAINING, 'framework = "ONNX"\n', ""), 'inference_type = "OBJECT_DETECTION"\n', ""
    )
    assert [t.fields for t in (*config(empty).targets, *config(absent).targets)] == [
        given(framework="NOT_CONFIGURED", type="NOT_CONFIGURED"),
        given(),
    ]


def test_a_missing_key_differs_from_an_empty_one() -> None:
    without = config(replaced(PROCESSING, 'description = "Cleans."\n', ""))
    empty = config(replaced(PROCESSING, '"Cleans."', '""'))
    assert (without.metadata.description, empty.metadata.description) == (None, "")
    no_resources = config(replaced(PROCESSING, 'cpu = "4"\ngpu = 0\n', ""))
    assert (no_resources.docker.cpu, no_resources.docker.gpu) == (None, None)


def test_an_image_name_may_be_empty() -> None:
    assert config(replaced(PROCESSING, '"team/cleanup"', '""')).docker.image_name == ""


@pytest.mark.parametrize(
    ("written", "version"),
    [('"1.0"', "1.0.0"), ("1.0", "1.0.0"), ("1.10", "1.10.0"), ("2", "2.0.0"), ("'1.2.3-rc'", "1.2.3-rc")],
)
def test_versions(written: str, version: str) -> None:
    assert str(config(replaced(PROCESSING, '"1.0"', written)).metadata.version) == version


@pytest.mark.parametrize("written", ['"4"', "4", '" 4 "', '"04"'])
def test_resources_are_text_or_a_number(written: str) -> None:
    assert config(replaced(PROCESSING, '"4"', written)).docker.cpu == 4


@pytest.mark.parametrize("written", ["TRAINING", "training", "Training"])
def test_the_type_is_matched_in_any_case(written: str) -> None:
    assert config(replaced(TRAINING, '"TRAINING"', f'"{written}"')).is_training


@pytest.mark.parametrize(
    "name",
    ["app", "team/app", "registry.example.com/team/app", "localhost:8000/a/b", "a/b_c.d-e"],
)
def test_image_names(name: str) -> None:
    assert config(replaced(PROCESSING, "team/cleanup", name)).docker.image_name == name


PARTS = st.text("aB0.-_:/", max_size=12) | st.sampled_from(["host:", "a" * 130, "9" * 5000, "65535", "[::1]"])


@hypothesis.given(st.lists(PARTS, max_size=4).map("".join) | st.from_regex(IMAGE.pattern, fullmatch=True))
@hypothesis.example("0.0_0/0")
def test_a_registry_can_have_each_image_name(name: str) -> None:
    """Plans and builds parse the name again: a name that they refuse is an error here, with its line."""
    try:
        parse_repository(name)
    except RefusedError:
        assert [line for line, _ in messages(replaced(PROCESSING, "team/cleanup", name))] == [12] * (
            name != ""
        )


@pytest.mark.parametrize("port", ["0", "65536", "99999", "9" * 5000])
def test_a_registry_has_a_port(port: str) -> None:
    line, told = only(replaced(PROCESSING, "team/cleanup", f"host.io:{port}/app"))
    assert line == 12
    assert "is not an image name" in told
    assert "A port is a number from 1 to 65535." in told


def test_the_longest_image_name() -> None:
    """https://pkg.go.dev/github.com/distribution/reference#pkg-constants, without the registry."""
    for host in ("", "host.io/", f"{'h' * 60}.io/"):
        name = f"{host}a/{'b' * 253}"
        assert messages(replaced(PROCESSING, "team/cleanup", name)) == []
        assert "has 256 characters" in only(replaced(PROCESSING, "team/cleanup", f"{name}b"))[1]


@pytest.mark.parametrize("key", ["pipeline_script", "picsellia_pipeline_script", "local_pipeline_script"])
def test_a_script_has_a_name(key: str) -> None:
    line, told = only(replaced(PROCESSING, 'pipeline_script = "pipeline.py"', f'{key} = ""'))
    assert line == 8
    assert told.startswith(f"execution.{key} is empty")
    both = replaced(PROCESSING, "pipeline_script", f'{key} = "a.py"\nother = ""\npipeline_script')
    if key != "pipeline_script":
        assert config(replaced(both, 'pipeline_script = "pipeline.py"', 'pipeline_script = ""'))


@pytest.mark.parametrize("name", ["Host.io/a", "host.io:443/a", "HOST.IO:443/a"])
def test_an_image_has_one_name_under_all_names_of_its_registry(name: str) -> None:
    assert config(replaced(PROCESSING, "team/cleanup", name)).docker.image_name == "host.io/a"


def test_the_older_names_of_the_script() -> None:
    older = replaced(PROCESSING, "pipeline_script =", "picsellia_pipeline_script =")
    assert config(older).execution.pipeline_script == "pipeline.py"


def test_unknown_keys_are_ignored_as_in_the_official_tool() -> None:
    assert loaded(PROCESSING + 'color = "blue"\n\n[tool.other]\nx = 1\n').diagnostics == ()


def test_our_own_table() -> None:
    found = config(
        PROCESSING
        + """
[reconciler]
pin = "version"
protect = ["processing/cleanup"]

[reconciler.ignore_changes]
"processing/cleanup" = ["default_cpu", "default_gpu"]

[reconciler.image]
builder = "append"
base = "python:3.11"
entrypoint = ["python", "pipeline.py"]
env = { MODE = "fast" }
build_args = { INDEX = "https://pypi.org" }
platform = "linux/arm64"
"""
    ).reconciler
    assert found.pin == "version"
    assert found.protect == ("processing/cleanup",)
    assert found.ignore_changes == {"processing/cleanup": ("default_cpu", "default_gpu")}
    assert found.image.builder == "append"
    assert found.image.entrypoint == ("python", "pipeline.py")
    assert found.image.env == {"MODE": "fast"}
    assert found.image.build_args == {"INDEX": "https://pypi.org"}
    assert found.image.platform == "linux/arm64"


def test_our_own_table_has_defaults() -> None:
    found = config(PROCESSING).reconciler
    assert (found.pin, found.ignore_changes, found.protect) == ("channel", {}, ())
    image = found.image
    assert (image.builder, image.base, image.workdir, image.entrypoint) == ("auto", None, None, None)
    assert (image.env, image.build_args, image.platform, image.dockerfile) == (
        {},
        {},
        "linux/amd64",
        "Dockerfile",
    )


# Warnings


def test_the_documented_framework_is_accepted_with_a_warning() -> None:
    text = replaced(TRAINING, '"ONNX"', '"YOLOV8"')
    assert config(text).targets[0].fields == given(framework="YOLOV8", type="OBJECT_DETECTION")
    line, message = only(text, Severity.WARNING)
    assert line == 16
    assert "YOLOV8 is not in the installed SDK's list" in message


def test_the_last_of_two_rows_for_one_target_wins() -> None:
    text = UNTARGETED + ROWS + ROWS.replace('"onnx"', '"PYTORCH"').replace('"v2"', '"v3"')
    assert [(t.name, t.fields, t.line) for t in config(text).targets] == [
        ("v1", given(framework="PYTORCH"), 22),
        ("v2", given(type="MASK"), 18),
        ("v3", given(type="MASK"), 27),
    ]
    line, message = only(text, Severity.WARNING)
    assert line == 22
    assert "the one at line 22 is used" in message
    assert "row at line 13 has no effect" in message


def test_a_processing_pipeline_has_no_model_versions() -> None:
    line, message = only(PROCESSING + ROWS, Severity.WARNING)
    assert line == 16
    assert "[model_versions] is not used" in message
    assert config(PROCESSING + ROWS).targets == ()


def test_a_training_pipeline_has_no_inputs() -> None:
    text = replaced(TRAINING, "[docker]", 'inputs_class = "utils/inputs.py:Inputs"\n[docker]')
    line, message = only(text, Severity.WARNING)
    assert line == 9
    assert "inputs_class is not used" in message


# Refused files: one change to a valid file, the line of the error, and part of its message


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('name = "cleanup"\n', "", 1, "metadata.name is missing"),
        ('"cleanup"', '" "', 2, "metadata.name is empty"),
        ('"cleanup"', "3", 2, "metadata.name must be text, not 3"),
        ('"cleanup"', '"a\\nb"', 2, "metadata.name has control characters"),
        ('version = "1.0"\n', "", 1, 'Add version = "1.0.0" to [metadata]'),
        ('"1.0"', '"v1.2"', 3, "'v1.2' is not a version"),
        ('"1.0"', '"abc"', 3, "'abc' is not a version"),
        ('"1.0"', '"1.2.3.4"', 3, "'1.2.3.4' is not a version"),
        ('"1.0"', '""', 3, "'' is not a version"),
        ('"1.0"', "nan", 3, "'nan' is not a version"),
        ('"1.0"', "true", 3, "not true"),
        ('"1.0"', "1979-05-27", 3, "not 1979-05-27"),
        ('"Cleans."', "[]", 4, "metadata.description must be text, not a list"),
        ('type = "DATASET_VERSION_CREATION"\n', "", 1, "metadata.type is missing"),
        ('"DATASET_VERSION_CREATION"', '"PRE_ANOTATION"', 5, "Did you mean 'PRE_ANNOTATION'?"),
        ('"DATASET_VERSION_CREATION"', '"TRAIN"', 5, "Allowed: TRAINING, PRE_ANNOTATION"),
        ("[metadata]", "[metdata]", 1, "[metadata] is missing"),
        ("[execution]", "[exec]", 1, "[execution] is missing"),
        ("[docker]", "[dokcer]", 1, "Did you mean 'dokcer'?"),
        ('pipeline_script = "pipeline.py"', "pipeline_script = 1", 8, "must be text, not 1"),
        (
            '"pipeline.py"',
            '"/a/pipeline.py"',
            8,
            "execution.pipeline_script '/a/pipeline.py' is not relative",
        ),
        ('"pyproject.toml"', '"/a/b"', 9, "execution.requirements_file '/a/b' is not relative"),
        ("requirements_file", "inputs_class", 9, "'pyproject.toml' does not name a class"),
        ('requirements_file = "', 'parameters_class = "utils/p.py:', 9, "does not name a class"),
        ('requirements_file = "pyproject.toml', 'parameters_class = "/x/p.py:P', 9, "does not name a class"),
        ("team/cleanup", "team/cleanup:1.0", 12, "Leave the tag out"),
        ("team/cleanup", "https://reg.io/a/b", 12, "Leave the scheme out"),
        ("team/cleanup", "team/Clean Up", 12, "lower-case letters"),
        ('"4"', '"2.5"', 14, 'docker.cpu must be a whole number from 0, not "2.5"'),
        ('"4"', "4.9", 14, "not 4.9"),
        ('"4"', "4.0", 14, "not 4.0"),
        ('"4"', "-1", 14, "not -1"),
        ('"4"', '"-1"', 14, 'not "-1"'),
        ('"4"', "true", 14, "not true"),
        ('"4"', '"four"', 14, 'not "four"'),
        ('"4"', '"٤"', 14, "a whole number"),
        ('"4"', '""', 14, 'not ""'),
        ('"4"', "99999999999999", 14, "not 99999999999999"),
        ("gpu = 0", "gpu = 0.5", 15, "docker.gpu must be a whole number from 0, not 0.5"),
    ],
)
def test_refused_in_a_processing_pipeline(old: str, new: str, line: int, words: str) -> None:
    found, message = only(replaced(PROCESSING, old, new))
    assert found == line
    assert words in message


@pytest.mark.parametrize(
    ("targets", "line", "words"),
    [
        ("", 4, "Add a [model_version] table with origin_name, name, framework, inference_type"),
        ("[model_version]\n", 13, "needs a model version to deploy to"),
        ('[model_version]\nid = "7"\n', 13, "Add origin_name, name, framework, inference_type to it"),
        (
            '[model_version]\nname = ""\norigin_name = ""\nframework = ""\ninference_type = ""\n',
            15,
            "origin_name, name, framework, inference_type are empty",
        ),
        ('[model_version]\nname = "v1"\n', 13, "origin_name is missing or empty"),
        ('[model_version]\norigin_name = "M"\nname = ""\n', 15, "name is empty"),
        ('[[model_versions]]\norigin_name = "M"\n', 13, "model_versions[0]: name is missing"),
        (ROWS.replace('"v2"', "2"), 20, "model_versions.1.name must be text, not 2"),
        (ROWS.replace('"onnx"', '"pytorc"'), 16, "Did you mean 'PYTORCH'?"),
        (ROWS.replace('"onnx"', '"YOLO8"'), 16, "Did you mean 'YOLOV8'?"),
        (ROWS.replace('"mask"', '"DETECTION"'), 21, "Allowed: NOT_CONFIGURED, CLASSIFICATION"),
        ("[model_versions]\nname = 1\n", 13, "model_versions must be rows"),
        ("[[model_version]]\nname = 1\n", 13, "model_version must be a table"),
    ],
)
def test_refused_targets(targets: str, line: int, words: str) -> None:
    found, message = only(UNTARGETED + targets)
    assert found == line
    assert words in message


@pytest.mark.parametrize("key", ["framework", "inference_type"])
@pytest.mark.parametrize(
    "slip", ["YOLO", "YOLO8", "pytorc", "ONX", "CLASSIFICATON", "MASQUE", "NOT_CONFIGURD"]
)
def test_what_is_suggested_for_a_target_is_listed(key: str, slip: str) -> None:
    earlier = '"onnx"' if key == "framework" else '"mask"'
    _, message = only(UNTARGETED + ROWS.replace(earlier, f'"{slip}"'))
    listed, _, suggested = message.partition("Did you mean ")
    assert suggested.strip("'?") in listed


def test_two_kinds_of_targets_at_once() -> None:
    line, message = only(TRAINING + ROWS)
    assert line == 13
    assert "[[model_versions]] starts at line 18" in message


def test_an_empty_target_beside_rows_must_be_deleted() -> None:
    line, message = only(UNTARGETED + '[model_version]\norigin_name = ""\nname = ""\n' + ROWS)
    assert line == 13
    assert "[model_version] is empty: delete it" in message


@pytest.mark.parametrize("kind", ["image", "processing", "input", "model", "model-version"])
def test_a_kind_without_a_name_is_not_suggested_for_itself(kind: str) -> None:
    _, message = only(PROCESSING + f'[reconciler]\nprotect = ["{kind}"]\n')
    assert f"'{kind}' is not an address" in message
    assert "Did you mean" not in message


def test_an_id_beside_rows_is_not_a_second_target() -> None:
    assert len(config(UNTARGETED + '[model_version]\nid = "7"\n' + ROWS).targets) == 2


@pytest.mark.parametrize(
    ("table", "line", "words"),
    [
        ('[reconciler]\npinn = "version"\n', 18, "Did you mean 'pin'?"),
        ('[reconciler]\npin = "tag"\n', 18, "must be 'channel' or 'version', not \"tag\""),
        ("[reconciler]\npin = 1\n", 18, "not 1"),
        ('[reconciler]\nprotect = "processing/x"\n', 18, "must be a list of texts"),
        (
            '[reconciler]\nprotect = [\n  "processing/x",\n  "procesing/y",\n]\n',
            20,
            "Did you mean 'processing'?",
        ),
        ('[reconciler]\nprotect = ["cleanup"]\n', 18, "'cleanup' is not an address"),
        ("[reconciler]\nprotect = [1]\n", 18, "must be text, not 1"),
        ("[reconciler]\nignore_changes = 1\n", 18, "must be a table, not 1"),
        ('[reconciler.ignore_changes]\n"processing/x" = "cpu"\n', 18, "must be a list of texts"),
        ('[reconciler.ignore_changes]\nx = ["cpu"]\n', 18, "'x' is not an address"),
        ('[reconciler]\nprotect = ["input/cleanup"]\n', 18, "Write input/PROCESSING/NAME"),
        ('[reconciler]\nprotect = ["processing/a/b"]\n', 18, "Write processing/NAME"),
        ('[reconciler.ignore_changes]\n"model/A/v1" = []\n', 18, "Write model/NAME"),
        ('[reconciler.ignore_changes]\n"image/reg.io/x" = ["channel"]\n', 18, "has no fields to ignore"),
        ('[reconciler.ignore_changes]\n"processing/x" = ["descripton"]\n', 18, "mean 'description'?"),
        (
            '[reconciler.ignore_changes]\n"processing/x" = ["type",\n  "default_parameter.a",\n]\n',
            19,
            "Did you mean 'default_parameters'?",
        ),
        ('[reconciler.image]\nbulder = "append"\n', 18, "Did you mean 'builder'?"),
        ('[reconciler.image]\nbuilder = "kaniko"\n', 18, "'buildx', 'buildkit', 'engine' or 'append'"),
        ("[reconciler.image.env]\nA = 1\n", 18, "reconciler.image.env.A must be text, not 1"),
        ('[reconciler.image]\nplatform = "amd64"\n', 18, "linux/amd64"),
        ('[reconciler.image]\nbase = ""\n', 18, "reconciler.image.base is empty"),
        ("[reconciler]\nimage = 1\n", 18, "reconciler.image must be a table, not 1"),
        ('[reconciler.env.STAGING]\npin = "version"\n', 18, "'pin' is not a table of config.toml"),
        ("[reconciler.env.STAGIN.docker]\ncpu = 1\n", 17, "Did you mean 'STAGING'?"),
        ("[reconciler]\nenv = 1\n", 18, "reconciler.env must be a table, not 1"),
        ("[reconciler.env]\nPROD = 1\n", 18, "reconciler.env.PROD must hold tables, not 1"),
        ("[reconciler.env.PROD]\ndocker = 1\n", 18, "docker must be a table, not 1"),
        ("[reconciler.env.PROD.reconciler.env]\n", 17, "an overlay cannot have overlays of its own"),
        ("[[reconciler]]\n", 17, "reconciler must be a table"),
    ],
)
def test_our_own_table_is_strict(table: str, line: int, words: str) -> None:
    found, message = only(f"{PROCESSING}\n{table}")
    assert found == line
    assert words in message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("\ncpu = ", "\ncpus = ", "docker.cpus is not used"),
        ("\nrequirements_file = ", "\nrequirement_file = ", "Did you mean 'requirements_file'?"),
        ("[docker]", '[reconcilr]\npin = "version"\n[reconciler]\n[docker]', "Did you mean 'reconciler'?"),
    ],
)
def test_a_misspelt_key_is_a_warning(old: str, new: str, words: str) -> None:
    text = replaced(PROCESSING, old, new)
    line, message = only(text, Severity.WARNING)
    assert line == text[: text.index(new.strip())].count("\n") + 1
    assert words in message


@pytest.mark.parametrize("environment", ["PROD", "STAGING", None])
def test_a_misspelt_key_in_an_overlay_is_an_error_on_its_line_for_each_environment(
    environment: str | None,
) -> None:
    text = PROCESSING + "[reconciler.env.PROD.docker]\ncpus = 8\n"
    (problem,) = read(text, FILE, environment).diagnostics
    assert (problem.line, problem.severity) == (text.count("\n"), Severity.ERROR)


@pytest.mark.parametrize("name", ["-x", "--yes", ".", ".."])
def test_a_name_that_looks_like_an_option_or_a_folder_is_refused(name: str) -> None:
    line, message = only(PROCESSING.replace('name = "cleanup"', f'name = "{name}"', 1))
    assert line == 2
    assert "looks like an option or a folder on the command line" in message


def test_all_problems_are_reported_at_once() -> None:
    text = """\
[metadata]
name = ""
version = "v1"
type = "TRAIN"
[docker]
image_name = "a:b"
cpu = -1
gpu = 2.5
[reconciler]
pinn = 1
"""
    assert [line for line, _ in messages(text)] == [1, 2, 3, 4, 6, 7, 8, 10]


# Files that are no valid TOML, or no files


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[metadata]\nname = \n", 2, "line 2, column 8: Invalid value"),
        ("[metadata", 1, "line 1"),
        ("a = 1\na = 2\n", 2, "line 2"),
        ("[a]\nb = " + "[" * 5000, 2, "nested too deeply"),
        ("[a]\nb = " + "[" * 200 + "]" * 200, 2, "levels deep. The rest"),
        ("a = " + "9" * 5000, 1, "line 1"),
    ],
)
def test_malformed_toml_is_one_problem_with_its_place(text: str, line: int, words: str) -> None:
    found, message = only(text)
    assert found == line
    assert words in message
    assert "not valid TOML" in message


def problem_of(folder: Path) -> Diagnostic:
    found = load(folder)
    assert found.config is None
    (problem,) = found.diagnostics
    assert problem.file == folder / "config.toml"
    return problem


def test_no_file(tmp_path: Path) -> None:
    assert "no config.toml here" in problem_of(tmp_path).summary
    assert "no config.toml here" in problem_of(tmp_path / "missing").summary


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    assert "is a folder" in problem_of(tmp_path).summary


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Path, __: int) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "config.toml").touch()
    monkeypatch.setattr("os.open", denied)
    assert "cannot be read: Permission denied" in problem_of(tmp_path).summary


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b'[metadata]\nname = "caf\xe9"\n')
    problem = problem_of(tmp_path)
    assert problem.line == 2
    assert "not UTF-8" in problem.summary


def test_a_byte_order_mark_and_windows_line_ends_are_fine(folder: Files) -> None:
    found = load(folder({"config.toml": "\ufeff" + PROCESSING.replace("\n", "\r\n")}))
    assert found.config == config(PROCESSING)
    assert found.line_of("docker", "cpu") == 14


# Random edits


PIECES = [
    "",
    '""',
    "1",
    "-1",
    "1.5",
    "true",
    "[]",
    "{}",
    "[[]]",
    '"x"',
    "'",
    '"',
    "=",
    "[",
    "]",
    "\n",
    "#",
    "\x00",
]


def mutated(text: str, chance: random.Random) -> str:
    """The text after a few careless edits."""
    for _ in range(chance.randint(1, 4)):
        parts = re.split(r'("[^"]*"|\s+|[=\[\]])', text)
        at = chance.randrange(len(parts))
        match chance.randrange(4):
            case 0:
                parts[at] = chance.choice(PIECES)
            case 1:
                parts[at] += chance.choice(parts)
            case 2:
                del parts[at]
            case _:
                other = chance.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
        text = "".join(parts)
    return text


@pytest.mark.parametrize("seed", range(400))
def test_any_text_gives_a_config_or_a_problem_with_its_line(seed: int) -> None:
    chance = random.Random(seed)
    whole = chance.choice([PROCESSING, TRAINING, UNTARGETED + ROWS])
    text = mutated(whole + '[reconciler]\npin = "version"\n[reconciler.image]\nenv = { A = "b" }\n', chance)
    found = loaded(text)
    last = text.count("\n") + 1
    for problem in found.diagnostics:
        assert problem.file == FILE
        assert problem.line is not None
        assert 1 <= problem.line <= last
        assert problem.summary
    assert (found.config is None) == any(d.severity is Severity.ERROR for d in found.diagnostics)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (settings_table.ReconcilerTable, Reconciler),
        (settings_table.ImageTable, ImageOptions),
        (settings_table.AcceptedSecretTable, AcceptedSecret),
    ],
)
def test_what_is_validated_is_what_is_read(table: type[BaseModel], values: type[Struct]) -> None:
    """A model validates the settings, and plain values hold them: the same fields in the same order."""
    assert list(table.model_fields) == [*values.__struct_fields__]


def test_settings_have_the_same_defaults_with_and_without_the_table() -> None:
    assert (
        config(PROCESSING).reconciler == config(PROCESSING + '\n[reconciler]\npin = "channel"\n').reconciler
    )
    empty_image = config(PROCESSING + '\n[reconciler.image]\nbuilder = "auto"\n').reconciler
    assert config(PROCESSING).reconciler == empty_image
