"""Every generator through all four stages, small: footage in, videos out; stopped on the way, and alone at the end."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.footage_factory import filmed, params, scene, shake, with_passer
from tests.train.conftest import PARAMS
from vgan.config import EvaluateParams, SampleParams, TrainParams
from vgan.errors import VganError
from vgan.evaluate.stage import run as evaluate
from vgan.models.weights import load_generator
from vgan.preprocess.stage import run as preprocess
from vgan.sample import run as sample
from vgan.train.stage import run as train
from vgan.train.tracker import NoTracker
from vgan.video import write_video

_KINDS: dict[str, dict[str, object]] = {
    "one_stream": {"generator": "one_stream"},
    "future": {"generator": "future", "latent_dim": 0, "mask_weight": 0.0, "show_condition": False},
    "content_motion": {"generator": "content_motion", "context": 6, "loss": "relativistic", "precision": "bf16"},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first stage makes of two videos."""
    root = tmp_path_factory.mktemp("footage")
    for seed in (1, 2):
        write_video(root / "raw" / f"{seed}.mp4", with_passer(filmed(scene(seed), shake(90, seed))), 25.0)
    preprocess(params(stride=4, test_by="time", test_share=0.4), root / "raw", root / "clips", workers=1)
    return root / "clips"


def _train(clips: Path, models: Path, changes: dict[str, object]) -> TrainParams:
    section = PARAMS.model_copy(
        update={"batch_size": 4, "steps": 4, "checkpoint_every": 2, "sample_every": 2, **changes}
    )
    train(section, clips, models, tracker=NoTracker())
    return section


@pytest.mark.parametrize("kind", _KINDS)
def test_goes_through_all_stages_and_a_stop_changes_nothing(kind: str, clips: Path, tmp_path: Path) -> None:
    changes = _KINDS[kind]
    section = _train(clips, tmp_path / "models", changes)
    _train(clips, tmp_path / "parted", {**changes, "steps": 3})
    _train(clips, tmp_path / "parted", changes)
    names = [path.relative_to(tmp_path / "models") for path in (tmp_path / "models").rglob("*") if path.is_file()]
    assert {name.as_posix() for name in names} >= {"generator.safetensors", "samples/step-00000002.png"}
    for name in names:
        assert (tmp_path / "models" / name).read_bytes() == (tmp_path / "parted" / name).read_bytes(), name

    alone = tmp_path / "alone" / "generator.safetensors"  # what it is, it tells by itself
    alone.parent.mkdir()
    shutil.copy(tmp_path / "models" / "generator.safetensors", alone)
    network, info = load_generator(alone)
    assert (info.generator, info.latent_dim, info.step) == (section.generator, section.latent_dim, 4)
    assert info.context == network.context == {"future": 1, "content_motion": section.context}.get(info.generator, 0)

    judged = EvaluateParams(seed=0, samples=16, directions=4, batch_size=8, precision="bf16")
    result: Any = evaluate(judged, clips, alone, tmp_path / "metrics")
    assert all(math.isfinite(value) and value > 0 for value in result["frechet_transnetv2"].values())
    assert (result["mask"] is None) == (info.generator == "one_stream")

    files = sample(SampleParams(seed=0, count=2, streams=1), alone, tmp_path / "samples", clips=clips)
    made = {path.relative_to(tmp_path / "samples").as_posix() for path in files}
    assert {"video-000.mp4", "video-001.mp4", "grid.gif", "grid.png"} <= made
    assert ("streams/video-000-mask.mp4" in made) == (info.generator != "one_stream")
    assert ("given/video-001.png" in made) == (info.context > 0)


def test_what_does_not_fit_the_clips_is_a_sentence(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(VganError, match=r"a context of 1 to 15 of the 16 frames of a clip, got 16: the clips in the"):
        _train(clips, tmp_path / "models", {"generator": "content_motion", "context": 16})
    with pytest.raises(VganError, match=r"got 12 frames of size 16: .*train\.show_condition"):
        _train(clips, tmp_path / "models", {"generator": "content_motion", "context": 4, "show_condition": False})
