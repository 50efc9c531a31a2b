"""Select the pipelines that a command works on, each with the reasons. Runs no code, contacts no platform.

Every command selects here, so the same arguments select the same pipelines.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from providers.regular_files import real_path
from providers.text import shown_names
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.system.files import display_path
from reconciler.workspace.config_file import PipelineSummary, summarize
from reconciler.workspace.discovery import PipelineIndex, checked_folder, is_folder_of_pipeline, require_own
from reconciler.workspace.globs import Glob, glob_problem
from reconciler.workspace.passed_over import Known, PassedOver, none_known
from reconciler.workspace.schema import Workspace
from reconciler.workspace.selection_request import SelectionRequest, is_glob

if TYPE_CHECKING:
    from reconciler.workspace.changes import Base

_SHOWN = 8
"""Pipelines that an error lists; it has the number of the others."""


class SelectedPipeline(Struct, frozen=True):
    """A pipeline, and why it is selected.

    Attributes:
        why: one reason for each option that selects it.
    """

    folder: Path
    why: tuple[str, ...]


NotFound = Callable[[str, UserError], None]
"""Called with each name that matches no pipeline, and its error."""


class NoPipelineError(UserError):
    """There is no pipeline at all."""


def select(
    request: SelectionRequest,
    here: Path,
    workspace: Workspace,
    environment: Callable[[], str | None],
    changed: Callable[[Sequence[Path], "Base"], Mapping[Path, str]],
    stale: Callable[[Sequence[Path]], Mapping[Path, str]],
    failed: NotFound,
    known: Known = none_known,
) -> list[SelectedPipeline]:
    """The pipelines that this request selects, each once.

    Args:
        here: the current folder, where names, paths and globs start.
        environment: returns the one whose values of config.toml count; called only if they are needed.
        changed: returns those of these pipelines whose files differ from a commit, with the reasons; called
            only if they are needed.
        stale: returns those of these pipelines whose files differ from the state, with the reasons; called
            only if they are needed.
        failed: called for each name that matches no pipeline. The others are selected all the same.
        known: finds those of the places that the search passes over which are folders of stacks.

    Raises:
        NoPipelineError: there is no pipeline to select from.
        UserError: no pipeline is selected, one belongs to another workspace, or there is no such group.
    """
    complaints = 0

    def not_found(name: str, problem: UserError) -> None:
        nonlocal complaints
        complaints += 1
        failed(name, problem)

    found: dict[Path, SelectedPipeline] = {}
    for candidate in _candidates(request, here, workspace, environment, not_found, known):
        place = real_path(candidate.folder)
        first = found.setdefault(place, candidate)
        found[place] = replace(first, why=tuple(dict.fromkeys((*first.why, *candidate.why))))
    candidates = list(found.values())
    require_own((one.folder for one in candidates), workspace)
    may_be_empty = request.allow_empty or complaints > 0  # a complaint is the error then
    if not (candidates or may_be_empty):
        raise NoPipelineError(_no_pipeline(here, workspace))
    selected = (
        _of_kind(request, candidates, environment) if request.types or request.gpu is not None else candidates
    )
    if request.changed is not None and selected:
        from reconciler.workspace.changes import base_of

        base = base_of(request.changed, here)
        reasons = changed([one.folder for one in selected], base)
        selected = _require(selected, reasons, "--changed", base.label, may_be_empty)
    if request.stale and selected:
        selected = _require(
            selected, stale([one.folder for one in selected]), "--stale", "the state", may_be_empty
        )
    return selected


def _require(
    pipelines: Sequence[SelectedPipeline],
    reasons: Mapping[Path, str],
    option: str,
    other: str,
    allow_empty: bool,
) -> list[SelectedPipeline]:
    """The pipelines that differ from something else. Raises UserError if there is none."""
    selected = _with_reasons(pipelines, reasons)
    if not selected and not allow_empty:
        count = (
            f"None of {len(pipelines)} pipelines differs" if pipelines[1:] else "The pipeline does not differ"
        )
        raise UserError(
            error(f"no pipeline is selected by {option}", f"{count} from {other}. {_ALLOW_EMPTY}")
        )
    return selected


def _of_kind(
    request: SelectionRequest, candidates: Sequence[SelectedPipeline], environment: Callable[[], str | None]
) -> list[SelectedPipeline]:
    """The pipelines of the requested types and GPUs. Raises UserError if there is none."""
    summaries = [summarize(one.folder, environment()) for one in candidates]
    reasons = {summary.folder: _reason(request, summary) for summary in summaries}
    selected = _with_reasons(candidates, {folder: why for folder, why in reasons.items() if why is not None})
    if candidates and not selected and not request.allow_empty:
        raise UserError(_nothing_left(request, summaries))
    return selected


def _with_reasons(
    pipelines: Iterable[SelectedPipeline], reasons: Mapping[Path, str]
) -> list[SelectedPipeline]:
    """The pipelines that have a reason, with it."""
    return [replace(one, why=(*one.why, reasons[one.folder])) for one in pipelines if one.folder in reasons]


def _candidates(
    request: SelectionRequest,
    here: Path,
    workspace: Workspace,
    environment: Callable[[], str | None],
    failed: NotFound,
    known: Known,
) -> Iterator[SelectedPipeline]:
    """The pipelines with these names and in these groups, or all; some maybe several times."""
    index = PipelineIndex(here, workspace, environment)
    of_state = PassedOver(index, here, workspace, known, failed)
    if any(map(is_glob, request.names)) or not (request.names or request.groups):
        for place, problem in index.problems.items():
            failed(display_path(place), problem)
    for name in request.names:
        try:
            if is_glob(name) and not (is_folder_of_pipeline(here / name) or index.called(name)):
                is_valid, before = glob_problem(name) is None, of_state.complaints
                folders = of_state.matching([Glob(name)], by_name=True) if is_valid else []
                folders += _matching(
                    name, index, here, request.allow_empty or bool(folders) or of_state.complaints > before
                )
                yield from (SelectedPipeline(folder, (f"matches {name}",)) for folder in folders)
            else:
                yield SelectedPipeline(index.find(name), (f"named {name}",))
        except UserError as problem:
            failed(name, problem)
    for group in request.groups:
        folders = _in_group(group, workspace, request.allow_empty, failed, known)
        yield from (SelectedPipeline(folder, (f"in the group {group}",)) for folder in folders)
    if not request.names and not request.groups:
        if request.everything or request.has_filters:
            why = () if request.has_filters else ("below the current folder",)
            yield from (
                SelectedPipeline(folder, why) for folder in sorted((*index.folders, *of_state.folders()))
            )
        else:
            yield SelectedPipeline(checked_folder(here, workspace), ("the current folder",))


def _matching(glob: str, index: PipelineIndex, here: Path, allow_empty: bool) -> list[Path]:
    """The pipelines whose path, name or stack matches. Raises UserError."""
    if (problem := glob_problem(glob)) is not None:
        raise UserError(
            error(f"the glob {glob} {problem}", 'Write folders below the current one, for example "team/*".')
        )
    found = index.matching(Glob(glob))
    if not found and not allow_empty:
        raise UserError(
            error(f"no pipeline matches {glob}", f"{_pipelines_below(here, index.folders)} {_ALLOW_EMPTY}")
        )
    return found


def _in_group(
    name: str, workspace: Workspace, allow_empty: bool, failed: NotFound, known: Known
) -> list[Path]:
    """The pipelines of a group, wherever they are in the workspace. Raises UserError."""
    if name not in workspace.groups:
        if workspace.file is None:
            there_is = f"There is no reconciler.toml in {workspace.root}, which could declare it."
        elif workspace.groups:
            there_is = f"{workspace.file} has the groups {', '.join(workspace.groups)}."
        else:
            there_is = f'{workspace.file} has no groups. Declare one below [groups]: {name} = ["team/**"].'
        hint = did_you_mean(name, workspace.groups)
        raise UserError(error(f"there is no group {name}", f"{there_is}{hint}"))
    globs = workspace.groups[name]
    index = PipelineIndex(workspace.root, workspace)
    unsearched = {
        place: problem
        for place, problem in index.problems.items()
        if any(glob.may_match_in(workspace.path_of(place) or ".") for glob in globs)
    }
    for place, problem in unsearched.items():
        failed(display_path(place), problem)
    found = [
        folder
        for folder in index.folders
        if any(glob.matches(workspace.path_of(folder) or ".") for glob in globs)
    ]
    of_state = PassedOver(index, workspace.root, workspace, known, failed)
    found += of_state.matching(globs)
    if not (found or of_state.complaints or unsearched or allow_empty):
        raise UserError(
            error(
                f"the group {name} has no pipeline",
                f"Its globs are {', '.join(map(str, globs))}. "
                f"{_pipelines_below(workspace.root, index.folders)} {_ALLOW_EMPTY}",
                file=workspace.file,
                line=globs[0].line if globs else None,
            )
        )
    return found


def _reason(request: SelectionRequest, summary: PipelineSummary) -> str | None:
    """Why a pipeline is of the requested kind; None if it is not.

    One whose config.toml cannot be read is, so that the command reports its error.
    """
    if not summary.is_readable:
        return "its config.toml cannot be read"
    if request.types and summary.type not in request.types:
        return None
    if request.gpu is not None and request.gpu != bool(summary.gpu):
        return None
    of_type = [f"type {summary.type}"] if request.types else []
    return " ".join([*of_type, *([] if request.gpu is None else [_with_gpu(summary)])])


_ALLOW_EMPTY = "With --allow-empty, this is no error."


def _no_pipeline(here: Path, workspace: Workspace) -> Diagnostic:
    limited = f" {workspace.file} limits the search." if workspace.pipelines or workspace.exclude else ""
    return error(
        f"there is no pipeline below {here}",
        f"A pipeline is a folder with a config.toml.{limited} {_ALLOW_EMPTY}",
    )


def _nothing_left(request: SelectionRequest, summaries: Sequence[PipelineSummary]) -> Diagnostic:
    """The error if the filters leave no pipeline: how many there are of each kind."""
    kinds = Counter(f"{summary.type} {_with_gpu(summary)}" for summary in summaries)
    there_is = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return error(
        f"no pipeline is selected by {' '.join(request.kind_options)}",
        f"The pipelines to select from are: {there_is}. {_ALLOW_EMPTY}",
    )


def _with_gpu(summary: PipelineSummary) -> str:
    return f"with {summary.gpu} GPU{'s' if summary.gpu != 1 else ''}" if summary.gpu else "without GPU"


def _pipelines_below(folder: Path, pipelines: Sequence[Path]) -> str:
    """Which pipelines there are, for an error."""
    if not pipelines:
        return f"There is no pipeline below {folder}."
    paths = [real_path(one).relative_to(real_path(folder)).as_posix() for one in pipelines]
    return f"The pipelines below {folder} are {listed(paths)}."


def listed(paths: Sequence[str]) -> str:
    """The first paths, and the number of the others."""
    return shown_names(paths, _SHOWN) or "none"
