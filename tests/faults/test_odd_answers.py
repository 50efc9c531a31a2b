"""Whatever a server answers: a value or an error that says so, never the end of the run."""

import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from tests.conftest import CASES, Cli, Ended, copy_example
from tests.faults.conftest import UUID
from tests.faults.odd import Key, Recorded, Tape, bodies
from tests.state.gcs import Gcs
from tests.state.servers import BUCKET, Bucket, use

PIPELINES = "dataset_cleanup", "single_training"
READS = {
    "drift": (
        "drift",
        "--all",
        "--json",
        "r.json",
        "--junit",
        "r.xml",
        "--markdown",
        "r.md",
        "--html",
        "r.html",
    ),
    "plan": ("plan", "--all", "--exit-code", "--json", "--markdown", "p.md", "--html", "p.html"),
    "status": ("status", "--all"),
    "image": ("image", "dataset_cleanup"),
    "whoami": ("whoami",),
}
CODES = {
    "drift": {0, 1, 10, 11, 12, 13},
    "plan": {0, 1, 10, 11, 12, 13},
    "status": {0, 1, 13},
    "image": {0, 1},
    "whoami": {0, 1},
}


class Bench:
    """Two pipelines that are applied, and answers of the servers that can be replaced."""

    def __init__(self, cli: Cli, tape: Tape) -> None:
        self.cli = cli
        self.tape = tape

    def record(self, command: str) -> dict[Key, Recorded]:
        self.tape.answers.clear()
        self.tape.recording = True
        ended = self.cli(*READS[command])
        assert ended.code in (0, 10), ended.err
        self.tape.recording = False
        return dict(self.tape.answers)

    def play(self, command: str, key: Key, body: bytes) -> str:
        """What is wrong with how the command ends; "" for nothing."""
        recorded = self.tape.answers[key]
        self.tape.replaced = {key: Recorded(recorded.status, recorded.headers, body)}
        for file in Path.cwd().glob("*.*"):
            file.unlink()
        _as_main_does()
        ended = self.cli(*READS[command])
        if "Traceback" in ended.err or "a bug in reconciler" in ended.err:
            return ended.err
        if ended.code not in CODES[command]:
            return f"exit code {ended.code}\n{ended.err}"
        if command == "drift":
            return _hides_nothing(ended, key)
        return ""


def _as_main_does() -> None:
    """What cannot be shown is no reason to stop."""
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, TextIOWrapper)
        stream.reconfigure(errors="backslashreplace")


def _hides_nothing(ended: Ended, key: Key) -> str:
    """What is wrong with the reports of a drift of all."""
    if not all(Path(READS["drift"][at]).exists() for at in (3, 5, 7, 9)):
        return "" if ended.code == 1 and ended.err else "a report is missing"
    report: dict[str, Any] = json.loads(Path("r.json").read_text())
    told = len(report["stacks"]) + len(report["failed"])
    if told != len(PIPELINES):
        return f"{told} pipelines are reported"
    if report["failed"] and ended.code != 13:
        return f"one failed, and the exit code is {ended.code}"
    return ""


@pytest.fixture
def bench(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, classes_once: None) -> Iterator[Bench]:
    for name in PIPELINES:
        copy_example(name, cli.folder, sandbox.registry)
    applied = cli("apply", *PIPELINES, "--yes")
    assert applied.code == 0, applied.err
    monkeypatch.setenv("RECONCILER_STATE", "no-record.db")  # so that all there is gets read
    tape = Tape()
    tape.insert(monkeypatch)
    yield Bench(cli, tape)


def _shape(key: Key) -> str:
    """A request without the names and identities in it."""
    path = re.sub(UUID, "{id}", key[1])
    path = re.sub(r"^/v2/.*?/(manifests|blobs)/.*", r"/v2/{name}/\1/{reference}", path)
    return f"{key[0]} {path}"


def cases(answers: dict[Key, Recorded]) -> list[tuple[Key, str, bytes]]:
    """Every odd answer to every request."""
    return [(key, what, body) for key in answers if key[0] != "HEAD" for what, body in bodies(answers[key])]


def play_all(bench: Bench, command: str, chosen: Sequence[tuple[Key, str, bytes]]) -> None:
    failures = [
        f"{_shape(key)}: {what}\n{problem}"
        for key, what, body in chosen
        if (problem := bench.play(command, key, body))
    ]
    CASES["odd answers to a request of a command that reads"] += len(chosen)
    assert not failures, f"{len(failures)} of {len(chosen)} cases\n\n" + "\n\n".join(failures[:20])


def some(found: list[tuple[Key, str, bytes]], most: int) -> list[tuple[Key, str, bytes]]:
    """At most so many cases of each kind of request, the same in every run."""
    by_request: dict[str, list[tuple[Key, str, bytes]]] = {}
    for case in found:
        by_request.setdefault(_shape(case[0]), []).append(case)
    assert by_request
    chance = random.Random(3)
    return [case for group in by_request.values() for case in chance.sample(group, min(most, len(group)))]


@pytest.mark.parametrize("command", READS)
def test_a_sample_of_the_odd_answers_to_each_request(command: str, bench: Bench) -> None:
    play_all(bench, command, some(cases(bench.record(command)), 6))


@pytest.mark.full
@pytest.mark.parametrize("command", READS)
def test_many_odd_answers_to_each_request(command: str, bench: Bench) -> None:
    play_all(bench, command, some(cases(bench.record(command)), 40))


# What a bucket contains

RECORDS = (
    ("state", "list"),
    ("state", "show", "dataset_cleanup"),
    ("state", "history", "dataset_cleanup"),
    ("state", "verify", "dataset_cleanup"),
    ("state", "diff", "dataset_cleanup", "1", "2"),
    ("plan", "dataset_cleanup", "--exit-code", "--json"),
    ("drift", "--all", "--json", "r.json"),
    ("status", "--all"),
    ("rollback", "dataset_cleanup", "--dry-run"),
    ("contract", "dataset_cleanup", "1.0.0"),
)


class Records:
    """A pipeline whose state is in a bucket, and the objects there."""

    def __init__(self, cli: Cli, objects: dict[str, tuple[int, datetime, bytes]]) -> None:
        self._cli = cli
        self._objects = objects
        self._whole = dict(objects)

    def cases(self) -> list[tuple[str, str, bytes]]:
        """Every odd object in the place of the head and of the newest save."""
        head = next(name for name in self._whole if name.endswith("head.json"))
        newest = max(name for name in self._whole if "/history/" in name)
        return [
            (name, what, body)
            for name in (head, newest)
            for what, body in bodies(Recorded(200, {}, self._whole[name][2]))
        ]

    def newest(self) -> tuple[str, Any]:
        """The newest save, by its name, and its content."""
        name = max(name for name in self._whole if "/history/" in name)
        return name, json.loads(self._whole[name][2])

    def play(self, command: Sequence[str], name: str, body: bytes) -> str:
        self._objects.clear()
        self._objects.update(self._whole)
        generation, modified, _ = self._whole[name]
        self._objects[name] = (generation, modified, body)
        _as_main_does()
        ended = self._cli(*command)
        if "Traceback" in ended.err or "a bug in reconciler" in ended.err:
            return ended.err
        return "" if ended.code in (0, 1, 10, 11, 12, 13) else f"exit code {ended.code}"


@pytest.fixture
def records(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, classes_once: None
) -> Iterator[Records]:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    with Gcs(BUCKET) as server:
        use(
            Bucket(f"gs://{BUCKET}", {"GOOGLE_BASE_URL": server.url, "GOOGLE_BEARER_TOKEN": "no"}),
            monkeypatch,
        )
        monkeypatch.setenv("RECONCILER_STATE", f"gs://{BUCKET}/team")
        applied = cli("apply", "dataset_cleanup", "--yes")
        assert applied.code == 0, applied.err
        yield Records(cli, server.objects)


def play_records(records: Records, most: int) -> None:
    chance = random.Random(5)
    failures = []
    for command in RECORDS:
        for name, what, body in chance.sample(records.cases(), most):
            if problem := records.play(command, name, body):
                failures.append(f"{' '.join(command)}, {name[-40:]}: {what}\n{problem}")
    CASES["odd objects in a bucket"] += most * len(RECORDS)
    assert not failures, f"{len(failures)}\n\n" + "\n\n".join(failures[:20])


def test_a_sample_of_odd_objects_in_a_bucket(records: Records) -> None:
    play_records(records, 8)


def test_a_state_without_one_of_its_fields(records: Records) -> None:
    """Only an edit by hand leaves it; the state is intact, as another version may not have the field."""
    name, document = records.newest()
    for number, resource in enumerate(document["document"]["resources"]):
        for field in [*resource["inputs"], None]:
            kept = {} if field is None else {k: v for k, v in resource["inputs"].items() if k != field}
            resources = [*document["document"]["resources"]]
            resources[number] = {**resource, "inputs": kept}
            changed = {**document, "document": {**document["document"], "resources": resources}}
            for command in (
                ("state", "history", "dataset_cleanup"),
                ("rollback", "dataset_cleanup", "--dry-run"),
            ):
                problem = records.play(command, name, json.dumps(changed).encode())
                assert not problem, f"{' '.join(command)}, {resource['address']} without {field}\n{problem}"


@pytest.mark.full
def test_many_odd_objects_in_a_bucket(records: Records) -> None:
    play_records(records, 150)
