"""The pipeline as a Prefect flow: one task per stage of dvc.yaml, each running `dvc repro --single-item STAGE`.

So `dvc repro` and the flow write the same dvc.lock, and what is up to date for one is for the other.
"""

import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed

from flows import dag
from flows.lock import project_lock
from flows.processes import run_lines, start_guard
from flows.server import prefect_api
from flows.summary import metrics_markdown, print_summary
from vgan.errors import VganError

__all__ = ["StageResult", "pipeline", "run_stage"]

# What DVC says while another one runs a stage, and while another one reads or writes the project's files.
_BUSY = ("it is being blocked by", "another DVC process is running")
_BUSY_RETRY_S = 5.0


@dataclass(frozen=True)
class StageResult:
    """What became of a stage."""

    name: str
    state: str  # "ran", "up to date", "restored from cache" or "failed"
    seconds: float
    reason: str = ""  # of a failure: the stage's own last words


class StageKilledError(Exception):
    """A stage was ended by a signal, such as the out-of-memory killer's: worth another try."""


def _died_by_signal(task: Any, run: Any, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), StageKilledError)


# DVC is the cache; Prefect's own would answer without looking at the data.
@task(cache_policy=NO_CACHE, retry_condition_fn=_died_by_signal, retry_delay_seconds=5)
def run_stage(root: Path, stage: dag.Stage, wait_minutes: float) -> State[Any]:
    """Reproduce one stage; the state's name says whether it ran."""
    started = time.monotonic()
    lines, code = _dvc(root, ["repro", "--single-item", stage.name], stage.timeout_minutes, wait_minutes)
    seconds = time.monotonic() - started
    output = "\n".join(lines)
    if code != 0:
        died = re.search(r"exited with (-?\d+)", output)
        if died and (int(died[1]) < 0 or int(died[1]) in (137, 139)):
            raise StageKilledError(f"stage {stage.name} was killed (exit code {died[1]})")
        reason = _last_words(lines)
        return Failed(message=reason, data=StageResult(stage.name, "failed", seconds, reason))
    if f"Running stage '{stage.name}'" in output:
        return Completed(name="Ran", data=StageResult(stage.name, "ran", seconds))
    if "is cached" in output:
        return Completed(name="Restored", data=StageResult(stage.name, "restored from cache", seconds))
    return Completed(name="Cached", data=StageResult(stage.name, "up to date", seconds))


@flow(name="vgan-pipeline", flow_run_name="pipeline", validate_parameters=False)
def pipeline(root: Path, wait_minutes: float = 60.0) -> list[StageResult] | State[Any]:
    """Run every stage of the project at `root` in order; one that fails holds up those that need it, and no others.

    Args:
        root: the project's folder, with dvc.yaml.
        wait_minutes: how long to wait for another pipeline, or another DVC, in the same project.
    """
    logger = get_run_logger()
    start_guard()
    os.environ["VGAN_FLOW_RUN_ID"] = str(flow_run.get_id() or "none")
    try:
        with project_lock(root, wait_minutes, logger.info):
            return _run_all(root, wait_minutes)
    except VganError as error:  # its sentence is the message; a traceback would bury it
        return Failed(message=str(error))


def _run_all(root: Path, wait_minutes: float) -> list[StageResult]:
    graph = dag.read(root)
    for source in graph.sources:
        lines, code = _dvc(root, ["repro", "--single-item", source], 24 * 60, wait_minutes)
        if code != 0:
            raise VganError(f"{source} does not verify: {_last_words(lines)}; `dvc pull` fetches its data")
    results: list[StageResult] = []
    failures: dict[str, str] = {}
    for stage in graph.stages:
        if stage.needs & failures.keys():
            failures[stage.name] = ""  # not run
            continue
        state: State[Any] = run_stage.with_options(
            name=stage.name, task_run_name=stage.name, description=stage.description, retries=stage.retries
        )(root, stage, wait_minutes, return_state=True)
        if not state.is_completed():
            failures[stage.name] = f"stage {stage.name} failed: {state.message}"
            continue
        results.append(state.result())
    if failures:
        raise VganError("; ".join(reason for reason in failures.values() if reason))
    _publish(root, results)
    return results


def _dvc(root: Path, arguments: list[str], timeout_minutes: float, wait_minutes: float) -> tuple[list[str], int]:
    """Run DVC and stream what it says into the run's log; waits while another DVC holds the project."""
    logger = get_run_logger()
    here = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{here}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    give_up = time.monotonic() + wait_minutes * 60
    while True:
        lines: list[str] = []

        def say(line: str, lines: list[str] = lines) -> None:
            if line.strip():
                lines.append(line)
                logger.info(line)

        code = run_lines([sys.executable, "-m", "dvc", *arguments], root, environment, timeout_minutes * 60, say)
        if code == 0 or not any(busy in line for line in lines for busy in _BUSY) or time.monotonic() > give_up:
            return lines, code
        logger.info("another DVC command holds the project; trying again in %g s", _BUSY_RETRY_S)
        time.sleep(_BUSY_RETRY_S)


def _last_words(lines: list[str]) -> str:
    """The sentence a stage ended with, or DVC's own error."""
    for prefix in ("vgan: ", "ERROR: "):
        for line in reversed(lines):
            if line.startswith(prefix):
                return line.removeprefix(prefix)
    return lines[-1] if lines else "it said nothing"


def _publish(root: Path, results: list[StageResult]) -> None:
    """The run's page in Prefect: a table of the stages and the metrics as Markdown."""
    rows: list[dict[str, Any]] = [
        {"stage": result.name, "state": result.state, "seconds": round(result.seconds, 1)} for result in results
    ]
    create_table_artifact(rows, key="stages", description="What each stage did")
    metrics = root / "metrics" / "evaluate.json"
    if metrics.exists():
        text = metrics_markdown(json.loads(metrics.read_text(encoding="utf-8")))
        create_markdown_artifact(text, key="metrics", description="Metrics of the evaluated generator")


def main(
    wait_minutes: Annotated[
        float, typer.Option(min=0, help="How long to wait for another pipeline in this project.")
    ] = 60.0,
) -> None:
    """Run the whole pipeline of this folder: every stage of dvc.yaml, in order, as tasks of one Prefect flow.

    A stage whose inputs have not changed is not run again. Uses the Prefect server at PREFECT_API_URL, the one that
    `make ui` runs, or one of its own for this run. Exit code: 0, or 2 with a sentence that says what to do.
    """
    root = Path.cwd()
    started = time.monotonic()
    dag.read(root)  # what is wrong with the project is said before a server is started
    start_guard()
    try:
        with prefect_api(root) as url, temporary_settings({PREFECT_API_URL: url}):
            state = pipeline(root, wait_minutes, return_state=True)
    except KeyboardInterrupt:
        print("pipeline: interrupted; run it again and it goes on from here", file=sys.stderr)
        sys.exit(130)
    if not state.is_completed():
        raise VganError(state.message or "the pipeline failed")
    results: Any = state.result()  # what the flow returned, since it completed
    print_summary(root, results, time.monotonic() - started)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(epilog="Example: `python -m flows.pipeline --wait-minutes 5`")(main)
    try:
        app()
    except VganError as error:
        print(f"pipeline: {error}", file=sys.stderr)
        sys.exit(2)
