"""`status --matrix` shows what runs where, and an environment that cannot be read hides no other one."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from providers.reasons import Reason
from providers.sandbox import Sandbox
from reconciler.drift.findings import DriftState, LastApply
from reconciler.drift.matrix import Cell, Column, Matrix, MatrixLine, in_promotion_order
from reconciler.drift.status import Row
from reconciler.views.reports.html import matrix_html
from reconciler.views.reports.matrix_json import matrix_document
from reconciler.views.terminal.matrix import print_matrix
from tests.conftest import Cli, copy_example
from tests.reports.conftest import NASTY
from tests.schemas import valid

APP = "dataset_cleanup"
NOW = datetime(2025, 3, 3, 8, 0, tzinfo=UTC)


@pytest.fixture
def folder(cli: Cli, environments: Sandbox) -> Path:
    text = (cli.folder / "reconciler.toml").read_text()
    # PROD stands before its source, so that the order is not the one of the file.
    tables = text.split("\n\n")
    live = tables[1].strip() + '\npromote_from = "TEST"\n'
    (cli.folder / "reconciler.toml").write_text(f"{live}\n{tables[0]}\n")
    folder = copy_example(APP, cli.folder, environments.registry)
    config = folder / "config.toml"
    config.write_text(config.read_text().replace('version = "1.0"', 'version = "1.0.0"'))
    return folder


def deploy(cli: Cli, folder: Path, environment: str, *options: str) -> None:
    (folder / "pipeline.py").write_text((folder / "pipeline.py").read_text() + "# more\n")
    ended = cli("apply", APP, "--env", environment, "--yes", *options)
    assert ended.code == 0, ended.err


def shown(cli: Cli, *options: str, code: int = 0) -> Any:
    ended = cli("status", "--all", "--matrix", "--json", *options)
    assert ended.code == code, ended.err
    document = json.loads(ended.out)
    valid(document, "matrix")
    return document


def cells(document: Any) -> Mapping[str, Any]:
    (pipeline,) = document["pipelines"]
    return {cell["environment"]: cell for cell in pipeline["cells"]}


def test_an_environment_is_behind_by_the_versions_that_another_one_applied_since(
    cli: Cli, folder: Path
) -> None:
    deploy(cli, folder, "TEST")
    assert cli("apply", APP, "--env", "LIVE", "--yes").code == 0
    deploy(cli, folder, "TEST", "--bump", "patch")
    deploy(cli, folder, "TEST", "--bump", "minor")

    document = shown(cli)

    assert [environment["name"] for environment in document["environments"]] == ["TEST", "LIVE"]
    found = cells(document)
    assert (found["TEST"]["version"], found["TEST"]["behind"]) == ("1.1.0", 0)
    assert (found["LIVE"]["version"], found["LIVE"]["behind"]) == ("1.0.0", 2)
    assert found["TEST"]["drift_code"] == "in-sync" and found["LIVE"]["applied_by"]


def test_a_version_that_was_rolled_back_is_not_lacked(cli: Cli, folder: Path) -> None:
    deploy(cli, folder, "TEST")
    assert cli("apply", APP, "--env", "LIVE", "--yes").code == 0
    deploy(cli, folder, "TEST", "--bump", "patch")
    assert cli("rollback", APP, "--env", "TEST", "--yes").code == 0

    assert {name: cell["behind"] for name, cell in cells(shown(cli)).items()} == {"TEST": 0, "LIVE": 0}


def test_where_it_was_never_applied_nothing_runs(cli: Cli, folder: Path) -> None:
    deploy(cli, folder, "TEST")

    assert cells(shown(cli))["LIVE"]["version"] is None
    assert " -" in cli("status", "--all", "--matrix").out
    assert cli("status", "--all", "--matrix", "--html", "matrix.html").code == 0
    page = (cli.folder / "matrix.html").read_text()
    assert "1 not applied" in page and "All environments are in sync" not in page


def test_an_environment_that_refuses_the_token_says_so_and_hides_no_other(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(cli, folder, "TEST")
    assert cli("apply", APP, "--env", "LIVE", "--yes").code == 0
    monkeypatch.setenv("LIVE_TOKEN", "expired")

    document = shown(cli, code=13)

    problems = {one["name"]: one["problem"] for one in document["environments"]}
    assert problems["TEST"] is None and problems["LIVE"]
    assert cells(document)["TEST"]["drift_code"] == "in-sync"
    assert cells(document)["LIVE"]["version"] == "1.0.0", "that was applied last"
    assert "LIVE  not read: " in cli("status", "--all", "--matrix").out


def test_all_environments_with_a_token_are_read_without_one_in_use(cli: Cli, folder: Path) -> None:
    deploy(cli, folder, "TEST")
    assert cli("apply", APP, "--env", "LIVE", "--yes").code == 0

    ended = cli("status", "--all", "--matrix", "--json")

    assert ended.code == 0, ended.out + ended.err
    assert {name: cell["drift_code"] for name, cell in cells(json.loads(ended.out)).items()} == {
        "TEST": "in-sync",
        "LIVE": "in-sync",
    }


def test_an_environment_without_a_login_says_what_to_set(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(cli, folder, "TEST")
    assert cli("apply", APP, "--env", "LIVE", "--yes").code == 0
    monkeypatch.delenv("LIVE_TOKEN")

    document = shown(cli, code=13)

    problem = next(one["problem"] for one in document["environments"] if one["name"] == "LIVE")
    assert problem.startswith(
        "no login: set LIVE_TOKEN, or run reconciler login --organization my-org --env LIVE"
    )
    assert cells(document)["TEST"]["checked"] and not cells(document)["LIVE"]["checked"]
    assert shown(cli, "--offline")["pipelines"] != []


def test_a_page_is_written_and_only_with_the_matrix(cli: Cli, folder: Path) -> None:
    deploy(cli, folder, "TEST")

    assert cli("status", "--all", "--matrix", "--html", "matrix.html").code == 0
    assert '<th scope="col">TEST' in (cli.folder / "matrix.html").read_text()
    assert cli("status", "--all", "--html", "matrix.html").code == 2
    assert cli("status", "--all", "--matrix", "--json", "--html", "-").code == 2
    page = cli("status", "--all", "--matrix", "--html", "-")
    assert page.out.startswith("<!doctype html>") and APP in page.err


def test_the_order_is_that_of_promotion() -> None:
    columns = [Column("PROD", "p", "STAGING"), Column("STAGING", "s", "DEV"), Column("DEV", "d")]

    assert [column.name for column in in_promotion_order(columns)] == ["DEV", "STAGING", "PROD"]
    circle = [Column("A", "a", "B"), Column("B", "b", "A")]
    assert in_promotion_order(circle) == circle


def made(names: tuple[str, ...], text: str = "clip/training") -> Matrix:
    columns = tuple(Column(name, f"my-org@{name}") for name in names)
    applied = LastApply("2025-03-01T12:00:00.000+00:00", "ada", "laptop", "0123", "")
    found = {
        column.scope: Cell(
            Row(
                text,
                text,
                f"pipelines/{text}",
                column.scope,
                version="1.2.0-rc.3",
                applied=applied,
                drift=Reason(DriftState.DIFFERENT, {"counts": {"drift": 3, "pending": 2}}),
            ),
            2,
        )
        for column in columns
    }
    return Matrix(columns, (MatrixLine(text, f"pipelines/{text}", found),))


def printed(found: Matrix, width: int) -> list[str]:
    stream = StringIO()
    print_matrix(found, NOW, Console(file=stream, width=width, soft_wrap=True))
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("names", [("STAGING",), ("STAGING", "PROD"), ("A", "B", "C", "D", "E", "F")])
def test_it_fits_a_terminal_of_80_columns(names: tuple[str, ...]) -> None:
    lines = printed(made(names), 80)

    assert max(map(len, lines)) <= 80
    assert sum(line.count("2 behind") for line in lines) == len(names)
    assert sum(line.count("3 drift, 2 pending") for line in lines) == len(names)
    assert sum(line.count("1 day ago by ada") for line in lines) == len(names)


def test_a_wide_terminal_has_all_environments_side_by_side() -> None:
    lines = printed(made(("A", "B", "C", "D", "E", "F")), 200)

    assert lines[0].split() == ["pipeline", "A", "B", "C", "D", "E", "F"]
    assert lines[1].count("1.2.0-rc.3  2 behind") == 6


@pytest.mark.parametrize("length", [1, 40, 41, 90])
def test_versions_stand_below_their_environment_however_long_a_name_is(length: int) -> None:
    head, first, *_ = printed(made(("TEST", "LIVE"), "x" * length), 200 + 2 * length)

    assert [found.start() for found in re.finditer("1.2.0-rc.3", first)] == [
        head.index("TEST"),
        head.index("LIVE"),
    ]


def test_no_name_adds_markup_to_the_page() -> None:
    found = made((NASTY,), NASTY)
    spoiled = Matrix((Column(NASTY, found.columns[0].scope, NASTY, NASTY),), found.lines)

    page = matrix_html(spoiled, NOW)

    assert "<img src=x" not in page and "<script>hacked" not in page
    assert page.count("<script>") == 1, "the page's own"
    valid(matrix_document(spoiled), "matrix")


def test_the_page_is_a_table_with_headers_and_a_caption() -> None:
    page = matrix_html(made(("STAGING", "PROD")), NOW)

    assert page.count('<th scope="col">') == 3 and page.count('<th scope="row">') == 1
    assert "<caption" in page and 'role="region" aria-label=' in page
    assert page.count('<span class="badge warn">2 behind</span>') == 2
