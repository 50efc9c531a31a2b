"""Scheduled checks that verify that drift sends only reads."""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests.adapters
from msgspec.structs import replace

from providers.sandbox import Sandbox
from reconciler.core.values import Address
from state.state_writer import StateWriter, now
from state.stores.opening import open_store
from state.stores.sqlite import SqliteStore
from tests.conftest import Cli, copy_example, stack_of

Found = dict[str, tuple[str, str]]
"""`processing/app#default_cpu` -> its class and its reason."""


@dataclass
class Report:
    """The output of one run of drift."""

    code: int
    found: Found
    document: Mapping[str, Any]
    err: str

    @property
    def classes(self) -> dict[str, str]:
        return {field: cls for field, (cls, _) in self.found.items()}


class Check:
    """Runs drift through a proxy that passes only reads, with a token that may only read."""

    def __init__(self, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._cli = cli
        self._sandbox = sandbox
        self._report = tmp_path / "report.json"
        self._record = tmp_path / "state.db"
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> Report:
        before = self._record.read_bytes() if self._record.exists() else b""
        self._sandbox.clear_requests()
        with self._monkeypatch.context() as held:
            held.setenv("PICSELLIA_TOKEN", self._sandbox.read_only_token)
            held.setattr(
                requests.adapters.HTTPAdapter, "send", _only_reads(requests.adapters.HTTPAdapter.send)
            )
            held.setattr(SqliteStore, "lock", _never)
            held.setattr(SqliteStore, "save", _never)
            ended = self._cli("drift", *arguments, "--json", str(self._report))
        assert self._sandbox.writes() == []
        assert (self._record.read_bytes() if self._record.exists() else b"") == before
        document = json.loads(self._report.read_text())
        self._report.unlink()
        assert document["exit_code"] == ended.code, ended.err
        found = {
            f"{one['address']}#{one['field']}".rstrip("#"): (one["class"], one["reason"])
            for stack in document["stacks"]
            for one in stack["findings"]
        }
        return Report(ended.code, found, document, ended.err)


def _only_reads(send: Any) -> Any:
    def held(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        assert request.method in ("GET", "HEAD"), f"drift sends {request.method} {request.url}"
        return send(self, request, *args, **kwargs)

    return held


def _never(*_: Any, **__: Any) -> Any:
    raise AssertionError("drift takes no lock and saves no record")


@pytest.fixture
def check(cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    return Check(cli, sandbox, tmp_path, monkeypatch)


PROCESSING, TRAINING = "dataset_cleanup", "multi_training"


# What the example does not say of a model and its version, for the row that counts.
_REST = """\
origin_description = "Detects what a site is."
description = "Sees Lyon."
labels = { 0 = "crane" }
env = { WORKERS = "4" }
"""


@pytest.fixture
def applied(cli: Cli, sandbox: Sandbox) -> None:
    """One pipeline of each type, whose files set every field."""
    for name in (PROCESSING, TRAINING):
        config = copy_example(name, cli.folder, sandbox.registry) / "config.toml"
        if name == TRAINING:
            rows, mark, rest = config.read_text().partition("\n# The sandbox's registry")
            assert mark
            config.write_text(f"{rows}{_REST}{mark}{rest}")
        done = cli("apply", name)
        assert done.code == 0, done.err


def recorded(pipeline: str) -> dict[Address, dict[str, Any]]:
    """The recorded resources of a pipeline."""
    with open_store(os.environ["RECONCILER_STATE"]) as store:
        snapshot = store.load(stack_of(pipeline))
    assert snapshot is not None
    return {Address.parse(text): dict(entry.inputs) for text, entry in snapshot.resources.items()}


def record_as(
    pipeline: str,
    fields: Mapping[Address, Mapping[str, Any]],
    ids: Mapping[Address, str] = {},
    without: Collection[Address] = (),
) -> None:
    """Replace recorded values of an earlier apply."""
    with open_store(os.environ["RECONCILER_STATE"]) as store:
        snapshot = store.load(stack_of(pipeline))
        assert snapshot is not None
        changed = snapshot
        for address in without:
            changed = changed.without_resource(str(address))
        for address in {*fields, *ids} - set(without):
            entry = snapshot.resources[str(address)]
            inputs = {**entry.inputs, **fields.get(address, {})}
            changed = changed.with_resource(replace(entry, inputs=inputs, id=ids.get(address, entry.id)))
        writer = StateWriter(store, snapshot, lock=None, written_by="0.1.0", clock=now)
        writer.update(lambda _: changed)
