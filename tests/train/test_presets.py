"""Each preset trains, is stopped and goes on bit for bit, at a reduced size."""

from pathlib import Path

import pytest

from tests.conftest import ROOT
from vgan.config import TrainParams, load
from vgan.train.stage import run
from vgan.train.tracker import NoTracker

PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
_SMALL = {"channels": 2, "latent_dim": 5, "batch_size": 4, "device": "cpu", "steps": 5, "decay_steps": 0}
_OFTEN = {"log_every": 2, "sample_every": 3, "checkpoint_every": 2, "max_minutes": 0.0}


def _params(preset: Path, **changes: object) -> TrainParams:
    return load(preset).train.model_copy(update={**_SMALL, **_OFTEN, **changes})


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_trains_and_goes_on_as_if_never_stopped(preset: Path, clips: Path, tmp_path: Path) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    run(_params(preset), clips, whole, tracker=NoTracker())
    run(_params(preset, steps=3), clips, parted, tracker=NoTracker())
    run(_params(preset), clips, parted, tracker=NoTracker())
    for name in ("generator.safetensors", "history.csv", "checkpoints/step-00000005.safetensors"):
        assert (parted / name).read_bytes() == (whole / name).read_bytes(), name
    rows = (whole / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2", "4"]
