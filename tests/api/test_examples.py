"""The examples for notebooks, Prefect and Airflow, run by the real ones in an environment of their own."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from tests.conftest import EXAMPLES, copy_example

NOTEBOOK = """
import json, sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=300, resources={"metadata": {"path": sys.argv[2]}}).execute()
print("OUTPUTS", json.dumps([cell.outputs for cell in notebook.cells if cell.cell_type == "code"]))
"""


@pytest.fixture(scope="session")
def schedulers() -> Path:
    """The folder with the programs of the environment."""
    python = os.environ.get("RECONCILER_SCHEDULERS_PYTHON")
    if not python:
        pytest.skip(
            "RECONCILER_SCHEDULERS_PYTHON names no interpreter with Prefect and Airflow (make test does)"
        )
    return Path(python).parent


@pytest.fixture
def folder(sandbox: Sandbox, workplace: Path) -> Path:
    """Two pipelines, and an environment TEST."""
    for name in ("dataset_cleanup", "computed_inputs"):
        copy_example(name, workplace, sandbox.registry)
    (workplace / "reconciler.toml").write_text(
        f'[environments.TEST]\nhost = "{sandbox.url}"\norganization = "{sandbox.organization}"\n'
        'token = "TEST_TOKEN"\n'
    )
    return workplace


def ran(command: list[str | Path], folder: Path, sandbox: Sandbox, **variables: str) -> str:
    """What a program prints, with its own home and the token of TEST. It has to end with 0."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH", "RECONCILER_STATE")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder.parent,
        env={**kept, "LANG": "C.UTF-8", "TEST_TOKEN": sandbox.token, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_notebook_shows_plan_report_drift_and_status(
    schedulers: Path, folder: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    notebook = EXAMPLES / "python" / "notebook.ipynb"
    assert all(not cell.get("outputs") for cell in json.loads(notebook.read_text())["cells"])

    printed = ran(
        [schedulers / "python", "-c", NOTEBOOK, notebook, folder],
        folder,
        sandbox,
        PICSELLIA_ENV="TEST",
        JUPYTER_DATA_DIR=str(tmp_path / "jupyter"),
        IPYTHONDIR=str(tmp_path / "ipython"),
    )

    outputs: list[list[Any]] = json.loads(printed.partition("OUTPUTS ")[2])
    shown = [output["data"] for (output,) in outputs if "text/html" in output["data"]]
    assert [re.findall(r"eyebrow\">reconciler (\w+)<", "".join(one["text/html"])) for one in shown] == [
        ["plan"],
        ["apply"],
        ["drift"],
        ["status"],
    ]
    assert "<Plans 2 to change>" in shown[0]["text/plain"]
    assert "dataset_cleanup" in "".join(shown[0]["text/html"])
    assert len(sandbox.platform.processings()) == 2


def test_the_prefect_flows(schedulers: Path, folder: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    flow = EXAMPLES / "python" / "prefect_flow.py"
    variables = {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
        "DO_NOT_TRACK": "1",
    }
    printed = ran([schedulers / "python", flow, folder, "test"], folder, sandbox, **variables)

    assert "<Plans 2 to change>" in printed
    for name in ("dataset_cleanup", "computed_inputs"):
        assert re.search(rf"Task run 'apply-\w+' - .*/{name}.*: applied", printed)
    assert printed.count("Finished in state Completed()") == 5
    assert len(sandbox.platform.processings()) == 2


def test_the_airflow_dag(schedulers: Path, folder: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    """All three tasks run, as `airflow dags test` runs them; then nothing is left to do."""
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(EXAMPLES / "python" / "airflow_dag.py", dags)
    variables = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    ran([schedulers / "airflow", "db", "migrate"], folder, sandbox, **variables)
    parameters = json.dumps({"folder": str(folder), "environment": "TEST", "plans": str(tmp_path)})
    printed = ran(
        [schedulers / "airflow", "dags", "test", "reconcile", "--conf", parameters],
        folder,
        sandbox,
        **variables,
    )

    assert "state=success" in printed
    assert re.search("Done: .*2 applied", printed)
    assert "No drift. 2 pipelines in sync." in printed
    assert len(sandbox.platform.processings()) == 2
    assert [*tmp_path.glob("manual__*.json")]
