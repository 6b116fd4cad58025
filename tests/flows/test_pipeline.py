import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

# Prefect and what it stands on deprecate among themselves.
pytestmark = pytest.mark.filterwarnings("default")

from prefect.client.orchestration import get_client  # noqa: E402
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings  # noqa: E402
from prefect.testing.utilities import prefect_test_harness  # noqa: E402

from flows.guard import MARK  # noqa: E402
from flows.pipeline import StageResult, pipeline  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.flows.project import DVC, FIRST, SECOND, dvc, make_project, write_stages  # noqa: E402


@pytest.fixture(scope="module")
def _server() -> Iterator[None]:
    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@pytest.fixture
def project(tmp_path: Path, _server: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(MARK, "a test needs no guard")
    return make_project(tmp_path / "project")


def states(results: list[StageResult]) -> dict[str, str]:
    return {result.name: result.state for result in results}


def run(root: Path) -> dict[str, str]:
    results = pipeline(root, 1.0)
    assert isinstance(results, list)
    return states(results)


def failure(root: Path) -> str:
    state = pipeline(root, 0.05, return_state=True)
    assert state.is_failed()
    return str(state.message)


def test_stages_run_once_in_order_and_dvc_agrees(project: Path) -> None:
    assert run(project) == {"first": "ran", "second": "ran"}
    assert (project / "out" / "second.txt").read_text() == "a\n"
    assert "up to date" in dvc(project, "repro")
    assert run(project) == {"first": "up to date", "second": "up to date"}


def test_what_dvc_repro_made_is_up_to_date_for_the_flow(project: Path) -> None:
    dvc(project, "repro")
    lock = (project / "dvc.lock").read_bytes()
    assert run(project) == {"first": "up to date", "second": "up to date"}
    assert (project / "dvc.lock").read_bytes() == lock


def test_changed_footage_is_noticed_as_dvc_repro_notices_it(project: Path) -> None:
    run(project)
    (project / "raw" / "b.txt").write_text("b\n")
    assert run(project) == {"first": "ran", "second": "ran"}
    assert (project / "out" / "second.txt").read_text() == "a\nb\n"
    assert "up to date" in dvc(project, "status")


def test_only_what_changed_runs_and_deleted_outputs_come_from_the_cache(project: Path) -> None:
    run(project)
    write_stages(project, second=f"{SECOND} && true")
    assert run(project) == {"first": "up to date", "second": "ran"}
    (project / "out" / "second.txt").unlink()
    assert run(project)["second"] in ("restored from cache", "ran")
    assert (project / "out" / "second.txt").read_text() == "a\n"


def test_a_stage_that_says_what_is_wrong_fails_the_flow_with_its_words_and_once(project: Path) -> None:
    write_stages(project, first="echo x >> tries; echo 'vgan: put videos into data/raw' >&2; exit 2")
    assert failure(project) == "stage first failed: put videos into data/raw"
    assert (project / "tries").read_text() == "x\n"
    assert not (project / "out" / "second.txt").exists()


def test_a_stage_that_does_not_need_the_failed_one_still_runs(project: Path) -> None:
    write_stages(project, first="echo 'vgan: too few clips' >&2; exit 2")
    hints = "    meta:\n      prefect: {retries: 0, timeout_minutes: 1}\n"
    other = "  other:\n    cmd: touch other\n    outs:\n      - other\n" + hints
    (project / "dvc.yaml").write_text((project / "dvc.yaml").read_text() + other)
    assert failure(project) == "stage first failed: too few clips"
    assert (project / "other").exists()
    assert not (project / "out" / "second.txt").exists()


def test_a_dvc_that_reads_or_writes_the_projects_files_is_waited_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What DVC says then is taken from its own source; the lock is held only for moments, so it is not raced here."""
    said = ["ERROR: Unable to acquire lock. Most likely another DVC process is running or was terminated abruptly."]
    calls: list[list[str]] = []

    def run_lines(command: list[str], root: Path, environment: Any, timeout_s: float, say: Any) -> int:
        calls.append(command)
        if len(calls) == 1:
            say(said[0])
            return 255
        return real(command, root, environment, timeout_s, say)

    from flows import processes

    real = processes.run_lines
    monkeypatch.setattr("flows.pipeline.run_lines", run_lines)
    monkeypatch.setattr("flows.pipeline._BUSY_RETRY_S", 0.0)
    assert run(project) == {"first": "ran", "second": "ran"}
    assert calls[0] == calls[1]


def test_a_stage_that_was_killed_is_tried_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect.task_engine.time.sleep", lambda _: None)
    write_stages(project, first=f"echo x >> tries; test $(wc -l < tries) = 2 || kill -KILL $$; {FIRST}")
    assert run(project) == {"first": "ran", "second": "ran"}
    assert (project / "tries").read_text() == "x\nx\n"


def test_missing_footage_is_a_sentence(project: Path) -> None:
    import shutil

    shutil.rmtree(project / "raw")
    shutil.rmtree(project / ".dvc" / "cache")
    assert "raw.dvc does not verify" in failure(project)
    assert "`dvc pull`" in failure(project)


def test_another_dvc_in_the_project_is_waited_for(project: Path) -> None:
    write_stages(project, first=f"touch started; sleep 8; {FIRST}")
    other = subprocess.Popen(
        [*DVC, "repro", "first"], cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (project / "started").exists():
        assert other.poll() is None
        time.sleep(0.05)
    assert run(project) == {"first": "up to date", "second": "ran"}
    assert other.wait() == 0


def newest(artifacts: list[Any]) -> Any:
    return max(artifacts, key=lambda artifact: artifact.created)


def test_the_page_of_a_run_has_the_stages_and_the_metrics(project: Path) -> None:
    (project / "metrics").mkdir()
    (project / "metrics" / "evaluate.json").write_text('{"frechet": {"model": 0.25}, "n": 8}')
    run(project)
    with get_client(sync_client=True) as client:
        from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

        found = {
            key: client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
            for key in ("stages", "metrics")
        }
    assert '"stage": "first"' in str(newest(found["stages"]).data) and '"state": "ran"' in str(
        newest(found["stages"]).data
    )
    assert "| frechet.model | 0.25 |" in str(newest(found["metrics"]).data)


def start_flow(project: Path, *, stderr: int) -> "subprocess.Popen[str]":
    """The command itself, in the middle of the first stage, on a server of its own."""
    (project / "slow").touch()
    write_stages(project, first=f"test ! -e slow || (touch started; sleep 300); {FIRST}")
    environment = {name: value for name, value in os.environ.items() if name != MARK} | {"PYTHONPATH": str(ROOT)}
    environment |= {"PREFECT_HOME": str(project / ".prefect"), "PYTHONWARNINGS": "ignore"}
    flow = subprocess.Popen(
        [sys.executable, "-m", "flows.pipeline"],
        cwd=project,
        env=environment,
        text=True,
        start_new_session=True,  # as a terminal gives a command a group of its own
        stdout=subprocess.DEVNULL,
        stderr=stderr,
    )
    until = time.monotonic() + 120
    while not (project / "started").exists():
        assert flow.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    return flow


def test_ctrl_c_ends_everything_with_a_sentence(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    flow = start_flow(project, stderr=subprocess.PIPE)
    tree = psutil.Process(flow.pid).children(recursive=True)
    os.killpg(flow.pid, signal.SIGINT)
    _, said = flow.communicate(timeout=60)
    assert flow.returncode == 130
    assert said.splitlines()[-1] == "pipeline: interrupted; run it again and it goes on from here"
    assert psutil.wait_procs(tree, timeout=10)[1] == []


def test_a_killed_flow_leaves_nothing_behind_and_the_next_one_finishes(tmp_path: Path) -> None:
    """SIGKILL of the command itself, in the middle of a stage, on a server of its own."""
    undisturbed = make_project(tmp_path / "undisturbed")
    dvc(undisturbed, "repro")
    project = make_project(tmp_path / "project")
    flow = start_flow(project, stderr=subprocess.DEVNULL)
    tree = psutil.Process(flow.pid).children(recursive=True)
    assert len(tree) >= 4  # guard, server, dvc, the stage
    os.kill(flow.pid, signal.SIGKILL)
    flow.wait()
    _, left = psutil.wait_procs(tree, timeout=10)
    assert left == []
    (project / "slow").unlink()
    dvc(project, "repro")
    same = "outs:", "md5", "size"
    lines = [
        [line for line in (root / "dvc.lock").read_text().splitlines() if any(word in line for word in same)]
        for root in (project, undisturbed)
    ]
    assert lines[0] == lines[1]
