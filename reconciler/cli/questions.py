"""Asks for the values that a pipeline needs and its config.toml lacks, for `init` and `deploy`.

The answers are edits: the pipeline is read with them, and config.toml gets them after a successful deploy.
Until then they are kept aside, as suggestions for the next run. Without a terminal, one error lists all
missing values with the options that set them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click
from msgspec import Struct

from providers import enums
from providers.ascii_case import ascii_upper
from providers.image_names import name_with_project
from reconciler.cli import kept_answers, prompts
from reconciler.cli.options.model import ENUMS
from reconciler.cli.prompts import Default, ask
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.pipeline.config import LoadedConfig, edited_config, load
from reconciler.pipeline.targets import TARGET_FIELDS
from reconciler.pipeline.toml.edits import Edits, Value
from reconciler.pipeline.toml.overlays import overlaid
from reconciler.pipeline.toml.toml_positions import Path as KeyPath
from reconciler.views.terminal.console import Console
from reconciler.workspace.discovery import find_all

_IMAGE: KeyPath = ("docker", "image_name")
_CPU: KeyPath = ("docker", "cpu")
_GPU: KeyPath = ("docker", "gpu")
MODEL = "model_version"
"""The table of the model that a training trains."""
_MODEL: tuple[KeyPath, ...] = tuple((MODEL, key) for key in TARGET_FIELDS)
_TABLES = "[model_version] or [[model_versions]] of config.toml"
ASKED = (_IMAGE, _CPU, _GPU, *_MODEL)


class Question(Struct, frozen=True):
    """One value that config.toml should have.

    Attributes:
        path: the key in config.toml.
        text: the question.
        form: the form or the purpose of the answer.
        option: the option that sets the value without a terminal.
        stand_in: a valid answer, to check everything else before the question.
        default: the suggested answer; None for no suggestion.
        place: where else the value can be set.
    """

    path: KeyPath
    text: str
    form: str
    option: str
    stand_in: Value
    default: Default | None = None
    place: str = "config.toml"


class Form(Struct, frozen=True):
    """A config.toml with its open questions.

    Attributes:
        loaded: config.toml as it is.
        complete: with the values of the options, and with stand-ins for the answers.
        edits: the values of the options.
        questions: what the file and the options leave open.
    """

    loaded: LoadedConfig
    complete: LoadedConfig
    edits: Edits
    questions: tuple[Question, ...]

    @property
    def stand_ins(self) -> Edits:
        """The edits with a valid answer to each question."""
        return {**self.edits, **{question.path: question.stand_in for question in self.questions}}


def form(loaded: LoadedConfig, option_edits: Edits) -> Form:
    """The open questions of a config.toml. Raises UserError if it has errors that no answer solves."""
    if not loaded.document:
        raise UserError(*loaded.diagnostics)
    open_questions = tuple(
        found for found in _questions(loaded, option_edits) if found.path not in option_edits
    )
    found = Form(loaded, loaded, option_edits, open_questions)
    # Without its model, a training is not valid. Other errors are reported as they are in the file.
    model = {path: value for path, value in found.stand_ins.items() if path in _MODEL}
    complete = edited_config(loaded, model) if model else loaded
    if complete.config is not None and found.stand_ins:
        complete = edited_config(loaded, found.stand_ins)
    if complete.config is None:
        raise UserError(*_placed(complete))
    return Form(loaded, complete, option_edits, open_questions)


def answers(asked: Form, err: Console, check: Callable[[], None] = lambda: None) -> Edits:
    """The edits of the options, and the answers to the questions that remain.

    Args:
        check: called before the first question. Raises UserError for problems that no answer solves.

    Raises:
        UserError: values are missing, and there is no terminal.
    """
    file, edits = asked.complete.path, dict(asked.edits)
    if not asked.questions:
        return edits
    if not prompts.is_interactive():
        is_file = file.exists()  # init makes it
        raise UserError(
            *(
                error(
                    f"{'.'.join(map(str, question.path))} is missing",
                    f"Use {question.option}, or set it in {question.place}."
                    if is_file
                    else f"Use {question.option}.",
                    file=file if is_file else None,
                    line=asked.loaded.line_of(*question.path) if is_file else None,
                )
                for question in asked.questions
            )
        )
    check()
    earlier, given = kept_answers.read(file), dict[KeyPath, Value]()
    for question in asked.questions:
        default = question.default
        if question.path in earlier:
            default = Default(earlier[question.path], "your last answer")
        convert = _converter(question, asked.complete)
        answer = ask(question.text, question.form, default, convert, err)
        if question.path == _IMAGE and (better := name_with_project(str(answer))):
            proposal = f"many registries require a project in it: {better}"
            answer = ask(question.text, proposal, Default(answer, "as you typed it"), convert, err)
        given[question.path] = answer
        kept_answers.keep(file, {**earlier, **given})
    return {**edits, **given}


def _questions(loaded: LoadedConfig, given: Edits) -> Iterator[Question]:
    document = overlaid(dict(loaded.document), loaded.environment).document
    metadata, docker = _table(document, "metadata"), _table(document, "docker")
    if not docker.get("image_name") and _IMAGE not in given:  # the suggestion reads other pipelines
        yield Question(
            _IMAGE,
            "Docker image name",
            "user/pipeline_name, or registry/project/pipeline_name",
            "--image NAME",
            "user/pipeline_name",
            _image_like_others(loaded, str(metadata.get("name", ""))),
        )
    if ascii_upper(str(metadata.get("type", ""))) == enums.TRAINING:
        # A training gets its CPU and GPU from the experiment that launches it.
        yield from _model_questions(document)
        return
    if docker.get("cpu") is None:
        yield Question(
            _CPU,
            "CPU cores",
            "of a job on Picsellia",
            "--cpu NUMBER",
            4,
            Default(4, "the usual number for a processing"),
        )
    if docker.get("gpu") is None:
        yield Question(
            _GPU,
            "GPUs",
            "of a job on Picsellia",
            "--gpu NUMBER",
            0,
            Default(0, "no GPU; a higher number adds the flags --gpus=all and --ipc=host"),
        )


def _model_questions(document: Mapping[str, Any]) -> Iterator[Question]:
    """The questions for the model of a training, as `pxl-pipeline init` asks them, if its table is empty."""
    table = _table(document, MODEL)
    if document.get("model_versions") or any(str(table.get(key, "")).strip() for key in TARGET_FIELDS):
        return
    model, version, framework, inference_type = _MODEL
    yield Question(
        model,
        "Model to train",
        "its name on Picsellia; created if it does not exist",
        "--model NAME",
        "Model",
        place=_TABLES,
    )
    yield Question(
        version,
        "Version of the model",
        "created if it does not exist",
        "--model-version NAME",
        "v1",
        Default("v1", "the usual first one"),
        _TABLES,
    )
    for path, text, option, names, usual in (
        (framework, "Framework", "--framework NAME", enums.FRAMEWORKS, "ONNX"),
        (
            inference_type,
            "Inference type",
            "--inference-type TYPE",
            enums.INFERENCE_TYPES,
            "OBJECT_DETECTION",
        ),
    ):
        choices = ", ".join(name for name in names if name != enums.NOT_CONFIGURED)
        yield Question(
            path, text, choices, option, usual, Default(usual, "as for pxl-pipeline init"), _TABLES
        )


def _placed(loaded: LoadedConfig) -> list[Diagnostic]:
    """The problems of a config.toml; without their lines as long as the file is not written."""
    if loaded.path.exists():
        return [*loaded.diagnostics]
    return [problem.at(None, None) for problem in loaded.diagnostics]


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = document.get(name)
    return table if isinstance(table, dict) else {}


def _converter(question: Question, complete: LoadedConfig) -> Callable[..., Value]:
    """A converter from an answer to a value. It applies the checks for config.toml to the answer.

    Args:
        complete: config.toml with the stand-ins for all answers.
    """

    existing_problems = {problem.summary for problem in complete.diagnostics}

    def value_of(typed: Value, *_: object) -> Value:
        text = str(typed).strip()
        is_number = question.path in (_CPU, _GPU) and text.isascii() and text.isdecimal()
        value: Value = int(text) if is_number else ascii_upper(text) if question.path[-1] in ENUMS else text
        for problem in edited_config(complete, {question.path: value}).diagnostics:
            if problem.summary not in existing_problems:
                raise click.UsageError(f"{problem.summary}. {problem.detail}")
        return value

    return value_of


def _image_like_others(loaded: LoadedConfig, name: str) -> Default | None:
    """An image name next to those of the other pipelines in the parent folder, if they share one project."""
    projects, folder = set(), loaded.path.parent
    for other in find_all(folder.parent):
        other_config = load(other, shared=loaded.shared).config if other.parent == folder.parent else None
        project, slash, _ = other_config.docker.image_name.rpartition("/") if other_config else ("", "", "")
        if slash:
            projects.add(project)
    if len(projects) != 1:
        return None
    return Default(f"{projects.pop()}/{name.lower()}", "as the other pipelines here")
