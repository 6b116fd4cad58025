"""Two processes train as one does; a killed one is started again and goes on."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.train.ranked import GIVEN, SHARED
from vgan.config import TrainParams
from vgan.models import tensorfile
from vgan.train.ranks import ALONE, Ranks, connected
from vgan.train.stage import run
from vgan.train.tracker import NoTracker


@pytest.fixture(scope="module")
def two(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models folder of a training by two processes."""
    models = tmp_path_factory.mktemp("two") / "models"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "tests.train.ranked", "check", str(clips), str(models)]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **world, "RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        said = [process.communicate(timeout=60)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    assert "train" in said[0] and "train [" not in said[1]
    return models


def _rows(models: Path) -> np.ndarray:
    return np.genfromtxt(models / "history.csv", delimiter=",", names=True)


@pytest.mark.parametrize(("params", "name"), [(SHARED, "models"), (GIVEN, "models-given")], ids=["noise", "given"])
def test_two_halves_are_one_batch(params: TrainParams, name: str, two: Path, clips: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    run(params, clips, tmp_path / "models", tracker=NoTracker())
    two = two.with_name(name)
    ours, theirs = _rows(two), _rows(tmp_path / "models")
    assert ours.dtype.names == theirs.dtype.names and ours.dtype.names is not None and len(ours) == 3
    for name in ours.dtype.names:
        if name != "diversity":  # measured against the first process's clips alone
            np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-3, atol=1e-4, err_msg=name)
    one, other = (tensorfile.read(models / "generator.safetensors")[0] for models in (two, tmp_path / "models"))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-2, atol=1e-3)


def test_a_killed_process_is_started_again_and_goes_on(two: Path, clips: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "--max-restarts", "1", "-m", "tests.train.ranked", "die", str(clips), str(models)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=180)
    assert answer.returncode == 0, answer.stderr
    assert "goes on after step 4" in answer.stderr
    for name in ("generator.safetensors", "history.csv", "checkpoints/step-00000006.safetensors"):
        assert (models / name).read_bytes() == (two / name).read_bytes(), name


def test_alone_there_is_nothing_to_agree_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with connected() as ranks:
        assert ranks is ALONE
    value = torch.tensor([2.0])
    ALONE.average([value])
    assert value.item() == 2.0 and ALONE.any(True) and not ALONE.any(False)
    assert ALONE.from_first(b"x") == b"x"


def test_shares_part_every_batch() -> None:
    batch = np.arange(12)
    shares = [batch[Ranks(rank, 3).share] for rank in range(3)]
    assert sorted(np.concatenate(shares)) == batch.tolist()
    # So that the first half of every share is the first half of the batch.
    assert sorted(np.concatenate([share[:2] for share in shares])) == batch[:6].tolist()
