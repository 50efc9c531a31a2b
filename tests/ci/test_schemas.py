"""The example workflows are what GitHub and GitLab take, by the schemas that come with check-jsonschema."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conftest import EXAMPLES

CI = EXAMPLES / "ci"
SCHEMAS = {
    "github": ["vendor.github-workflows"],
    "gitlab": ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}


@pytest.mark.parametrize("service", SCHEMAS)
def test_the_workflows_keep_to_their_schema(service: str, tmp_path: Path) -> None:
    workflows = [*CI.glob(f"{service}-*.yml")]
    assert refused(service, workflows) == ""
    broken = []
    for workflow in workflows:
        broken.append(tmp_path / workflow.name)
        broken[-1].write_text(
            workflow.read_text().replace("script:", "scripts:").replace("runs-on:", "runs:")
        )
    told = refused(service, broken)
    assert all(f"{file}::" in told for file in broken)


def test_every_workflow_has_a_schema() -> None:
    assert {path.name.partition("-")[0] for path in CI.iterdir()} == set(SCHEMAS)


def refused(service: str, workflows: Iterable[Path]) -> str:
    """What is wrong with them; nothing when all is well."""
    return refused_by(SCHEMAS[service], workflows)


def refused_by(schema: Iterable[str], files: Iterable[Path]) -> str:
    """What is wrong with files by a schema of check-jsonschema; nothing when all is well."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *schema, *files]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""
