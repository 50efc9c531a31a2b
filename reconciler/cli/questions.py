"""What a deploy has to know and config.toml does not say: asked for, with a default and its reason.

Answers are edits of config.toml, which the pipeline is read with and the file gets once they are deployed.
Without a terminal nothing is asked: all that is missing is told at once, with the options that give it.
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
        path: where it goes.
        text: what is asked.
        form: what an answer looks like, or what it is for.
        option: gives the answer where nobody can be asked.
        default: None when there is nothing to suggest.
    """

    path: KeyPath
    text: str
    form: str
    option: str
    default: Default | None = None


def answers(loaded: LoadedConfig, given: Edits, err: Console) -> Edits:
    """What config.toml gets: what options gave, and what was missing besides.

    Raises:
        UserError: something is missing and nobody can be asked.
    """
    assert loaded.config is not None
    found: dict[KeyPath, Value] = dict(given)
    open_questions = [question for question in _questions(loaded) if question.path not in found]
    if open_questions and not prompts.someone_watches():
        raise UserError(
            *(
                error(
                    f"{'.'.join(map(str, question.path))} is missing, and nobody can be asked",
                    f"Use {question.option}, or write it into config.toml.",
                    file=loaded.path,
                    line=loaded.line_of(*question.path),
                )
                for question in open_questions
            )
        )
    for question in open_questions:
        convert = _checked(question, loaded)
        answer = ask(question.text, question.form, question.default, convert, err)
        if question.path == _IMAGE and (better := parse_repository(str(answer)).with_project):
            form = f"many registries want a project in it: {better}"
            answer = ask(question.text, form, Default(answer, "as you wrote it"), convert, err)
        found[question.path] = answer
    return found


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
        return  # a training's resources are those of the experiment that is launched
    if config.docker.cpu is None:
        yield Question(
            _CPU,
            "CPU cores",
            "that a job gets on Picsellia",
            "--cpu NUMBER",
            Default(4, "what most processings use"),
        )
    if config.docker.gpu is None:
        yield Question(
            _GPU,
            "GPUs",
            "that a job gets on Picsellia",
            "--gpu NUMBER",
            Default(0, "none; more add the flags --gpus=all and --ipc=host"),
        )


def _checked(question: Question, loaded: LoadedConfig) -> Callable[..., Value]:
    """Turns what was typed into a value that config.toml can have there, as the file itself is checked."""

    known = {problem.summary for problem in loaded.diagnostics}

    def value_of(typed: Value, *_: object) -> Value:
        text = str(typed).strip()
        value: Value = int(text) if question.path != _IMAGE and text.isascii() and text.isdecimal() else text
        for problem in edited_config(loaded, {question.path: value}).diagnostics:
            if problem.summary not in known:
                raise click.UsageError(f"{problem.summary}. {problem.detail}")
        return value

    return value_of


def _image_like_others(loaded: LoadedConfig, config: Config) -> Default | None:
    """A name beside those of the pipelines in the same folder, when they have one place in common."""
    places, folder = set(), loaded.path.parent
    for other in find_all(folder.parent):
        found = load(other, shared=loaded.shared).config if other.parent == folder.parent else None
        place, slash, _ = found.docker.image_name.rpartition("/") if found else ("", "", "")
        if slash:
            places.add(place)
    if len(places) != 1:
        return None
    return Default(f"{places.pop()}/{config.metadata.name.lower()}", "beside the other pipelines here")
