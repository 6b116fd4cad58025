"""The whole road with the real stages, small: footage in, videos and a registered model out; twice, and killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import psutil
import pytest

from flows.guard import MARK
from tests.conftest import ROOT
from tests.footage_factory import filmed, scene, shake, with_passer
from vgan.tracking import client_for, read_run_id
from vgan.video import probe, write_video

pytestmark = pytest.mark.filterwarnings("default")  # Prefect's and MLflow's own

SMALL = {
    "  frames: 32 ": "  frames: 16 ",
    "  size: 64 ": "  size: 16 ",
    "  estimation_height: 240": "  estimation_height: 120",
    "  channels: 16 ": "  channels: 2 ",
    "  batch_size: 16\n  accumulate: 1 ": "  batch_size: 4\n  accumulate: 1 ",
    "  steps: 1000": "  steps: 12",
    "  precision: bf16              # or fp32\n": "  precision: fp32\n",
    "  log_every: 10 ": "  log_every: 2 ",
    "  sample_every: 250": "  sample_every: 6",
    "  checkpoint_every: 250": "  checkpoint_every: 3",
    "  samples: 128": "  samples: 16",
    "  count: 16": "  count: 3",
    "  streams: 4 ": "  streams: 1 ",
}


def make_project(root: Path, edits: dict[str, str] = SMALL) -> Path:
    """A fresh clone's files, small parameters and three videos, one of them broken."""
    root.mkdir()
    for name in ("vgan", "flows", "presets"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / ".dvc").mkdir()
    for name in (".dvc/config", ".dvcignore", ".gitignore", "dvc.yaml"):
        shutil.copy(ROOT / name, root / name)
    text = (ROOT / "presets" / "demo.yaml").read_text()
    for old, new in edits.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (root / "params.yaml").write_text(text)
    raw = root / "data" / "raw" / "street"
    for seed, name in ((1, "one.mp4"), (2, "two words; $(touch x).mp4")):
        frames = filmed(scene(seed), shake(60, seed))
        write_video(raw / name, with_passer(frames), 25.0)
    (raw / "broken.mp4").write_bytes(b"not a video at all")
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *arguments], cwd=root, check=True)
    return root


def environment(root: Path, store: Path) -> dict[str, str]:
    """As a shell in `root` with the project's tools on its path."""
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    mine = {name: value for name, value in os.environ.items() if name not in (MARK, "MLFLOW_TRACKING_URI")}
    return mine | {
        "PATH": here,
        "PYTHONPATH": str(root),
        "PYTHONWARNINGS": "ignore",
        "MLFLOW_TRACKING_URI": f"sqlite:///{store}",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "160",
    }


def command(root: Path, store: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=root,
        env=environment(root, store),
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(root: Path, store: Path, *arguments: str) -> str:
    answer = command(root, store, *arguments)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture
def store(tmp_path: Path, mlflow_store: Path) -> Path:
    return Path(shutil.copy(mlflow_store, tmp_path / "mlflow.db"))


def test_footage_becomes_videos_and_a_registered_model_and_a_kill_changes_nothing(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = make_project(tmp_path / "undisturbed")
    first = succeed(undisturbed, store, "flows.pipeline")
    _check_results(undisturbed, first)
    _check_tracking(undisturbed, store, monkeypatch)
    _check_second_run(undisturbed, store)
    _check_dvc(undisturbed, store)
    killed = make_project(tmp_path / "killed")
    _kill_in_training(killed, store)
    succeed(killed, store, "flows.pipeline")
    assert (killed / "dvc.lock").read_text() == (undisturbed / "dvc.lock").read_text()


def _check_results(root: Path, printed: str) -> None:
    for stage in ("preprocess", "train", "evaluate", "sample"):
        assert any(line.split()[1] == stage and "ran" in line for line in printed.splitlines() if line.startswith("│"))
    assert "models:/vgan/1 (challenger, champion)" in printed
    assert "samples/video-000.mp4 … video-002.mp4" in printed
    videos = sorted((root / "samples").glob("video-*.mp4"))
    assert len(videos) == 3
    info = probe(videos[0])
    assert (info.width, info.height, round(info.fps)) == (16, 16, 25)
    metrics = json.loads((root / "metrics" / "evaluate.json").read_text())
    assert {"model", "floor"} <= set(metrics["frechet_transnetv2"])
    assert all(np.isfinite(value) for value in metrics["frechet_transnetv2"].values())
    assert not (root / "x").exists()  # no shell has seen a file's name


def _check_tracking(root: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    client = client_for(root)
    run_id = read_run_id(root / "run.json")
    assert run_id is not None
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["train.channels"] == "2" and run.data.params["preprocess.size"] == "16"
    assert [point.step for point in client.get_metric_history(run_id, "loss_d")] == [2, 4, 6, 8, 10, 12]
    assert run.data.metrics["frechet_transnetv2.model"] > 0
    assert (run.data.tags["git.dirty"], run.data.tags["dvc.stage"]) == ("false", "train")
    assert run.data.tags["prefect.flow_run_id"] != "none"
    model = mlflow.pyfunc.load_model("models:/vgan@champion")
    assert model.predict(None, params={"n": 2, "seed": 5}).shape == (2, 16, 16, 16, 3)


def _check_second_run(root: Path, store: Path) -> None:
    lock = (root / "dvc.lock").read_bytes()
    again = succeed(root, store, "flows.pipeline")
    table = [line for line in again.splitlines() if line.startswith("│")]
    assert sum("up to date" in line for line in table) == 4
    assert not any(" ran " in line for line in table)
    assert (root / "dvc.lock").read_bytes() == lock


def _check_dvc(root: Path, store: Path) -> None:
    assert "up to date" in succeed(root, store, "dvc", "status")
    assert "up to date" in succeed(root, store, "dvc", "repro")
    assert "preprocess" in succeed(root, store, "dvc", "dag")
    assert "frechet_transnetv2.model" in succeed(root, store, "dvc", "metrics", "show")
    succeed(root, store, "dvc", "plots", "show")
    page = (root / "dvc_plots" / "index.html").read_text()
    assert all(word in page for word in ("loss_d", "accuracy_real", "share_of_clips", "real_vs_generated.png"))


def _kill_in_training(root: Path, store: Path) -> None:
    """Start the flow, SIGKILL it once training has left a checkpoint, and see everything go."""
    flow = subprocess.Popen(
        [sys.executable, "-m", "flows.pipeline"],
        cwd=root,
        env=environment(root, store),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 300
    while not list((root / "models").glob("checkpoints/*.safetensors")):
        assert flow.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    tree = psutil.Process(flow.pid).children(recursive=True)
    os.kill(flow.pid, signal.SIGKILL)
    flow.wait()
    assert psutil.wait_procs(tree, timeout=10)[1] == []


def test_a_corrupt_video_is_named_and_the_good_ones_go_on(tmp_path: Path, store: Path) -> None:
    root = make_project(tmp_path / "project")
    printed = succeed(root, store, "vgan", "preprocess")
    assert "not usable: street/broken.mp4: " in printed
    assert "3 videos (3 new or changed, 1 not usable)" in printed


@pytest.mark.parametrize(
    ("edits", "sentence"),
    [
        ({"max_failed_share: 0.5 ": "max_failed_share: 0.2 "}, "broken.mp4"),
        ({"  frames: 16 ": "  frames: 160 "}, "160"),
    ],
    ids=["too many corrupt", "clip longer than every video"],
)
def test_a_stage_that_cannot_go_on_ends_the_flow_with_its_sentence(
    tmp_path: Path, store: Path, edits: dict[str, str], sentence: str
) -> None:
    root = make_project(tmp_path / "project")
    text = (root / "params.yaml").read_text()
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new)
    (root / "params.yaml").write_text(text)
    answer = command(root, store, "flows.pipeline")
    assert answer.returncode == 2
    last = answer.stderr.strip().splitlines()
    words = [line for line in last if line.startswith("pipeline: stage preprocess failed: ")]
    assert len(words) == 1 and sentence in words[0], answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr
    assert not (root / "models").exists()


def test_without_git_the_flow_says_so_at_once(tmp_path: Path, store: Path) -> None:
    root = make_project(tmp_path / "project")
    shutil.rmtree(root / ".git")
    answer = command(root, store, "flows.pipeline")
    assert answer.returncode == 2
    assert answer.stderr.strip().startswith("pipeline: expected a git repository at")
