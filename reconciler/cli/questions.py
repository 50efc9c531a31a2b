"""Asks for the values that deploy needs and config.toml lacks.

The answers are edits: the pipeline is read with them, and config.toml gets them after a successful deploy.
Without a terminal, one error lists all missing values with the options that set them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
from rich.console import Console

from providers.docker.registry.reference import parse_repository
from reconciler.cli import prompts
from reconciler.cli.prompts import Default, ask
from reconciler.core.diagnostics import UserError, error
from reconciler.pipeline.config import LoadedConfig, edited_config, load
from reconciler.pipeline.schema import Config
from reconciler.pipeline.toml.toml_edits import Edits, Value
from reconciler.pipeline.toml.toml_positions import Path as KeyPath
from reconciler.workspace.discovery import find_all

_IMAGE: KeyPath = ("docker", "image_name")
_CPU: KeyPath = ("docker", "cpu")
_GPU: KeyPath = ("docker", "gpu")
ASKED = (_IMAGE, _CPU, _GPU)


@dataclass(frozen=True, slots=True)
class Question:
    """One value that config.toml should have.

    Attributes:
        path: the key in config.toml.
        text: the question.
        form: the form or the purpose of the answer.
        option: the option that sets the value without a terminal.
        default: the suggested answer; None for no suggestion.
    """

    path: KeyPath
    text: str
    form: str
    option: str
    default: Default | None = None


def answers(loaded: LoadedConfig, option_edits: Edits, err: Console) -> Edits:
    """The edits of the options, and the answers to the questions that remain.

    Raises:
        UserError: values are missing, and there is no terminal.
    """
    assert loaded.config is not None
    edits: dict[KeyPath, Value] = dict(option_edits)
    open_questions = [question for question in _questions(loaded) if question.path not in edits]
    if open_questions and not prompts.is_interactive():
        raise UserError(
            *(
                error(
                    f"{'.'.join(map(str, question.path))} is missing",
                    f"Use {question.option}, or set it in config.toml.",
                    file=loaded.path,
                    line=loaded.line_of(*question.path),
                )
                for question in open_questions
            )
        )
    for question in open_questions:
        convert = _converter(question, loaded)
        answer = ask(question.text, question.form, question.default, convert, err)
        if question.path == _IMAGE and (better := parse_repository(str(answer)).with_project):
            form = f"many registries require a project in it: {better}"
            answer = ask(question.text, form, Default(answer, "as you typed it"), convert, err)
        edits[question.path] = answer
    return edits


def _questions(loaded: LoadedConfig) -> Iterator[Question]:
    config = loaded.config
    assert config is not None
    if not config.docker.image_name:
        yield Question(
            _IMAGE,
            "Docker image name",
            "user/pipeline_name, or registry/project/pipeline_name",
            "--image NAME",
            _image_like_others(loaded, config),
        )
    if config.is_training:
        return  # a training gets its CPU and GPU from the experiment that launches it
    if config.docker.cpu is None:
        yield Question(
            _CPU,
            "CPU cores",
            "of a job on Picsellia",
            "--cpu NUMBER",
            Default(4, "the usual number for a processing"),
        )
    if config.docker.gpu is None:
        yield Question(
            _GPU,
            "GPUs",
            "of a job on Picsellia",
            "--gpu NUMBER",
            Default(0, "no GPU; a higher number adds the flags --gpus=all and --ipc=host"),
        )


def _converter(question: Question, loaded: LoadedConfig) -> Callable[..., Value]:
    """A converter from an answer to a value. It applies the checks for config.toml to the answer."""

    existing_problems = {problem.summary for problem in loaded.diagnostics}

    def value_of(typed: Value, *_: object) -> Value:
        text = str(typed).strip()
        value: Value = int(text) if question.path != _IMAGE and text.isascii() and text.isdecimal() else text
        for problem in edited_config(loaded, {question.path: value}).diagnostics:
            if problem.summary not in existing_problems:
                raise click.UsageError(f"{problem.summary}. {problem.detail}")
        return value

    return value_of


def _image_like_others(loaded: LoadedConfig, config: Config) -> Default | None:
    """An image name next to those of the other pipelines in the parent folder, if they share one project."""
    projects, folder = set(), loaded.path.parent
    for other in find_all(folder.parent):
        other_config = load(other, shared=loaded.shared).config if other.parent == folder.parent else None
        project, slash, _ = other_config.docker.image_name.rpartition("/") if other_config else ("", "", "")
        if slash:
            projects.add(project)
    if len(projects) != 1:
        return None
    return Default(f"{projects.pop()}/{config.metadata.name.lower()}", "as the other pipelines here")
