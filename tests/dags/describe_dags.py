"""Prints, as JSON, what Airflow makes of a DAG folder: run in a process of its own, as Airflow does.

python describe_dags.py FOLDER
"""

import json
import sys
from typing import Any

from airflow.dag_processing.dagbag import DagBag

# Each would make every reading of the folder seconds slower.
HEAVY = {"keras", "mlflow", "pandas", "pandera", "pyarrow", "sklearn", "tensorflow"}


def _task(task: Any) -> dict[str, Any]:
    return {
        "upstream": sorted(task.upstream_task_ids),
        "retries": task.retries,
        "retry_delay_seconds": task.retry_delay.total_seconds(),
        "arguments": list(task.arguments),
        "updates": [asset.name for asset in task.outlets],
    }


def _dag(dag: Any) -> dict[str, Any]:
    schedule = dag.schedule
    return {
        "schedule": [asset.name for asset in schedule] if isinstance(schedule, list) else schedule,
        "tags": sorted(dag.tags),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "paused_at_first": dag.is_paused_upon_creation,
        "doc_md": dag.doc_md,
        "params": dict(dag.params),
        "tasks": {task.task_id: _task(task) for task in dag.tasks},
    }


bag = DagBag(dag_folder=sys.argv[1])
description = {
    "dags": {dag_id: _dag(dag) for dag_id, dag in bag.dags.items()},
    "errors": bag.import_errors,
    "heavy": sorted(HEAVY & set(sys.modules)),
}
sys.stdout.write(json.dumps(description))
