"""The MLflow edge: one run per training, curves, pictures, lineage; `registry.py` beside it keeps the model versions.

Training never fails or waits because MLflow is away: what could not be sent is kept and sent later, from memory while
the process lives and from the training's own history file when it starts again. A run belongs to a training's
fingerprint, so a training that was killed goes on in its run, and no step is logged twice.
"""

import csv
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from vgan import atomic
from vgan.lineage import lineage

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
    from mlflow.tracking import MlflowClient

__all__ = [
    "RunTracker",
    "StoreAwayError",
    "client_for",
    "flat_numbers",
    "log_evaluation",
    "reaching",
    "read_run_id",
    "tracking_uri",
]

FINGERPRINT_TAG = "vgan.fingerprint"
_FLUSH_EVERY_S = 5.0
_RETRY_AFTER_S = 60.0
_BATCH = 1000  # most metrics that MLflow takes in one call
_CURVE = "loss_d"  # logged at every logged step, so its history tells how far a run has come


class StoreAwayError(Exception):
    """MLflow cannot be reached or refuses; the message is its first line."""


@contextmanager
def reaching() -> Iterator[None]:
    """Run a block that talks to MLflow; whatever way MLflow fails becomes a StoreAwayError."""
    try:
        yield
    except _store_errors() as error:
        raise StoreAwayError((str(error).strip() or type(error).__name__).splitlines()[0][:200]) from error


def tracking_uri(root: Path) -> str:
    """Where runs are kept: MLFLOW_TRACKING_URI, or a SQLite file in the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def client_for(root: Path) -> "MlflowClient":
    """A client on the project's store.

    A new SQLite store is laid out under a lock: several processes that open a fresh file at once spoil it for good.
    """
    # A server that is away costs seconds per call with these, four minutes with MLflow's own values.
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }.items():
        os.environ.setdefault(name, value)
    import logging

    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    uri = tracking_uri(root)
    mlflow.set_tracking_uri(uri)
    if not uri.startswith("sqlite:"):
        return mlflow.MlflowClient(uri)
    lock = root / ".vgan" / "mlflow.lock"
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock):
        client = mlflow.MlflowClient(uri)  # creates or upgrades the tables
        client.search_experiments(max_results=1)
        return client


def read_run_id(run_file: Path) -> str | None:
    """The MLflow run that `run.json` names; None when MLflow was away or the file is not there."""
    try:
        run_id = json.loads(run_file.read_text(encoding="utf-8"))["run_id"]
    except FileNotFoundError:
        return None
    return None if run_id is None else str(run_id)


class RunTracker:
    """Sends a training's parameters, curves and pictures to its MLflow run.

    Args:
        root: the project's folder.
        experiment: MLflow's name for the group of runs.
        params: every parameter, nested by section.
        run_file: where the run's id goes, so that dvc.lock and MLflow point at each other.
        history: the CSV with a `step` column that the training itself keeps.
    """

    def __init__(
        self, root: Path, *, experiment: str, params: dict[str, dict[str, object]], run_file: Path, history: Path
    ) -> None:
        self._root, self._experiment, self._run_file, self._history = root, experiment, run_file, history
        self._params = {
            f"{section}.{key}": str(value) for section, keys in params.items() for key, value in keys.items()
        }
        self._fingerprint = ""
        self._inputs: dict[str, str] = {}
        self._client: MlflowClient | None = None
        self._run_id: str | None = None
        self._last_step = -1  # that the run had when it was opened
        self._waiting: list[tuple[int, dict[str, float]]] = []
        self._flushed = time.monotonic()
        self._away_until = 0.0
        self._system: SystemMetricsMonitor | None = None

    def start(self, fingerprint: str, inputs: dict[str, str]) -> None:
        """Open the run of this fingerprint, or a new one, and say what goes into it."""
        self._fingerprint, self._inputs = fingerprint, inputs
        with self._reaching():
            self._open_run()
        self._write_run_file()

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Note `values` at `step`; they reach MLflow within seconds, or when it is back."""
        if step > self._last_step:
            self._waiting.append((step, values))
        if time.monotonic() - self._flushed >= _FLUSH_EVERY_S:
            self._flush()

    def image(self, name: str, step: int, image: np.ndarray) -> None:
        """Show `image` (H x W x 3, uint8, RGB) in the run. It is also in the models folder, so none is kept back."""
        if self._client is not None and self._run_id is not None and step > self._last_step:
            with self._reaching():
                self._client.log_image(self._run_id, image, key=name, step=step)

    def close(self, status: str) -> None:
        """Send what waits and end the run as FINISHED, FAILED or KILLED; nothing where no training was started."""
        if not self._fingerprint:
            return
        self._away_until = 0.0
        self._flush()
        if self._system is not None:
            self._system.finish()
        if self._client is not None and self._run_id is not None:
            with self._reaching():
                self._client.set_terminated(self._run_id, status)
        self._write_run_file()
        if self._waiting:
            print(
                f"MLflow was away: {len(self._waiting)} steps are not in {tracking_uri(self._root)} yet; "
                f"they are safe in {self._history}. When it is back, `dvc repro --force --single-item train` sends "
                "them without training again, and `make run` registers the generator",
                file=sys.stderr,
            )

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        if self._flushed < self._away_until:
            return
        with self._reaching():
            if self._run_id is None:
                self._open_run()
            self._send_waiting()

    def _send_waiting(self) -> None:
        from mlflow.entities import Metric

        assert self._client is not None and self._run_id is not None
        now = int(time.time() * 1000)
        while self._waiting:
            rows: list[tuple[int, dict[str, float]]] = []
            metrics: list[Metric] = []
            for row in self._waiting:
                if len(metrics) + len(row[1]) > _BATCH:
                    break
                rows.append(row)
                metrics += [Metric(key, value, now, row[0]) for key, value in row[1].items()]
            self._client.log_batch(self._run_id, metrics=metrics, synchronous=True)
            self._waiting = self._waiting[len(rows) :]

    def _open_run(self) -> None:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        client = self._client = client_for(self._root)
        experiment_id = _experiment_id(client, self._experiment, self._root)
        run_id = read_run_id(self._run_file)
        found = client.search_runs([experiment_id], f"tags.`{FINGERPRINT_TAG}` = '{self._fingerprint}'", max_results=50)
        known = {run.info.run_id for run in found}
        if run_id not in known:
            run_id = found[0].info.run_id if found else None
        if run_id is None:
            run_id = client.create_run(experiment_id, run_name=f"train-{self._fingerprint[:8]}").info.run_id
        self._last_step = max((point.step for point in client.get_metric_history(run_id, _CURVE)), default=-1)
        self._describe(client, run_id)
        client.update_run(run_id, status="RUNNING")
        self._run_id = run_id
        # From the history what an earlier start could not send, from memory what this one could not.
        rows = dict(_history_rows(self._history)) | dict(self._waiting)
        self._waiting = [(step, rows[step]) for step in sorted(rows) if step > self._last_step]
        self._system = SystemMetricsMonitor(run_id, sampling_interval=10, samples_before_logging=1, resume_logging=True)
        self._system.start()

    def _describe(self, client: "MlflowClient", run_id: str) -> None:
        """Parameters, tags and the data set; a run that goes on keeps the parameters it has."""
        import mlflow
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag, Param, RunTag

        run = client.get_run(run_id)
        inputs = {f"{name}.digest": digest for name, digest in self._inputs.items()}
        tags = {FINGERPRINT_TAG: self._fingerprint, **lineage(self._root), **inputs}
        params = [Param(key, value) for key, value in self._params.items() if key not in run.data.params]
        client.log_batch(run_id, params=params, tags=[RunTag(key, value) for key, value in tags.items()])
        if not run.inputs.dataset_inputs and "clips" in self._inputs:
            source = CodeDatasetSource(tags={"path": "data/clips"})
            digest = self._inputs["clips"][:36]  # the longest that MLflow takes
            dataset = MetaDataset(source, name="clips", digest=digest)._to_mlflow_entity()
            context = InputTag(mlflow.utils.mlflow_tags.MLFLOW_DATASET_CONTEXT, "training")
            client.log_inputs(run_id, [DatasetInput(dataset, [context])])

    def _write_run_file(self) -> None:
        link = {"experiment": self._experiment, "fingerprint": self._fingerprint, "run_id": self._run_id}
        atomic.write_text(self._run_file, json.dumps(link, indent=2, sort_keys=True) + "\n")

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Run a block that talks to MLflow; when that fails, say so once and let the training go on."""
        try:
            with reaching():
                yield
        except StoreAwayError as error:
            if self._away_until == 0.0:
                print(
                    f"MLflow at {tracking_uri(self._root)} cannot be reached ({error}); "
                    "training goes on and its curves are sent when it is back",
                    file=sys.stderr,
                )
            self._away_until = time.monotonic() + _RETRY_AFTER_S
        else:
            self._away_until = 0.0


def log_evaluation(root: Path, run_id: str, metrics: dict[str, object], step: int, files: list[Path]) -> None:
    """Add an evaluation's numbers (nested, dotted in MLflow) and files to the run of the training it judges.

    Raises:
        StoreAwayError: MLflow cannot be reached.
    """
    with reaching():
        from mlflow.entities import Metric

        client = client_for(root)
        now = int(time.time() * 1000)
        client.log_batch(run_id, [Metric(key, value, now, step) for key, value in flat_numbers(metrics).items()])
        for file in files:
            client.log_artifact(run_id, str(file), "evaluate")


def flat_numbers(nested: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """`{"a": {"b": 1, "name": "x"}}` as `{"a.b": 1.0}`: the numbers only."""
    flat: dict[str, float] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            flat |= flat_numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[prefix + key] = float(value)
    return flat


def _experiment_id(client: "MlflowClient", name: str, root: Path) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    local = tracking_uri(root).startswith("sqlite:")
    place = (root.resolve() / "mlartifacts").as_uri() if local else None
    return str(client.create_experiment(name, artifact_location=place))


def _history_rows(path: Path) -> list[tuple[int, dict[str, float]]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            (int(row["step"]), {key: float(value) for key, value in row.items() if key != "step" and value})
            for row in csv.DictReader(file)
        ]


def _store_errors() -> tuple[type[BaseException], ...]:
    """What MLflow raises when its store fails: its own exceptions, and those of what it stands on."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, RequestException, SQLAlchemyError, OSError)
