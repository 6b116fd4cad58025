import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest
import torch
from filelock import FileLock
from numpy.typing import NDArray

from tests.train.conftest import FRAMES, PARAMS, SIZE, TRAIN_CLIPS
from vgan.clips.batches import ClipBatches
from vgan.clips.store import ClipStore
from vgan.errors import VganError
from vgan.models.generator import generate
from vgan.models.weights import GeneratorInfo, load_generator
from vgan.pictures import tile
from vgan.train import loop
from vgan.train.export import finished_generator
from vgan.train.stage import run
from vgan.train.state import TrainState, new_state
from vgan.train.step import train_step
from vgan.train.tracker import NoTracker


class _Recorder:
    """Remembers what training told it, and runs `act` at each row of figures."""

    def __init__(self, act: Callable[[int], None] = lambda step: None) -> None:
        self.started: list[tuple[str, dict[str, str]]] = []
        self.figures: dict[int, dict[str, float]] = {}
        self.pictures: dict[int, NDArray[np.uint8]] = {}
        self._act = act

    def start(self, fingerprint: str, inputs: dict[str, str]) -> None:
        self.started.append((fingerprint, inputs))

    def metrics(self, step: int, values: dict[str, float]) -> None:
        self.figures[step] = values
        self._act(step)

    def image(self, name: str, step: int, image: NDArray[np.uint8]) -> None:
        assert name == "samples"
        self.pictures[step] = image


def _content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _run(clips: Path, models: Path, **changes: object) -> None:
    run(PARAMS.model_copy(update=changes), clips, models, tracker=NoTracker())


@pytest.fixture(scope="session")
def whole(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], _Recorder]:
    """Files and messages of a training that nothing interrupted."""
    torch.set_num_threads(1)
    models, recorder = tmp_path_factory.mktemp("whole") / "models", _Recorder()
    run(PARAMS, clips, models, tracker=recorder)
    return _content(models), recorder


def test_leaves_these_files(whole: tuple[dict[str, bytes], _Recorder]) -> None:
    files, recorder = whole
    pictures = [f"samples/step-{step:08d}.png" for step in (3, 6, 9)]
    checkpoints = [f"checkpoints/step-{step:08d}.safetensors" for step in (8, 11)]
    assert sorted(files) == sorted(["generator.safetensors", "history.csv", *pictures, *checkpoints])
    lines = files["history.csv"].decode().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "2", "4", "6", "8", "10"]
    for line in lines[1:]:
        step, *values = line.split(",")
        told = dict(recorder.figures[int(step)])
        assert told.pop("clips_per_second") > 0
        row = {name: float(value) for name, value in zip(lines[0].split(",")[1:], values, strict=True) if value}
        assert row == pytest.approx(told, rel=1e-5)


def test_is_the_loop_written_out(whole: tuple[dict[str, bytes], _Recorder], clips: Path, tmp_path: Path) -> None:
    store = ClipStore(clips)
    batches = ClipBatches(store, np.arange(TRAIN_CLIPS), 3, PARAMS.seed)
    state = new_state(PARAMS, frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    for _ in range(PARAMS.steps):
        train_step(state, torch.from_numpy(batches.next()), params=PARAMS)
    path = tmp_path / "generator.safetensors"
    path.write_bytes(whole[0]["generator.safetensors"])
    network, info = load_generator(path)
    assert info == GeneratorInfo("two_stream", 2, 5, FRAMES, SIZE, 25.0, 11, store.digest)
    expected = finished_generator(state).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())


def test_tells_the_tracker_what_it_trains(whole: tuple[dict[str, bytes], _Recorder], clips: Path) -> None:
    ((fingerprint, inputs),) = whole[1].started
    assert len(fingerprint) == 64
    assert inputs.keys() == {"clips", "code"} and inputs["clips"] == ClipStore(clips).digest


def test_pictures_show_first_middle_and_last_frame(
    whole: tuple[dict[str, bytes], _Recorder], clips: Path, tmp_path: Path
) -> None:
    files, recorder = whole
    _run(clips, tmp_path / "models", steps=3)
    network, _ = load_generator(tmp_path / "models" / "generator.safetensors")
    videos = torch.cat(list(generate(network, 16, 2, 16))).numpy()
    expected = tile(np.concatenate([videos[:, [t]] for t in (0, 8, 15)], axis=3), 4)[0]
    assert np.array_equal(recorder.pictures[3], expected)
    png = cv2.imdecode(np.frombuffer(files["samples/step-00000003.png"], np.uint8), cv2.IMREAD_COLOR)
    assert png is not None and np.array_equal(png[..., ::-1], expected)


@pytest.mark.parametrize(("number", "step"), [(signal.SIGTERM, 2), (signal.SIGINT, 6), (signal.SIGTERM, 10)])
def test_signal_saves_and_going_on_leaves_the_same_bytes(
    number: signal.Signals,
    step: int,
    whole: tuple[dict[str, bytes], _Recorder],
    clips: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models = tmp_path / "models"
    stopper = _Recorder(lambda now: os.kill(os.getpid(), number) if now == step else None)
    with pytest.raises(SystemExit) as caught:
        run(PARAMS, clips, models, tracker=stopper)
    assert caught.value.code == 128 + number
    assert f"stopped by {number.name} after step {step}" in capsys.readouterr().err
    assert (models / f"checkpoints/step-{step:08d}.safetensors").exists()
    assert not (models / "generator.safetensors").exists()
    recorder = _Recorder()
    run(PARAMS, clips, models, tracker=recorder)
    assert f"goes on after step {step}" in capsys.readouterr().err
    assert _content(models) == whole[0]
    assert list(recorder.figures) == [row for row in (2, 4, 6, 8, 10) if row > step]
    assert recorder.started == whole[1].started


_KILLED = """
import os, signal, sys, torch
from pathlib import Path
from tests.train.conftest import PARAMS
from vgan.train.stage import run
from vgan.train.tracker import NoTracker
torch.set_num_threads(1)
left, replace = int(sys.argv[3]), os.replace
def replace_and_die(*names):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)
os.replace = replace_and_die
print("ready", flush=True)
run(PARAMS, Path(sys.argv[1]), Path(sys.argv[2]), tracker=NoTracker())
"""


def _start(clips: Path, models: Path, writes: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _KILLED, str(clips), str(models), str(writes)]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def test_kills_leave_the_same_bytes(whole: tuple[dict[str, bytes], _Recorder], clips: Path, tmp_path: Path) -> None:
    """Killed before its second and fourth write, then at a random moment, in one row."""
    models = tmp_path / "models"
    for writes in (1, 3):
        with _start(clips, models, writes) as process:
            process.wait(60)
        assert process.returncode == -signal.SIGKILL
    assert list(models.rglob(".*.partial"))
    with _start(clips, models, 1000) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.uniform(0, 1))
        process.kill()
    _run(clips, models)
    assert _content(models) == whole[0]


def test_damaged_checkpoint_and_rows_beyond_it(
    whole: tuple[dict[str, bytes], _Recorder], clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    _run(clips, models)
    newest = models / "checkpoints/step-00000011.safetensors"
    newest.write_bytes(newest.read_bytes()[:-9])
    seen: list[str] = []
    run(PARAMS, clips, models, tracker=_Recorder(lambda _: seen.append((models / "history.csv").read_text())))
    said = capsys.readouterr().err
    assert f"{newest} is damaged" in said and "goes on after step 8" in said
    assert seen[0].splitlines()[-1].startswith("8,")
    assert _content(models) == whole[0]


def test_finished_training_does_no_step_again(
    whole: tuple[dict[str, bytes], _Recorder], clips: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    _run(clips, models)
    (models / "generator.safetensors").unlink()
    with patch.object(loop, "train_step", side_effect=AssertionError):
        _run(clips, models)
    assert _content(models) == whole[0]


def test_more_steps_go_on_and_fewer_begin_again(
    whole: tuple[dict[str, bytes], _Recorder], clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    _run(clips, models, steps=7)
    capsys.readouterr()
    _run(clips, models)
    assert "goes on after step 7" in capsys.readouterr().err
    assert _content(models) == whole[0]
    _run(clips, models, steps=5)
    said = capsys.readouterr().err
    assert "is beyond the 5 steps asked for" in said and "starts afresh" in said
    _run(clips, tmp_path / "five", steps=5)
    assert _content(models) == _content(tmp_path / "five")


def test_other_params_start_afresh_and_keep_old_checkpoints_for_a_while(
    whole: tuple[dict[str, bytes], _Recorder], clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    _run(clips, models)
    there: list[list[str]] = []
    watcher = _Recorder(lambda _: there.append(sorted(path.name for path in models.rglob("*.*"))))
    capsys.readouterr()
    run(PARAMS.model_copy(update={"mask_weight": 0.2}), clips, models, tracker=watcher)
    said = capsys.readouterr().err
    assert "of another training (train.mask_weight was 0.1 and is 0.2)" in said and "starts afresh" in said
    assert there[0] == ["step-00000008.safetensors", "step-00000011.safetensors"]
    _run(clips, tmp_path / "alone", mask_weight=0.2)
    assert _content(models) == _content(tmp_path / "alone") != whole[0]


def test_time_limit_ends_as_if_finished(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = tmp_path / "models"
    with patch("vgan.train.stopping.Stop.out_of_time", property(lambda _: (models / "samples").exists())):
        _run(clips, models, max_minutes=0.5)
    assert "train.max_minutes = 0.5 is over: ends after 3 of 11 steps" in capsys.readouterr().err
    assert load_generator(models / "generator.safetensors")[1].step == 3
    assert (models / "checkpoints/step-00000003.safetensors").exists()


def test_diverged_training_keeps_the_last_good_checkpoint(clips: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"

    def spoil(state: TrainState, *args: object, **kwargs: object) -> None:
        if state.step == 4:
            state.generator.motion_head.weight.data.fill_(torch.nan)
        train_step(state, *args, **kwargs)  # type: ignore[arg-type]

    with (
        patch.object(loop, "train_step", spoil),
        pytest.raises(VganError, match=r"a loss or gradient is not a finite number at step 5.*lower train\.learning"),
    ):
        _run(clips, models)
    assert [path.name for path in (models / "checkpoints").iterdir()] == ["step-00000004.safetensors"]
    with (
        patch.object(loop, "train_step", spoil),
        pytest.raises(VganError, match=r"at step 5.*"),
    ):
        _run(clips, models, log_every=100, checkpoint_every=5)


def test_weights_that_are_not_finite_are_not_saved(clips: Path, tmp_path: Path) -> None:
    def spoil(state: TrainState, *args: object, **kwargs: object) -> None:
        train_step(state, *args, **kwargs)  # type: ignore[arg-type]
        state.average[0].fill_(torch.inf)

    with (
        patch.object(loop, "train_step", spoil),
        pytest.raises(VganError, match=r"average\.0 is not a finite number at step 4"),
    ):
        _run(clips, tmp_path / "models", sample_every=100)


def test_second_writer_waits_or_fails(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = tmp_path / "models"
    _run(clips, models, steps=1)
    with FileLock(tmp_path / "models.lock"), pytest.raises(VganError, match=f"process {os.getpid()} has held it"):
        run(PARAMS, clips, models, tracker=NoTracker(), lock_wait_s=0.2)
    assert f"waits for process {os.getpid()}" in capsys.readouterr().err
    _run(clips, models, steps=2)
    assert load_generator(models / "generator.safetensors")[1].step == 2


def test_needs_training_clips_and_the_device_asked_for(clips: Path, tmp_path: Path) -> None:
    with (
        patch.object(ClipStore, "indices", lambda *_: np.empty(0, np.int64)),
        pytest.raises(VganError, match=r"lower preprocess\.test_share"),
    ):
        _run(clips, tmp_path / "models")
    with (
        patch("torch.cuda.is_available", lambda: False),
        pytest.raises(VganError, match=r"train\.device: expected a CUDA device"),
    ):
        _run(clips, tmp_path / "models", device="cuda")


def test_warns_once_of_samples_that_are_all_alike(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = _Recorder()
    with patch.object(loop, "diversity", lambda samples, real: 0.02 if samples.shape[0] == 16 else 1.0):
        run(PARAMS.model_copy(update={"log_every": 1}), clips, tmp_path / "models", tracker=recorder)
    said = capsys.readouterr().err
    assert said.count("train: warning at step 6: the generated videos are nearly all alike") == 1
    assert said.count("warning") == 1
    assert [step for step, figures in recorder.figures.items() if "diversity" in figures] == [3, 6, 9]
    lines = (tmp_path / "models/history.csv").read_text().splitlines()
    assert [line.split(",")[-1] for line in lines[1:7]] == ["", "", "0.02", "", "", "0.02"]


def test_shard_that_vanishes_under_way_is_told_and_costs_nothing(
    whole: tuple[dict[str, bytes], _Recorder], clips: Path, tmp_path: Path
) -> None:
    copied, models = tmp_path / "clips", tmp_path / "models"
    shutil.copytree(clips, copied)
    shard = copied / "shards/k-00000.tar"
    content = shard.read_bytes()
    cutter = _Recorder(lambda step: os.truncate(shard, 30_000) if step == 6 else None)
    with pytest.raises(VganError, match=r"training stops after step [67]: the shard .*cut short.*started again"):
        run(PARAMS, copied, models, tracker=cutter)
    assert (models / "checkpoints/step-00000004.safetensors").exists()
    shard.write_bytes(content)
    _run(copied, models)
    assert _content(models) == whole[0]


_FULL = """
import resource, sys, torch
from pathlib import Path
from unittest.mock import patch
from tests.train.conftest import PARAMS
from vgan import cli
from vgan.train import checkpoint
from vgan.train.stage import run
from vgan.train.tracker import NoTracker
torch.set_num_threads(1)
save = checkpoint.save
def save_little(folder, state, *rest):
    if state.step > 4:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    return save(folder, state, *rest)
checkpoint.save = save_little
with patch.object(cli, "app", lambda: run(PARAMS, Path(sys.argv[1]), Path(sys.argv[2]), tracker=NoTracker())):
    cli.main()
"""


def test_full_disk_is_told_and_the_last_checkpoint_stays(
    whole: tuple[dict[str, bytes], _Recorder], clips: Path, tmp_path: Path
) -> None:
    """A file that may not grow, which Linux can do to us without a disk of our own."""
    models = tmp_path / "models"
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", _FULL, str(clips), str(models)]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert answer.returncode == 2, answer.stderr
    assert "vgan: File too large: what was finished is kept; free space" in answer.stderr
    assert [path.name for path in (models / "checkpoints").iterdir()] == ["step-00000004.safetensors"]
    _run(clips, models)
    assert _content(models) == whole[0]
