import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.footage_factory import scene
from vgan.preprocess.engine import workers_gone
from vgan.video import write_video

VGAN = [sys.executable, "-m", "vgan"]


def vgan(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*VGAN, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **environment},
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "presets" / "demo.yaml", tmp_path / "params.yaml")
    return tmp_path


def edit(project: Path, old: str, new: str) -> None:
    path = project / "params.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("command", ["demo-footage", "import", "preset", "preprocess", "train", "evaluate", "sample"])
def test_every_command_explains_itself_with_an_example(tmp_path: Path, command: str) -> None:
    answer = vgan(tmp_path, command, "--help")
    assert answer.returncode == 0
    assert f"Example: `vgan {command}" in answer.stdout or f"Examples: `vgan {command}" in answer.stdout
    assert command in vgan(tmp_path, "--help").stdout


@pytest.mark.parametrize("command", ["preprocess", "train", "evaluate", "sample"])
def test_a_misspelt_key_is_one_line_exit_2_and_nothing_written(project: Path, command: str) -> None:
    edit(project, "  channels:", "  chanels:")
    answer = vgan(project, command)
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[0] in (
        "vgan: params.yaml: train.channels: expected a value, the key is missing",
        "vgan: params.yaml: train.chanels: unknown key (did you mean channels?)",
    )
    assert "Traceback" not in answer.stderr
    assert [path.name for path in project.iterdir()] == ["params.yaml"]


def test_without_params_it_says_where_it_looked(tmp_path: Path) -> None:
    answer = vgan(tmp_path, "train")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("vgan: expected a params file at params.yaml, found none")


def test_a_preset_is_written_and_its_edits_are_kept_unless_forced(project: Path) -> None:
    paper = (ROOT / "presets" / "paper.yaml").read_text()
    answer = vgan(project, "preset", "paper")
    assert (answer.returncode, (project / "params.yaml").read_text()) == (0, paper)
    edit(project, "seed: 0", "seed: 41")
    edited = (project / "params.yaml").read_text()
    answer = vgan(project, "preset", "demo")
    assert answer.returncode == 2
    assert "has been edited and would be lost" in answer.stderr and "--force" in answer.stderr
    assert (project / "params.yaml").read_text() == edited
    assert vgan(project, "preset", "demo", "--force").returncode == 0
    assert (project / "params.yaml").read_bytes() == (ROOT / "presets" / "demo.yaml").read_bytes()


def test_an_unknown_preset_is_refused_with_the_known_ones(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    answer = vgan(project, "preset", "papier")
    assert answer.returncode == 2
    assert "expected one of the presets card, demo, future, paper" in answer.stderr and "'papier'" in answer.stderr
    assert (project / "params.yaml").read_bytes() == before


def test_a_preset_can_be_written_where_there_are_no_params(tmp_path: Path) -> None:
    assert vgan(tmp_path, "preset", "demo").returncode == 0
    assert (tmp_path / "params.yaml").read_bytes() == (ROOT / "presets" / "demo.yaml").read_bytes()


def test_no_footage_says_what_to_do(project: Path) -> None:
    for _ in range(2):
        answer = vgan(project, "preprocess")
        assert answer.returncode == 2
        assert "data/raw" in answer.stderr and "vgan demo-footage" in answer.stderr
        (project / "data" / "raw").mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize("share", ["0.5", "1.0"])
def test_footage_that_is_all_corrupt_is_named_with_what_to_do(project: Path, share: str) -> None:
    edit(project, "max_failed_share: 0.5", f"max_failed_share: {share}")
    raw = project / "data" / "raw"
    raw.mkdir(parents=True)
    (raw / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    (raw / "empty.avi").touch()
    answer = vgan(project, "preprocess")
    assert answer.returncode == 2
    last = answer.stderr.strip().splitlines()[-1]
    assert last.startswith("vgan: ") and "noise.mp4" in last + answer.stdout and "Traceback" not in answer.stderr
    assert (project / "data" / "clips" / "clips.parquet").exists()  # with each video's reason


def test_stages_out_of_turn_say_what_comes_first(project: Path) -> None:
    for command, word in (("train", "vgan preprocess"), ("evaluate", "vgan "), ("sample", "vgan train")):
        answer = vgan(project, command, MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
        assert answer.returncode == 2, answer.stderr
        assert word in answer.stderr and "Traceback" not in answer.stderr
        assert not (project / "mlflow.db").exists() and not (project / "run.json").exists()


def test_demo_footage_is_laid_and_described(project: Path) -> None:
    answer = vgan(project, "demo-footage")
    assert answer.returncode == 0
    files = sorted(path.relative_to(project / "data/raw").as_posix() for path in (project / "data/raw").rglob("*.mp4"))
    assert files == ["bunny/bigbuckbunny.mp4", "carphone/carphone_pristine.mp4"]
    assert all(file.split("/")[0] in answer.stdout for file in files)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_stage_ends_with_the_dvc_that_started_it(project: Path) -> None:
    """DVC dies by SIGKILL; its stage must not train on."""
    code = """
import subprocess, sys, time
stage = subprocess.Popen([sys.executable, "-c", '''
import time
from vgan.cli import _die_with_dvc
_die_with_dvc()
print("ready", flush=True)
time.sleep(300)
'''], stdout=subprocess.PIPE, text=True)
stage.stdout.readline()
print(stage.pid, flush=True)
time.sleep(300)
"""
    dvc = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"DVC_STAGE": "train", "PYTHONPATH": str(ROOT)},
    )
    assert dvc.stdout is not None
    stage = int(dvc.stdout.readline())
    os.kill(dvc.pid, signal.SIGKILL)
    dvc.wait()
    dvc.stdout.close()
    until = time.monotonic() + 10
    while Path(f"/proc/{stage}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{stage}").exists()


def test_preprocess_tidies_up_when_it_is_asked_to_end(project: Path) -> None:
    """Under DVC it is asked twice: by whoever stops it, and for DVC's death."""
    (project / "data/raw").mkdir(parents=True)
    write_video(project / "data/raw/long.mp4", np.stack([scene(1, 240, 320)] * 500), 25)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    stage = subprocess.Popen([*VGAN, "preprocess"], cwd=project, stderr=subprocess.PIPE, text=True, env=environment)
    ticks, lock = project / "data/.clips.frames", project / "data/.clips.workers.lock"
    until = time.monotonic() + 60
    while not (ticks.exists() and lock.exists() and not workers_gone(project / "data/clips")):
        assert time.monotonic() < until and stage.poll() is None
        time.sleep(0.02)
    stage.terminate()
    stage.terminate()
    _, said = stage.communicate(timeout=60)
    assert stage.returncode == 143
    assert "Traceback" not in said and "leaked" not in said
    assert not ticks.exists() and workers_gone(project / "data/clips")


def test_an_import_says_what_it_brought_and_fails_with_a_sentence(project: Path) -> None:
    (project / "mine/dance").mkdir(parents=True)
    (project / "mine/dance/x.mp4").write_bytes(b"video")
    answer = vgan(project, "import", "folder", "mine")
    assert answer.returncode == 0 and "folder: 1 files in data/raw (1 new, 0 there already)" in answer.stdout
    assert (project / "data/raw/dance/x.mp4").read_bytes() == b"video"
    answer = vgan(project, "import", "foldr", "mine")
    assert (answer.returncode, answer.stdout) == (2, "") and "did you mean folder?" in answer.stderr
    answer = vgan(project, "import", "ucf101", "mine", "--split", "4")
    assert answer.returncode == 2 and "Traceback" not in answer.stderr
