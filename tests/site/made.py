"""A made-up organization with a long history: its state file, reports of its nightly checks, its images.

Everything follows from the number of pipelines, environments and runs, so each call makes the same.
"""

import json
import random
import re
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from providers.docker.verdicts import ImageVerdict
from providers.json_value import JSON
from providers.reasons import Reason
from providers.rules import Effect
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.platforms import HOSTS, scope
from reconciler.core.reasons import ReasonCode
from reconciler.core.values import Address
from reconciler.drift.findings import (
    Acknowledgement,
    Finding,
    FindingDates,
    LastApply,
    Report,
    StackReport,
    UnmanagedObject,
)
from reconciler.views.reports.drift_json import report_text
from state.document import to_json
from state.register import Register, Source, recorded_claims
from state.snapshot import APPLIED, FAILED, INTERRUPTED, RecordedResource, Snapshot
from state.stores.base import HistoryEntry
from state.stores.sqlite import SqliteStore

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
ENVIRONMENTS = ("TEST", "STAGING", "PROD")
WORKSPACE = "git.example.com/vision/pipelines"
WORKSPACE_FILE = f'''\
[workspace]
name = "{WORKSPACE}"

[environments.TEST]
host = "https://test.example.com"
organization = "vision"
channel = "test"

[environments.STAGING]
organization = "vision"
channel = "staging"
promote_from = "TEST"

[environments.PROD]
organization = "vision"
channel = "prod"
promote_from = "STAGING"
'''
CONFIG = """\
[metadata]
name = "NAME"
version = "1.0.0"
type = "DATASET_VERSION_CREATION"

[reconciler]
stack = "NAME"
"""
SECRET_LIKE = "value-of-a-parameter"
GONE = 2
"""Pipelines whose folder is gone, the last ones."""
PEOPLE = ("ada", "ben", "chen", "dora", "github-actions")
SUBJECTS = (
    "vehicles",
    "weeds",
    "welds",
    "faces",
    "barcodes",
    "leaves",
    "cracks",
    "pallets",
    "cells",
    "roofs",
)
TASKS = ("detection", "segmentation", "cleanup", "tagging", "augmentation", "export", "training")


@dataclass(frozen=True, slots=True)
class Made:
    """Where the parts of the organization are.

    Attributes:
        workspace: the folder with reconciler.toml and the pipelines.
        state: the state file.
        reports: the folder with a report for each night and environment, and those about images.
    """

    workspace: Path
    state: Path
    reports: Path


def _host(environment: str) -> str:
    return HOSTS.get(environment, f"https://{environment.lower()}.example.com")


def _scope(environment: str) -> str:
    return scope("vision", environment, _host(environment))


def names(count: int) -> list[str]:
    """Names of pipelines: `vehicles-detection`, …, `vehicles-detection-2`."""
    base = [f"{subject}-{task}" for subject in SUBJECTS for task in TASKS]
    random.Random(5).shuffle(base)
    return [base[n % len(base)] + (f"-{n // len(base) + 1}" if n >= len(base) else "") for n in range(count)]


def organization(
    folder: Path,
    pipelines: int = 24,
    environments: Sequence[str] = ENVIRONMENTS,
    runs: int = 12,
    nights: int = 45,
    now: datetime = NOW,
) -> Made:
    """Make an organization in this folder, as it is now."""
    made = Made(folder / "pipelines", folder / "state.db", folder / "reports")
    for path in (made.workspace, made.reports):
        path.mkdir(parents=True)
    chosen = names(pipelines)
    (made.workspace / "reconciler.toml").write_text(WORKSPACE_FILE)
    for name in chosen[:-GONE]:
        (made.workspace / name).mkdir()
        (made.workspace / name / "config.toml").write_text(CONFIG.replace("NAME", name))
    store = SqliteStore(made.state)
    with store:
        for environment in environments:
            sources, claims = {}, {}
            for name in chosen:
                stack = f"{_scope(environment)}/{name}"
                sources[stack] = Source(WORKSPACE, name)
                state = _snapshot(stack, name, environment)
                claims |= recorded_claims(state, {"image": False, "processing": True}, since=now.isoformat())
            register = Register(_scope(environment), 0, sources, claims)
            store.save_register(register, expected_serial=0)
    connection = sqlite3.connect(made.state)
    try:
        for number, name in enumerate(chosen):
            for environment in environments:
                _history(connection, name, environment, runs, number, now)
        connection.commit()
    finally:
        connection.close()
    for night in range(nights):
        at = now - timedelta(days=nights - 1 - night, hours=1)
        for environment in environments:
            report = _report(chosen, environment, at, night, nights)
            file = made.reports / f"{at:%Y-%m-%d}-{environment.lower()}.json"
            file.write_text(report_text(report))
    (made.reports / "images.json").write_text(json.dumps(images(chosen, now)))
    return made


def _history(
    connection: sqlite3.Connection, name: str, environment: str, runs: int, seed: int, now: datetime
) -> None:
    """All runs of one stack, each with one save, as a run of one change has."""
    dice = random.Random(f"{name} {environment}")
    stack = f"{_scope(environment)}/{name}"
    lag = ENVIRONMENTS.index(environment) if environment in ENVIRONMENTS else 0
    patch = max(0, runs - (lag and dice.choice((0, 0, 0, 1, 1, 2))))
    template = to_json(_snapshot(stack, name, environment))
    saves, contents = [], []
    hours = sorted((dice.random() ** 2) * 24 * 120 for _ in range(runs))[::-1]
    for serial in range(1, runs + 1):
        at = now - timedelta(hours=hours[serial - 1] + 2 + seed % 7, minutes=dice.randrange(60))
        version = min(serial, max(1, patch))
        roll = dice.random()
        outcome = FAILED if roll < 0.05 else INTERRUPTED if roll < 0.065 else APPLIED
        is_rollback = serial > 3 and outcome == APPLIED and dice.random() < 0.04
        verb = "rollback" if is_rollback else "promote" if lag and dice.random() < 0.8 else "deploy"
        written_at = at.isoformat(timespec="milliseconds")
        values = {
            "VERSION": f"1.{version // 10}.{version % 10}",
            "DIGEST": _digest(name, version),
            "OUTCOME": outcome,
            "AT": written_at,
            '"serial":1,': f'"serial":{serial},',
            '"restores":0,': f'"restores":{serial - 2 if is_rollback else 0},',
        }
        text = template
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        owner = PEOPLE[-1] if dice.random() < 0.55 else dice.choice(PEOPLE[:-1])
        entry = HistoryEntry(
            serial,
            "lineage",
            written_at,
            "0.1.0",
            owner,
            "runner" if owner == PEOPLE[-1] else "laptop",
            f"reconciler {verb} {name}",
            f"{dice.getrandbits(160):040x}",
            f"https://git.example.com/vision/pipelines/runs/{serial}" if owner == PEOPLE[-1] else "",
            f"{stack}-{serial}",
            ENVIRONMENTS[lag - 1] if verb == "promote" else "",
        )
        row = (entry.serial, entry.lineage, entry.written_at, entry.written_by, entry.owner, entry.host)
        more = (entry.command, entry.git_commit, entry.ci, entry.run, entry.promoted_from, entry.override)
        saves.append((stack, *row, *more))
        contents.append((stack, serial, 1, zlib.compress(text.encode(), 1)))
    connection.executemany(f"INSERT INTO saves VALUES ({', '.join('?' * 13)})", saves)
    connection.executemany("INSERT INTO contents VALUES (?, ?, ?, ?)", contents)


def _snapshot(stack: str, name: str, environment: str) -> Snapshot:
    """The state of a stack, with placeholders for what differs in each run."""
    image, processing = f"image/reg.example.com/vision/{name}", f"processing/{name}"
    found = [
        RecordedResource(
            image,
            "image",
            "DIGEST",
            {"version": "VERSION", "channel": environment.lower()},
            {"digest": "DIGEST", "tag": "VERSION"},
        )
    ]
    if re.search("detection|segmentation|training", name):
        model = f"model/{name.partition('-')[0]}-detector"
        page = f"https://{environment.lower()}.example.com/models/1"
        found.append(RecordedResource(model, "model", f"model-{name.partition('-')[0]}", {}, {"page": page}))
        below = f"model-version/{name.partition('-')[0]}-detector/{name}"
        found.append(
            RecordedResource(below, "model-version", f"id-{name}", {}, {"page": page}, (image, model))
        )
    else:
        page = f"https://{environment.lower()}.example.com/processings/{name}"
        fields: dict[str, JSON] = {"default_cpu": 4, "default_gpu": 0}
        found.append(
            RecordedResource(processing, "processing", f"id-{name}", fields, {"page": page}, (image,))
        )
        for one in ("dataset", "threshold", "labels"):
            found.append(
                RecordedResource(f"input/{name}/{one}", "input", f"{name}-{one}", {}, {}, (processing,))
            )
    return Snapshot(
        stack,
        "lineage",
        1,
        {one.address: one for one in found},
        written_by="0.1.0",
        written_at="AT",
        outcome="OUTCOME",
    )


def _digest(name: str, version: int) -> str:
    return f"sha256:{random.Random(f'{name} {version}').getrandbits(256):064x}"


def _stack(name: str, environment: str) -> Stack:
    return Stack("vision", environment, _host(environment), name, name, name)


def _report(chosen: Sequence[str], environment: str, at: datetime, night: int, nights: int) -> Report:
    """The check of one night: drift that comes and goes, the older the more of it is left in PROD."""
    stacks = tuple(
        StackReport(
            stack := _stack(name, environment),
            tuple(_findings(stack, at, night, nights)),
            Plan(
                stack,
                "",
                0,
                (Step(Address.of("processing", name), Action.NOOP, Reason(ImageVerdict.PUBLISHED)),),
            ),
            (),
            LastApply(at.isoformat(), "ada", "laptop", "", ""),
        )
        for name in chosen
    )
    unmanaged = None
    if environment == ENVIRONMENTS[-1]:
        unmanaged = tuple(
            UnmanagedObject(
                Address.of("processing", f"old-{subject}-{n}"),
                f"{subject}-{n}",
                f"https://prod.example.com/processings/old-{subject}-{n}",
                (at - timedelta(days=90 + 17 * n)).isoformat(),
                PEOPLE[n % 4],
            )
            for n, subject in enumerate(SUBJECTS[:4])
        )
    return Report(at, stacks, unmanaged=unmanaged)


def _findings(stack: Stack, at: datetime, night: int, nights: int) -> Iterator[Finding]:
    dice = random.Random(f"findings of {stack}")
    chances = {
        "default_cpu": 0.10,
        "description": 0.06,
        "default_parameters.threshold": 0.05,
        "default_gpu": 0.04,
    }
    for path, chance in chances.items():
        begins, lasts = dice.randrange(-5, nights), dice.randrange(3, 40)
        cls = dice.choice((ChangeClass.DRIFT, ChangeClass.DRIFT, ChangeClass.PENDING))
        acknowledged = dice.random() < 0.15 and cls is ChangeClass.DRIFT
        if dice.random() > chance * 3 or not begins <= night < begins + lasts:
            continue
        address = Address.of("processing", stack.pipeline)
        first = at - timedelta(days=night - max(0, begins))
        live, desired = (
            (64, 4) if path == "default_cpu" else (1, 0) if path == "default_gpu" else (SECRET_LIKE, "y")
        )
        code = ReasonCode.CHANGED_OUTSIDE if cls is ChangeClass.DRIFT else ReasonCode.FILES_CHANGED
        yield Finding(
            id=f"{stack}{path}",
            stack=stack,
            address=address,
            change=Change(
                path,
                cls,
                desired,
                desired if cls is ChangeClass.DRIFT else live,
                live,
                Reason(code),
                True,
                f"{stack.folder}/config.toml:12",
            ),
            effect=Effect.RESOURCES if path.startswith("default_") and "." not in path else Effect.PARAMETERS,
            seen=FindingDates(first, at),
            modified_at=first.isoformat(),
            modified_by=dice.choice(PEOPLE[:-1]),
            page=f"{stack.host}/processings/{stack.pipeline}",
            put_back=stack.command("apply", "--target", str(address)),
            take_over=stack.command("adopt", f"{address}#{path}"),
            acknowledged=Acknowledgement("ada", "load test", "2026-04-01") if acknowledged else None,
        )


def images(chosen: Sequence[str], now: datetime) -> JSON:
    """Reports about the images of all pipelines, in up to nine versions."""
    images: list[JSON] = []
    for name in chosen:
        dice = random.Random(f"layers of {name}")
        base = [dice.randrange(20, 60) * 1_000_000, dice.randrange(200, 900) * 1_000_000]
        packages = dice.randrange(150, 2500) * 1_000_000
        for version in range(1, 10):
            packages = int(packages * dice.choice((1.0, 1.0, 1.01, 1.05, 0.97)))
            layers: list[JSON] = [
                *(
                    _layer(f"base {n}", one, "FROM python:3.12-slim" if n else "ADD rootfs.tar.xz /", True)
                    for n, one in enumerate(base)
                ),
                _layer("packages", packages, "RUN pip install -r requirements.txt", False),
                _layer("source", dice.randrange(20, 400) * 1000, "COPY . /app", False),
            ]
            images.append(
                {
                    "format": "reconciler/image",
                    "version": 1,
                    "pipeline": name,
                    "repository": f"reg.example.com/vision/{name}",
                    "published": {
                        "digest": _digest(name, version),
                        "version": f"1.0.{version}",
                        "size": sum(base) + packages,
                        "created": (now - timedelta(days=(10 - version) * 9)).isoformat(),
                        "layers": layers,
                    },
                }
            )
    return {"format": "reconciler/images", "version": 1, "images": images, "errors": []}


def _layer(digest: str, size: int, instruction: str, of_base: bool) -> JSON:
    return {"digest": f"sha256:{digest}", "size": size, "instruction": instruction, "of_base": of_base}
