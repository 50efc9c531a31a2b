"""Two Prefect flows: `deploy` applies the pipelines of a folder, `check_drift` reports changes made outside of it.

    pip install picsellia-reconciler prefect
    python prefect_flow.py FOLDER ENVIRONMENT

Each pipeline of a plan is applied on its own, so one that fails stops no other. A run that fails in part ends
as a failed task, and running the flow again does only what is left.
"""

import sys
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from reconciler import api


@task
def plan(folder: str, environment: str) -> api.Plans:
    """Plan every pipeline. The plan is an artifact of the flow run."""
    workspace = api.Workspace.open(folder)
    plans = workspace.select(all=True).plan(workspace.environment(environment))
    create_markdown_artifact(key="plan", markdown=plans.to_markdown(), description=f"digest {plans.digest}")
    plans.raise_for_problems()
    return plans


@task
def apply(plans: api.Plans, approve: str | bool) -> None:
    """Apply the plans. The log has a line for each pipeline, and the report is an artifact."""
    log = get_run_logger()

    def on_event(event: api.RunEvent) -> None:
        if isinstance(event, api.PipelineFinished):
            log.info("%s: %s", event.run.label, event.run.result.value)

    report = plans.apply(approve=approve, on_event=on_event, waves="1,100%")
    create_markdown_artifact(key="report", markdown=report.to_markdown())
    report.raise_for_problems()


@task
def drift(folder: str, environment: str) -> int:
    """Compare files and platform. The report is an artifact."""
    workspace = api.Workspace.open(folder)
    report = workspace.select(all=True).drift(workspace.environment(environment))
    create_markdown_artifact(key="drift", markdown=report.to_markdown())
    return report.exit_code


@flow
def deploy(folder: str = ".", environment: str = "STAGING", approve: str | bool = False) -> str:
    """Apply what differs from the files. What deletes or replaces resources needs `approve`, the digest."""
    plans = plan(folder, environment)
    if not plans.is_empty:
        apply(plans, approve)
    return repr(plans)


@flow
def check_drift(folder: str = ".", environment: str = "STAGING") -> Any:
    """Fail if somebody changed an object outside of the files."""
    if code := drift(folder, environment):
        raise RuntimeError(f"drift: the check ends with {code}; see the artifact of the run")


if __name__ == "__main__":
    print(deploy(*sys.argv[1:3]))
    check_drift(*sys.argv[1:3])
