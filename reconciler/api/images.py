"""Compares the published image of a pipeline with its source."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct

from providers.docker.builders.select import Probes
from reconciler.api.environments import Environment, Target
from reconciler.api.requests import ReadOptions
from reconciler.api.sessions import FILES
from reconciler.api.stores import open_state
from reconciler.core.diagnostics import Diagnostic, UserError, info
from reconciler.core.events import Emit, Note
from reconciler.core.exit_codes import CONFLICT, DONE, UNCHECKED, worst
from reconciler.core.plan import Stack
from reconciler.engine.image_report import (
    ImageReport,
    PublishedSecrets,
    find_published_secrets,
    inspect_image,
    require_builder,
)
from reconciler.engine.image_verify import ImageVerification, verify_image
from reconciler.engine.session import registries, stack_of, with_older_names
from reconciler.engine.validate import validate
from reconciler.pipeline.shared import SharedSettings
from reconciler.system.files import display_path
from reconciler.workspace.reader import find_workspace

__all__ = ["Images", "InspectedImage", "require_builder"]


class InspectedImage(Struct, frozen=True):
    """The report on one image.

    Attributes:
        secrets: the result of a search for secrets; None without a search.
        verification: the result of a verification; None without one.
        no_state_reason: why the report uses no state; "" if it uses it.
        remarks: about the files of the pipeline.
    """

    report: ImageReport
    secrets: PublishedSecrets | None
    verification: ImageVerification | None
    no_state_reason: str
    remarks: tuple[Diagnostic, ...]

    @property
    def exit_code(self) -> int:
        """The code of `reconciler image`."""
        codes = [DONE if self.verification is None else self.verification.exit_code]
        if self.secrets is not None and (self.secrets.found or self.secrets.unread):
            codes.append(UNCHECKED if self.secrets.unread else CONFLICT)
        return worst(codes)


@dataclass(frozen=True, slots=True)
class Images:
    """The images that an environment runs.

    Attributes:
        environment: needs a login only for the state, which shows the files that differ.
        state: the address of the state; None for the default place.
        read_options: how to read the files.
    """

    environment: Environment
    state: str | None
    read_options: ReadOptions
    _probes: Probes = field(default_factory=Probes, repr=False)

    @property
    def remark(self) -> Diagnostic | None:
        """That no environment is selected, so that the channel of none counts; None if one is.

        Raises:
            UserError: the selected environment is unknown, or a file cannot be read.
        """
        declared = self.environment.declared
        if not declared or self.environment.settings().selects_environment:
            return None
        detail = f"reconciler.toml has {', '.join(declared)}. For the tag of one, use --env."
        return info(
            "no environment is selected, so tags are those of an environment without a channel", detail
        )

    def inspect(
        self, folder: Path, emit: Emit, *, secrets: bool = False, verify: bool = False
    ) -> InspectedImage:
        """Compare the published image of a pipeline with its source. Reads only.

        Args:
            secrets: also search the image for secrets.
            verify: also check that the image was made from the commit that it names.

        Raises:
            UserError: the files have errors, or the registry refuses a request.
            StateError: the state cannot be read.
        """
        validated = validate(folder, self.environment.reads(self.read_options), emit=emit)
        pipeline, _ = validated.require_valid()
        stack: Stack | None = None
        no_state_reason = "none here, so the files that changed are unknown; the next apply records them"
        target: Target | None = None
        try:
            target = self.environment.target()
            stack = stack_of(target, pipeline)
        except UserError as problem:
            no_state_reason = f"not read: {problem.reason}"
        named = ("reconciler", "apply", display_path(folder), *self.environment.arguments("apply"))
        apply_command = stack.command("apply") if stack is not None else shlex.join(named)
        with open_state(emit, self.state) as store:
            stored = None
            if target is not None and stack is not None:
                try:
                    with with_older_names(target, [pipeline], store, emit, FILES) as found_store:
                        stored = found_store.load(str(stack))
                except UserError as problem:
                    no_state_reason = f"not read: {problem.reason}"
            emit(Note(f"reading {pipeline.config.docker.image_name}"))
            with registries(emit) as pool:
                report = inspect_image(validated, stored, apply_command, pool, self._probes)
                found = find_published_secrets(report, pool, emit) if secrets else None
                verified = verify_image(report, _settings_of, pool, emit) if verify else None
        return InspectedImage(report, found, verified, no_state_reason, validated.diagnostics)


def _settings_of(folder: Path, top: Path) -> SharedSettings:
    """The settings of the workspace around a folder, from the files below `top`. Raises UserError."""
    workspace = find_workspace(folder)
    is_inside = workspace.file is not None and workspace.file.is_relative_to(top)
    return workspace.shared() if is_inside else SharedSettings()
