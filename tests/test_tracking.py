import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from vgan import tracking
from vgan.tracking import RunTracker, client_for, flat_numbers, log_evaluation, read_run_id, tracking_uri

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

PARAMS: dict[str, dict[str, object]] = {"train": {"channels": 2, "steps": 40}, "sample": {"seed": 3}}


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, mlflow_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(mlflow_store, tmp_path / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow itself sets it when a client is made


def tracker(root: Path) -> RunTracker:
    return RunTracker(root, experiment="vgan", params=PARAMS, run_file=root / "run.json", history=root / "history.csv")


def track(root: Path, steps: range, *, fingerprint: str = "f" * 64, status: str = "FINISHED") -> str | None:
    """A training that logs at `steps`, keeping its own history as the real one does."""
    history = root / "history.csv"
    if not history.exists():
        history.write_text("step,loss_d,loss_g\n")
    one = tracker(root)
    one.start(fingerprint, {"clips": "c" * 64})
    for step in steps:
        with history.open("a") as file:
            file.write(f"{step},{step / 10},{step / 20}\n")
        one.metrics(step, {"loss_d": step / 10, "loss_g": step / 20})
    one.close(status)
    return read_run_id(root / "run.json")


def curve(root: Path, run_id: str | None, key: str = "loss_d") -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client_for(root).get_metric_history(run_id, key)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_run_holds_params_curves_lineage_and_data(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "file").write_text("x")
    subprocess.run(["git", "add", "file"], cwd=tmp_path, check=True)
    author = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", *author, "commit", "-qm", "m"], cwd=tmp_path, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True)
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    run_id = track(tmp_path, range(0, 30, 10))
    run = client_for(tmp_path).get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train.channels": "2", "train.steps": "40", "sample.seed": "3"}
    assert curve(tmp_path, run_id) == [(0, 0.0), (10, 1.0), (20, 2.0)]
    assert run.data.tags["git.commit"] == commit.stdout.strip()
    assert run.data.tags["git.dirty"] == "false"
    assert run.data.tags["clips.digest"] == "c" * 64
    # sha256 of the line above, by coreutils' sha256sum
    assert (
        run.data.tags["dvc.lock"]
        == subprocess.run(
            ["sha256sum", "dvc.lock"], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.split()[0]
    )
    assert [entry.dataset.digest for entry in run.inputs.dataset_inputs] == ["c" * 36]
    assert json.loads((tmp_path / "run.json").read_text()) == {
        "experiment": "vgan",
        "fingerprint": "f" * 64,
        "run_id": run_id,
    }


def test_changed_files_make_the_run_dirty(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "file").write_text("x")
    subprocess.run(["git", "add", "file"], cwd=tmp_path, check=True)
    run_id = track(tmp_path, range(1))
    tags = client_for(tmp_path).get_run(run_id).data.tags
    assert (tags["git.commit"], tags["git.dirty"]) == ("none", "true")


def test_without_git_the_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    run_id = track(tmp_path, range(1))
    tags = client_for(tmp_path).get_run(run_id).data.tags
    assert (tags["git.commit"], tags["git.dirty"], tags["dvc.lock"]) == ("none", "unknown", "none")


def test_a_training_that_goes_on_keeps_its_run_and_repeats_no_step(tmp_path: Path) -> None:
    first = track(tmp_path, range(0, 30, 10), status="KILLED")
    assert client_for(tmp_path).get_run(first).info.status == "KILLED"
    # The checkpoint was at step 10: the training repeats step 20.
    (tmp_path / "history.csv").write_text("step,loss_d,loss_g\n0,0.0,0.0\n10,1.0,0.5\n")
    second = track(tmp_path, range(20, 50, 10))
    assert second == first
    assert [step for step, _ in curve(tmp_path, first)] == [0, 10, 20, 30, 40]
    assert client_for(tmp_path).get_run(first).info.status == "FINISHED"


def test_the_run_is_found_by_fingerprint_when_run_json_is_gone(tmp_path: Path) -> None:
    first = track(tmp_path, range(1))
    (tmp_path / "run.json").unlink()
    assert track(tmp_path, range(1)) == first
    assert track(tmp_path, range(1), fingerprint="0" * 64) != first


def test_changed_params_do_not_stop_a_run_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = track(tmp_path, range(0, 20, 10))
    monkeypatch.setitem(PARAMS["train"], "steps", 80)
    assert track(tmp_path, range(20, 40, 10)) == first
    assert [step for step, _ in curve(tmp_path, first)] == [0, 10, 20, 30]


def test_mlflow_away_costs_nothing_but_a_sentence_and_the_curve_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    assert track(tmp_path, range(0, 30, 10)) is None
    said = capsys.readouterr().err
    assert said.count("cannot be reached") == 1 + 1  # once at the start, once more when it ends
    assert "3 steps are not in" in said
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    run_id = track(tmp_path, range(30, 50, 10))
    assert curve(tmp_path, run_id) == [(step, step / 10) for step in range(0, 50, 10)]


def test_mlflow_away_at_the_start_of_a_resumed_training_gets_each_step_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_RETRY_AFTER_S", 0.0)
    run_id = track(tmp_path, range(0, 60, 10), status="KILLED")  # logged up to 50
    (tmp_path / "history.csv").write_text("step,loss_d\n0,0.0\n10,1.0\n20,2.0\n30,3.0\n40,4.0\n")  # checkpoint at 40
    one = tracker(tmp_path)
    search = mlflow.MlflowClient.search_runs

    def away(*_: Any, **__: Any) -> None:
        raise mlflow.exceptions.MlflowException("away")

    monkeypatch.setattr(mlflow.MlflowClient, "search_runs", away)
    one.start("f" * 64, {})
    one.metrics(50, {"loss_d": 5.0})
    one.metrics(60, {"loss_d": 6.0})
    monkeypatch.setattr(mlflow.MlflowClient, "search_runs", search)
    one.close("FINISHED")
    assert read_run_id(tmp_path / "run.json") == run_id
    assert [step for step, _ in curve(tmp_path, run_id)] == [0, 10, 20, 30, 40, 50, 60]


def test_mlflow_that_fails_in_the_middle_gets_everything_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "_FLUSH_EVERY_S", 0.0)
    monkeypatch.setattr(tracking, "_RETRY_AFTER_S", 0.0)
    one = tracker(tmp_path)
    one.start("f" * 64, {})
    one.metrics(0, {"loss_d": 0.0})
    log_batch = mlflow.MlflowClient.log_batch

    def broken(*_: Any, **__: Any) -> None:
        raise mlflow.exceptions.MlflowException("the disk is full")

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", broken)
    one.metrics(1, {"loss_d": 1.0})
    one.metrics(2, {"loss_d": 2.0})
    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", log_batch)
    one.metrics(3, {"loss_d": 3.0})
    one.close("FINISHED")
    assert curve(tmp_path, read_run_id(tmp_path / "run.json")) == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]
    assert "the disk is full" in capsys.readouterr().err


def test_more_rows_than_one_call_takes_all_arrive(tmp_path: Path) -> None:
    run_id = track(tmp_path, range(700))
    assert [step for step, _ in curve(tmp_path, run_id)] == list(range(700))
    assert [value for _, value in curve(tmp_path, run_id, "loss_g")] == [step / 20 for step in range(700)]


def pictures(root: Path) -> list[str]:
    entries = client_for(root).list_artifacts(read_run_id(root / "run.json"), "images")
    return [entry.path for entry in entries if entry.path.endswith(".png")]


def test_pictures_reach_the_run_once_whenever_its_curves_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_FLUSH_EVERY_S", 0.0)
    for _ in range(2):
        one = tracker(tmp_path)
        one.start("f" * 64, {})
        one.metrics(5, {"loss_d": 1.0})
        one.image("samples", 5, np.full((8, 8, 3), 128, np.uint8))
        one.close("FINISHED")
        assert len(pictures(tmp_path)) == 1, pictures(tmp_path)
    assert curve(tmp_path, read_run_id(tmp_path / "run.json")) == [(5, 1.0)]


def test_an_evaluation_is_added_to_the_run_it_judges(tmp_path: Path) -> None:
    run_id = track(tmp_path, range(1))
    assert run_id is not None
    picture = tmp_path / "grid.png"
    picture.write_bytes(b"png")
    log_evaluation(tmp_path, run_id, {"frechet": {"model": 1.5, "network": "n"}, "n": 8}, 40, [picture])
    assert curve(tmp_path, run_id, "frechet.model") == [(40, 1.5)]
    assert curve(tmp_path, run_id, "n") == [(40, 8.0)]
    assert [entry.path for entry in client_for(tmp_path).list_artifacts(run_id, "evaluate")] == ["evaluate/grid.png"]


def test_many_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").unlink()
    code = "import sys; from pathlib import Path; from vgan.tracking import client_for; client_for(Path(sys.argv[1]))"
    openers = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, str(tmp_path)], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    complaints = [opener.communicate()[1].decode() for opener in openers]
    assert [opener.returncode for opener in openers] == [0, 0, 0], complaints
    assert client_for(tmp_path).search_experiments()


def test_numbers_of_nested_metrics_get_dotted_names() -> None:
    nested = {"a": {"b": 1, "c": {"d": 2.5}, "text": "x"}, "flag": True, "none": None, "e": 0}
    assert flat_numbers(nested) == {"a.b": 1.0, "a.c.d": 2.5, "e": 0.0}


def test_the_environment_decides_where_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(tmp_path) == "http://127.0.0.1:5000"
