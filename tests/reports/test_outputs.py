"""The outputs of one run, as files and on stdout. The JSON document matches its schema."""

import json
import os
import stat
from collections.abc import Callable
from io import StringIO
from itertools import product
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from providers.json_value import JSON
from providers.sandbox import Sandbox
from reconciler.core.diff import ChangeClass
from reconciler.core.values import ABSENT, MISSING, Address, NoValue
from reconciler.views.reports.drift_json import report_from_document, report_text
from reconciler.views.reports.github import annotations
from reconciler.views.reports.html import drift_html
from reconciler.views.reports.junit import junit_text
from reconciler.views.reports.markdown import drift_markdown
from reconciler.views.terminal.console import console
from reconciler.views.terminal.drift import print_report
from tests import schemas
from tests.conftest import Cli, copy_example
from tests.reports.conftest import everything, finding, report, stack_report
from tests.services import free_port

OUTPUTS = ("--json", "d.json", "--junit", "d.xml", "--markdown", "d.md", "--html", "d.html")


@pytest.fixture
def drifted(cli: Cli, sandbox: Sandbox) -> Cli:
    """An applied pipeline with edits on the platform."""
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup").code == 0
    sandbox.platform.edit_processing("dataset_cleanup", default_cpu=64, description="</title><b>oh")
    sandbox.platform.delete_input("dataset_cleanup", "archive")
    return cli


def valid(text: str) -> dict[str, object]:
    document: dict[str, object] = json.loads(text)
    schemas.valid(document, "drift")
    return document


def test_one_run_prints_and_writes_all_formats(drifted: Cli) -> None:
    ended = drifted("drift", "dataset_cleanup", *OUTPUTS)
    assert ended.code == 11
    assert "Found: 3 drift" in ended.out
    document = valid((drifted.folder / "d.json").read_text())
    assert document["exit_code"] == 11
    assert ET.parse(drifted.folder / "d.xml").getroot().attrib["failures"] == "3"
    assert (drifted.folder / "d.md").read_text().startswith("<!-- reconciler:drift -->\n## Drift: 3 drift\n")
    assert "<h1>3 drift</h1>" in (drifted.folder / "d.html").read_text()
    for name in OUTPUTS[1::2]:
        text = (drifted.folder / name).read_text()
        assert "dataset_cleanup/config.toml:16" in text
        assert str(drifted.folder) not in text, "files are named as on any machine"
    for name in OUTPUTS[1::2]:
        assert stat.S_IMODE((drifted.folder / name).stat().st_mode) == 0o644
    assert sorted(path.name for path in drifted.folder.iterdir()) == sorted(
        [*OUTPUTS[1::2], "dataset_cleanup"]
    )


def test_the_document_of_every_kind_of_finding_is_valid() -> None:
    valid(report_text(everything()))


def test_a_report_survives_a_round_trip() -> None:
    again = report_from_document(json.loads(report_text(everything())))
    for output in (report_text, junit_text, drift_markdown, drift_html):
        assert output(again) == output(everything())


@pytest.mark.parametrize(
    ("format_", "read"), [("json", valid), ("junit", ET.fromstring), ("markdown", str), ("html", str)]
)
def test_a_dash_reserves_stdout_for_one_format(
    drifted: Cli, format_: str, read: Callable[[str], object]
) -> None:
    ended = drifted("drift", "dataset_cleanup", f"--{format_}", "-")
    assert ended.code == 11
    read(ended.out)
    assert "Found: 3 drift. 0 pipelines" in ended.err
    assert "Found: 3 drift. 0 pipelines" not in ended.out


def test_a_failed_output_does_not_stop_the_others(drifted: Cli) -> None:
    (drifted.folder / "taken").mkdir()
    assert drifted("drift", "dataset_cleanup", "--json", "taken").code == 2
    assert drifted("drift", "dataset_cleanup", "--json", "no/d.json").code == 2
    assert drifted("drift", "dataset_cleanup", "--json", "-", "--html", "-").code == 2
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    ended = drifted("drift", "dataset_cleanup", "--markdown", str(full), "--html", "d.html")
    assert ended.code == 1
    assert "the markdown output cannot be written" in ended.err
    assert "<h1>3 drift</h1>" in (drifted.folder / "d.html").read_text()


def test_an_existing_file_is_replaced_and_keeps_its_mode(drifted: Cli) -> None:
    file = drifted.folder / "d.md"
    file.write_text("<!-- reconciler:drift -->\nold")
    file.chmod(0o600)
    drifted("drift", "dataset_cleanup", "--markdown", "d.md")
    assert file.read_text().startswith("<!-- reconciler:drift -->")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_without_a_platform_the_outputs_report_no_check(
    drifted: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", f"http://127.0.0.1:{free_port()}")
    ended = drifted("drift", "dataset_cleanup", *OUTPUTS)
    assert ended.code == 13
    assert valid((drifted.folder / "d.json").read_text())["exit_code"] == 13
    assert ET.parse(drifted.folder / "d.xml").getroot().attrib["errors"] == "1"
    assert "No drift found, but not everything was checked" in (drifted.folder / "d.md").read_text()
    assert "in sync" not in (drifted.folder / "d.html").read_text().partition("<h1>")[2].partition("</h1>")[0]


def test_a_plan_as_markdown_and_as_a_page(drifted: Cli) -> None:
    ended = drifted("plan", "dataset_cleanup", "--markdown", "p.md", "--html", "p.html", "--exit-code")
    assert ended.code == 11
    text = (drifted.folder / "p.md").read_text()
    assert text.startswith("<!-- reconciler:plan sandbox@127.0.0.1:")
    assert "| create | <code>input/dataset_cleanup/archive</code> | deleted outside |" in text
    assert "Plan: 1 to create, 1 to update" in (drifted.folder / "p.html").read_text()
    assert drifted("plan", "dataset_cleanup", "--json", "--markdown", "-").code == 2
    there = drifted("plan", "dataset_cleanup", "--markdown", "-")
    assert there.out == text
    assert "Plan: 1 to create" in there.err


def test_a_pipeline_without_a_plan_is_in_the_outputs(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    (folder / "config.toml").write_text("[metadata\n")
    ended = cli("plan", "dataset_cleanup", "--markdown", "p.md", "--html", "p.html")
    assert ended.code == 1
    assert "<code>dataset_cleanup/config.toml:1</code>" in (cli.folder / "p.md").read_text()
    assert "No plan could be made" in (cli.folder / "p.html").read_text()


def test_no_live_value_is_a_terminal_command(drifted: Cli, sandbox: Sandbox) -> None:
    sandbox.platform.edit_processing(
        "dataset_cleanup", default_parameters={"\x1b]0;title\x07": 1, "\x9b31m": 2, "\u202erev": 3}
    )
    ended = drifted("drift", "dataset_cleanup")
    assert r"default_parameters.\x1b]0;title" in ended.out
    assert r"default_parameters.\x9b31m" in ended.out
    assert r"default_parameters.\u202erev" in ended.out
    assert not any(character in ended.out + ended.err for character in "\x1b\x07\x9b\u202e")


def test_a_pipe_is_written_and_never_read(drifted: Cli) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe:
        ended = drifted("drift", "dataset_cleanup", "--json", f"/dev/fd/{writing}")
        os.close(writing)
        assert ended.code == 11
        valid(pipe.read())


VALUES: tuple[JSON | NoValue, ...] = (4, None, MISSING, ABSENT)


@pytest.mark.parametrize("path", ["default_cpu", ""])
def test_every_output_shows_findings_without_values(path: str, tmp_path: Path) -> None:
    classes = sorted(set(ChangeClass) - {ChangeClass.IN_SYNC, ChangeClass.CONVERGED})
    findings = [
        finding(
            address=Address.of("processing", str(number)),
            path=path,
            cls=cls,
            desired=desired,
            recorded=recorded,
            live=live,
        )
        for number, (cls, desired, recorded, live) in enumerate(product(classes, VALUES, VALUES, VALUES))
    ]
    several = report(stack_report(*findings))
    text = report_text(several)
    assert report_text(report_from_document(valid(text))) == text
    assert f"processing/{len(findings) - 1}" in drift_html(several)
    assert f"processing/{len(findings) - 1}" in drift_markdown(several, limit=10**9)
    assert len(ET.fromstring(junit_text(several)).findall(".//failure")) > 0
    assert annotations(several, tmp_path, tmp_path)
    print_report(several, console(out := StringIO()))
    assert f"processing/{len(findings) - 1}" in out.getvalue()
