"""Prints diagnostics, the results of an apply, the facts of a pipeline and the addresses of a sandbox."""

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from reconciler.core.diagnostics import Diagnostic, Severity, in_order
from reconciler.core.events import Outcome, Status
from reconciler.core.plan import Action, with_folder
from reconciler.system.files import display_path
from reconciler.views.counting import listed, plural
from reconciler.views.phrases import way_text
from reconciler.views.terminal.console import SEVERITY_STYLES, Console, indented, pairs
from reconciler.views.terminal.text import Text

if TYPE_CHECKING:
    from providers.docker.source.key import SourceKey
    from providers.sandbox import Address, Settings
    from reconciler.engine.apply import ApplyResult
    from reconciler.pipeline.load import Pipeline


def print_diagnostics(diagnostics: Iterable[Diagnostic], err: Console) -> None:
    """Print diagnostics with their places and details, errors first."""
    for diagnostic in in_order(diagnostics):
        style = "bold" if diagnostic.severity is Severity.ERROR else ""
        err.print(
            Text.assemble(
                (f"{diagnostic.severity.value}: ", SEVERITY_STYLES[diagnostic.severity]),
                (diagnostic.summary, style),
            )
        )
        place = "  ".join(part for part in (diagnostic.place, diagnostic.address) if part)
        if place:
            err.print(indented(Text(f"at {place}", "dim"), 2))
        print_block(diagnostic.detail, err)


def print_block(text: str, err: Console, style: str = "") -> None:
    """Print the lines of a detail, indented."""
    for line in text.split("\n") if text else ():
        err.print(indented(Text(line, style), 2))


def print_outcomes(outcomes: Iterable[Outcome], err: Console) -> None:
    """Print the failed steps with their errors, and the steps that did not run."""
    for outcome in outcomes:
        address = str(outcome.step.address)
        match outcome.status:
            case Status.FAILED if outcome.error is not None:
                doing = outcome.step.action.doing
                err.print(Text.assemble(("failed: ", "bold red"), f"{doing} ", (address, "bold")))
                print_block(f"{outcome.error.message}.", err)
                print_block(outcome.error.hint, err, "cyan")
                if outcome.error.way_out is not None:
                    print_block(way_text(outcome.error.way_out), err, "cyan")
            case Status.BLOCKED:
                err.print(
                    Text.assemble(("blocked: ", "yellow"), f"{address}, because {outcome.blocked_by} failed")
                )
            case Status.SKIPPED:
                err.print(Text.assemble(("not started: ", "yellow"), address))


def print_applied(applied: "ApplyResult", out: Console, err: Console, *, pages: bool = True) -> None:
    """Print the result in one line, the pages of changed resources, and the edits of config.toml.

    Args:
        pages: print the pages.
    """
    result = applied.result
    assert result is not None
    changed = [outcome for outcome in result.of(Status.DONE) if outcome.step.action is not Action.NOOP]
    if not result.succeeded:
        failed = len(result.of(Status.FAILED))
        not_started = len(result.of(Status.BLOCKED)) + len(result.of(Status.SKIPPED))
        is_lasting = any(outcome.error and outcome.error.is_lasting for outcome in result.of(Status.FAILED))
        err.print(
            Text.assemble(
                ("Not finished: ", "bold red"),
                f"{plural(len(changed), 'resource')} done, {failed} failed, {not_started} not started. ",
                "Solve what failed first: the same command then finishes the rest."
                if is_lasting
                else "Run the same command again to finish.",
            )
        )
        return
    if changed:
        done = Counter(outcome.step.action for outcome in changed)
        counts = ", ".join(f"{done[action]} {action.done}" for action in Action if done[action])
        out.print(Text.assemble(("Done: ", "bold green"), f"{counts}."))
    for outcome in changed if pages else ():
        page = outcome.live.outputs.get("page") if outcome.live else None
        if page:
            out.print(Text.assemble(f"  {outcome.step.address}  ", (str(page), "blue underline")))
    if applied.config_written:
        path, here = applied.planned.pipeline.loaded.path, Path.cwd()
        if path.is_relative_to(here):
            path = path.relative_to(here)
        edits = applied.planned.pipeline.loaded.edits.items()
        line = f"  {path} now has {listed(f'{key[-1]} {value}' for key, value in edits)}"
        out.print(Text.assemble(line, ("  commit this file", "dim")))
    promotion = applied.planned.plan.promotion
    if promotion is not None and promotion.source.version != promotion.version:
        source, stack = promotion.source, applied.planned.plan.stack
        organization = unquote(source.stack.partition("/")[0].rpartition("@")[0])
        there = replace(stack, organization=organization, environment=source.environment)
        has = f"  {source.environment} has this image as {source.version}"
        command = f"  to record {promotion.version} there:  {there.command('apply')}"
        out.print(Text.assemble(has, (command, "dim")))


def print_pipeline(pipeline: "Pipeline", key: "SourceKey", out: Console) -> None:
    """Print the facts of a pipeline in a few lines."""
    config = pipeline.config
    name = with_folder(pipeline.name, pipeline.name, display_path(pipeline.folder))
    out.print(Text.assemble(("ok ", "green"), (name, "bold"), f"  {config.metadata.type}"))
    facts = {
        "version": str(config.metadata.version),
        "image": config.docker.image_name,
        "source": f"{key.key[:19]}  {plural(len(key.files), 'file')}, {plural(key.size, 'byte')}",
    }
    if pipeline.inputs is not None:
        facts["inputs"] = ", ".join(f"{i.name} ({i.input_type})" for i in pipeline.inputs) or "none"
    if pipeline.parameters is not None:
        facts["parameters"] = ", ".join(pipeline.parameters) or "none"
    if config.targets:
        facts["targets"] = ", ".join(f"{target.origin_name}/{target.name}" for target in config.targets)
    print_pairs(facts, out, indent=3)


def print_pairs(facts: Mapping[str, str], out: Console, *, indent: int = 0) -> None:
    for line in pairs(facts, indent):
        out.print(line)


def print_sandbox(address: "Address", settings: "Settings", out: Console) -> None:
    """Print the addresses of a sandbox, and the settings to use it.

    They have the name that documentation and LOCAL have: another one is another platform, with other state.
    """
    if address.host == "127.0.0.1":
        address = replace(address, host="localhost")
    several = {one.name: address.url_of(one.name) for one in settings.environments}
    where = f"with {plural(len(several), 'environment')}" if several else f"at {address.url}"
    out.print(Text.assemble(("sandbox ", "bold"), f"{where}; press Ctrl-C to stop it"))
    token = settings.control_token
    facts = {
        **several,
        "registry": address.registry,
        "requests": f"{address.url}/_sandbox/requests?token={token}",
        "control token": token,
    }
    print_pairs(facts, out, indent=2)
    variables = {
        "PICSELLIA_TOKEN": next(iter(settings.tokens)),
        "PICSELLIA_ORGANIZATION": settings.organizations[0],
        "PICSELLIA_ENV": "CUSTOM",
        "PICSELLIA_CUSTOM_ENV": address.url,
    }
    if several:
        variables = {}
        out.print(Text("To use it, add these lines to reconciler.toml:", "dim"))
        for environment in settings.environments:
            for number, organization in enumerate(environment.organizations, 1):
                name = environment.name if number == 1 else f"{environment.name}-{number}"
                variable = f"{name.replace('-', '_')}_TOKEN"
                variables[variable] = environment.token(organization)
                table = {
                    "host": several[environment.name],
                    "organization": organization,
                    "channel": name.lower(),
                    "token": variable,
                }
                out.print(f"  [environments.{name}]")
                for key, value in table.items():
                    out.print(f"  {key} = {json.dumps(value, ensure_ascii=False)}")
                out.print("")
    out.print(Text("To use it from another terminal:", "dim"))
    for variable, value in variables.items():
        out.print(f"  export {variable}={shlex.quote(value)}")
