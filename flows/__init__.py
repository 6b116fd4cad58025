"""Orchestration: order, retries, schedules and nothing else; delete it and `dvc repro` still runs everything."""

import os
from pathlib import Path

# Prefect reads its settings once, when it is first imported, so they stand here, before any module that imports it.
# Its database lies in the project; whoever has set these otherwise keeps what they set.
for _name, _value in {
    "PREFECT_HOME": str(Path.cwd() / ".prefect"),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
}.items():
    os.environ.setdefault(_name, _value)
