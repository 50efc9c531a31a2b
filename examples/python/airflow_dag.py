"""An Airflow DAG: each morning, it plans the pipelines of a folder, applies the plan, and checks for drift.

    pip install picsellia-reconciler apache-airflow

Copy it into the folder of DAGs. Its parameters are the folder of the pipelines, which every worker needs, and
the environment. Tasks pass a saved plan on as a file, so exactly what was planned is applied.
"""

import logging
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, get_current_context, task

from reconciler import api

log = logging.getLogger(__name__)


def selected() -> tuple[api.Pipelines, api.Environment]:
    """All pipelines of the folder, and the environment, from the parameters of the run."""
    params = get_current_context()["params"]
    workspace = api.Workspace.open(params["folder"])
    return workspace.select(all=True), workspace.environment(params["environment"])


@dag(
    schedule="0 6 * * *",
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"folder": "/opt/pipelines", "environment": "STAGING", "plans": "/tmp"},
)
def reconcile():
    @task
    def plan() -> dict[str, str]:
        pipelines, environment = selected()
        plans = pipelines.plan(environment)
        log.info("%s", plans)
        plans.raise_for_problems()
        context = get_current_context()
        file = Path(context["params"]["plans"]) / f"{context['run_id']}.json".replace(":", "-")
        plans.save(file)
        return {"file": str(file), "digest": plans.digest}

    @task(retries=2, retry_delay=timedelta(minutes=1))
    def apply(planned: dict[str, str]) -> int:
        pipelines, environment = selected()
        plans = api.Plans.load(planned["file"], workspace=pipelines.workspace, environment=environment)

        def on_event(event: api.RunEvent) -> None:
            if isinstance(event, api.PipelineFinished):
                log.info("%s: %s", event.run.label, event.run.result.value)

        report = plans.apply(approve=planned["digest"], on_event=on_event)
        log.info("%s", report)
        report.raise_for_problems()  # a retry does only what is left
        return report.exit_code

    @task
    def drift() -> int:
        pipelines, environment = selected()
        report = pipelines.drift(environment)
        log.info("%s", report)
        if report.exit_code:
            raise RuntimeError(repr(report))
        return report.exit_code

    apply(plan()) >> drift()


dag = reconcile()

if __name__ == "__main__":
    dag.test()
