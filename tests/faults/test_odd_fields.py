"""A field of one live object has any JSON value: no command crashes, and the other pipelines are reported."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from providers.sandbox import Sandbox
from providers.table import FACTS
from tests.conftest import Cli, copy_example
from tests.docker.proxy import Answer, Proxy, proxy_to

PATHS = {"processing": "/processing", "input": "/inputs", "model": "/model", "model-version": "/version"}
"""Kind -> what the paths of its requests contain."""
FIELDS = [f"{kind}.{field}" for kind in PATHS for field in FACTS[kind].rules]
ODD: list[Any] = [{"a": 1}, [1], [], {}, [["a"]], True, 0, -1.5, "", "x", None]
COMMANDS = [
    *(
        ("drift", "--all"),
        ("status", "--all"),
        ("plan", "--all", "--exit-code"),
        ("apply", "--all", "--dry-run"),
    ),
    *(("adopt", "dataset_cleanup", "--dry-run"), ("adopt", "single_training", "--dry-run")),
    *(("rollback", "dataset_cleanup", "--dry-run"), ("destroy", "--all", "--dry-run")),
]


class Platform:
    """The platform behind a proxy that replaces a field in the objects of one kind."""

    def __init__(self, proxy: Proxy, sandbox: Sandbox) -> None:
        self.field: tuple[str, str] = ("", "")
        self.value: Any = None
        self._address = urlsplit(sandbox.url).netloc
        proxy.answering = self._answer

    def _answer(self, method: str, path: str, body: bytes, who: str) -> Answer:
        headers = {"Authorization": who, "Content-Type": "application/json"}
        url = f"http://{self._address}{path}"
        found = requests.request(method, url, data=body or None, headers=headers, timeout=30)
        content = found.content
        if self.field[0] and method == "GET" and found.status_code == 200 and self.field[0] in path:
            content = json.dumps(self._replaced(found.json())).encode()
        return Answer(found.status_code, content, {"Content-Type": "application/json"})

    def _replaced(self, document: Any) -> Any:
        """Every object that has the field, with its value replaced."""
        if isinstance(document, list):
            return [self._replaced(item) for item in document]
        if not isinstance(document, dict):
            return document
        found = {key: self._replaced(item) for key, item in document.items()}
        return found | ({self.field[1]: self.value} if self.field[1] in found else {})


@pytest.fixture
def platform(sandbox: Sandbox, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    with proxy_to("") as proxy:
        monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", f"http://{proxy.address}")
        platform = Platform(proxy, sandbox)
        for name in ("dataset_cleanup", "single_training"):
            copy_example(name, cli.folder, sandbox.registry)
        assert cli("apply", "--all", "--yes").code == 0
        yield platform


@pytest.mark.parametrize("field", FIELDS)
def test_no_value_of_a_field_stops_a_command(
    field: str, platform: Platform, cli: Cli, tmp_path: Path
) -> None:
    kind, name = field.split(".")
    platform.field = PATHS[kind], name
    other = "single_training" if kind in ("processing", "input") else "dataset_cleanup"
    for platform.value in ODD:
        report = tmp_path / "drift.json"
        report.unlink(missing_ok=True)
        ended = cli("drift", "--all", "--json", str(report))
        assert "bug" not in ended.err, (platform.value, ended.err)
        assert other in {one["stack"]["pipeline"] for one in json.loads(report.read_text())["stacks"]}


@pytest.mark.parametrize("field", FIELDS)
def test_nor_any_other_command(field: str, platform: Platform, cli: Cli) -> None:
    """Each command meets another value in each field, and the worst two everywhere."""
    kind, name = field.split(".")
    platform.field = PATHS[kind], name
    first = FIELDS.index(field) % len(ODD)
    values = [*ODD[first:], *ODD[:first]]
    for command, value in [*zip(COMMANDS, values, strict=False), *product(COMMANDS[1:5], ODD[:2])]:
        platform.value = value
        ended = cli(*command)
        assert "bug" not in ended.err, (command, value, ended.err)
