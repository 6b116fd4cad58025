import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.evaluate.clips import moving_blobs, write_clips
from tests.evaluate.generators import CONTEXT, lively_generator
from vgan.clips.motion import moving_share
from vgan.clips.store import MIN_CLIPS
from vgan.config import EvaluateParams
from vgan.errors import VganError
from vgan.evaluate import features
from vgan.evaluate.distances import frechet, mean_distance, principal_directions
from vgan.evaluate.stage import run
from vgan.models.conditions import Conditions
from vgan.models.generator import generate
from vgan.models.weights import GeneratorInfo, save_generator

_PARAMS = EvaluateParams(seed=3, samples=16, directions=5, batch_size=8, precision="bf16")
_OUTPUT = ["evaluate.json", "motion.csv", "real_vs_generated.png", "spectrum.csv"]


def _generator(path: Path, kind: str = "two_stream", frames: int = 16) -> Path:
    info = GeneratorInfo(
        generator=kind, channels=2, latent_dim=5, frames=frames, size=32, fps=25.0, step=7, clips_digest="none"
    )
    network = lively_generator(kind, frames=frames)
    save_generator(path, network, replace(info, context=network.context))
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, moving_blobs(32, 0), moving_blobs(16, 1))
    return folder


@pytest.fixture(scope="module")
def evaluated(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    returned = run(_PARAMS, clips, _generator(folder / "generator.safetensors"), folder / "metrics")
    assert json.loads((folder / "metrics/evaluate.json").read_text()) == returned
    return folder


def _result(folder: Path) -> Any:
    return json.loads((folder / "metrics/evaluate.json").read_text())


@pytest.fixture(scope="module")
def points() -> dict[str, NDArray[np.float32]]:
    """Features of the same clips, without the stage."""
    trunk = features.load_trunk("bf16")
    sets = {"generated": _generated(), "held_out": moving_blobs(16, 1), "trained": moving_blobs(32, 0)}
    return {
        name: np.concatenate([features.embed(trunk, clips[i : i + 8]) for i in range(0, len(clips), 8)])
        for name, clips in sets.items()
    }


def _generated() -> NDArray[np.uint8]:
    return np.concatenate([b.numpy() for b in generate(lively_generator("two_stream"), 16, _PARAMS.seed, 16)])


def test_numbers_are_those_of_the_parts_put_together_by_hand(
    evaluated: Path, points: dict[str, NDArray[np.float32]]
) -> None:
    """All 16 held-out clips are judged and every training clip is in one of two halves of 16, whatever the lot."""
    result = _result(evaluated)
    directions = principal_directions(np.concatenate([points["held_out"], points["trained"]]), 5)
    distance = frechet(directions.project(points["generated"]), directions.project(points["held_out"]))
    assert result["frechet_transnetv2"]["model"] == pytest.approx(distance, rel=1e-3)
    diversity = result["diversity"]
    assert diversity["generated"] == pytest.approx(mean_distance(points["generated"]), rel=1e-4)
    assert diversity["held_out"] == pytest.approx(mean_distance(points["held_out"]), rel=1e-4)
    assert diversity["ratio"] == pytest.approx(diversity["generated"] / diversity["held_out"], rel=1e-4)
    assert result["motion"]["generated"] == pytest.approx(moving_share(_generated()).mean(), rel=1e-4)
    assert result["motion"]["held_out"] == pytest.approx(moving_share(moving_blobs(16, 1)).mean(), rel=1e-4)
    kept = directions.variance_kept(points["generated"])
    assert result["variance_judged"]["generated"] == pytest.approx(kept, rel=1e-3)


def test_floors_compare_disjoint_halves_of_the_training_clips(
    evaluated: Path, points: dict[str, NDArray[np.float32]]
) -> None:
    """The lot is not known here, but the mean over both halves is: it ties `train` to the training clips."""
    distances = _result(evaluated)["frechet_transnetv2"]
    assert set(distances) == {"model", "floor", "model_to_train", "floor_to_train"}
    assert 0 < distances["floor"] < distances["model"] / 2
    assert 0 < distances["floor_to_train"] < distances["model_to_train"] / 2
    assert _result(evaluated)["diversity"]["train"] == pytest.approx(mean_distance(points["trained"]), rel=0.2)


def test_protocol_tells_what_the_numbers_depend_on(evaluated: Path) -> None:
    protocol = _result(evaluated)["protocol"]
    assert protocol["clips"] == {"generated": 16, "held_out": 16, "reference": 16, "train": 16}
    assert {key: protocol[key] for key in ("directions", "frames", "size", "precision", "generator_step")} == {
        "directions": 5,
        "frames": 16,
        "size": 32,
        "precision": "bf16",
        "generator_step": 7,
    }
    assert "transnetv2" in protocol["network"] and "48x27" in protocol["resize"]


def test_mask_coverage_lies_between_none_and_all(evaluated: Path) -> None:
    mask = _result(evaluated)["mask"]
    assert set(mask) == {"mean", "above_half"}
    assert 0 < mask["mean"] < 1


def test_curves_agree_with_the_numbers(evaluated: Path, points: dict[str, NDArray[np.float32]]) -> None:
    with (evaluated / "metrics/motion.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["share_of_clips", "held_out", "train", "generated"]
    assert [float(row["share_of_clips"]) for row in rows] == pytest.approx(np.linspace(0, 1, 21))
    expected = np.quantile(moving_share(moving_blobs(16, 1)), np.linspace(0, 1, 21))
    assert [float(row["held_out"]) for row in rows] == pytest.approx(expected, rel=1e-3)
    with (evaluated / "metrics/spectrum.csv").open() as file:
        spectrum = list(csv.DictReader(file))
    assert [row["direction"] for row in spectrum] == ["1", "2", "3", "4", "5"]
    total = sum(float(row["generated"]) for row in spectrum)
    assert total / points["generated"].astype(float).var(0).sum() == pytest.approx(
        _result(evaluated)["variance_judged"]["generated"], rel=1e-3
    )


def test_picture_shows_generated_clips_on_the_right(evaluated: Path) -> None:
    picture = cv2.imread(str(evaluated / "metrics/real_vs_generated.png"), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    first = _generated()[0, 0].repeat(2, 0).repeat(2, 1)  # 32 pixels are shown as 64
    side = 6 * 64 + 5 * 2
    top = picture.shape[0] - side
    assert np.array_equal(picture[top : top + 64, -side : -side + 64], first)


def test_second_run_writes_the_same_bytes_and_nothing_else(clips: Path, evaluated: Path, tmp_path: Path) -> None:
    run(_PARAMS, clips, evaluated / "generator.safetensors", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == _OUTPUT
    for name in _OUTPUT:
        assert (tmp_path / name).read_bytes() == (evaluated / "metrics" / name).read_bytes(), name


def test_one_stream_has_no_mask_and_small_sets_give_fewer_directions(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips", moving_blobs(2 * MIN_CLIPS, 0), moving_blobs(MIN_CLIPS + 1, 1))
    params = EvaluateParams(seed=0, samples=99, directions=64, batch_size=4, precision="bf16")
    result: Any = run(params, tmp_path / "clips", _generator(tmp_path / "g", "one_stream"), tmp_path / "metrics")
    assert result["mask"] is None
    assert result["protocol"]["clips"] == {"generated": 8, "held_out": 9, "reference": 8, "train": 8}
    assert result["protocol"]["directions"] == MIN_CLIPS // 2


def test_a_conditional_generator_goes_on_from_held_out_clips_and_for_train_from_train(tmp_path: Path) -> None:
    """All 8 held-out clips and all 16 training clips are in the sets, whatever the lot."""
    held_out, trained = moving_blobs(8, 1), moving_blobs(16, 0)
    write_clips(tmp_path / "clips", trained, held_out)
    params = _PARAMS.model_copy(update={"samples": 99, "directions": 3})
    path = _generator(tmp_path / "g", "content_motion")
    result: Any = run(params, tmp_path / "clips", path, tmp_path / "metrics")
    assert result["protocol"]["clips"] == dict.fromkeys(
        ["generated", "generated_from_train", "held_out", "reference", "train"], 8
    )
    assert result["protocol"]["given_frames"] == CONTEXT
    picture = cv2.imread(str(tmp_path / "metrics/real_vs_generated.png"), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    side = 6 * 64 + 5 * 2
    top = picture.shape[0] - side
    real, generated = picture[top:, :side], picture[top:, -side:]
    assert np.array_equal(real[:, :64], generated[:, :64])  # first frames: what is given
    assert not np.array_equal(real[:, -64:], generated[:, -64:])
    network = lively_generator("content_motion")
    places = [next(i for i in range(8) if np.array_equal(_shown(real, row), held_out[i, 0])) for row in range(6)]
    given = Conditions(torch.from_numpy(held_out[places][:, :CONTEXT]))
    videos = torch.cat(list(generate(network, 6, params.seed, 8, given))).numpy()
    for row, video in enumerate(videos):
        assert np.array_equal(_shown(generated, row, column=5), video[-1])
    assert set(result["diversity"]) == {"generated", "held_out", "train", "ratio"}
    assert 0 < result["mask"]["mean"] < 1
    distances = result["frechet_transnetv2"]
    assert distances["model"] != distances["model_to_train"] and min(distances.values()) > 0


def _shown(half: NDArray[np.uint8], row: int, column: int = 0) -> NDArray[np.uint8]:
    """The frame in a row and column of one half of the picture, where 32 pixels are shown as 64."""
    frame: NDArray[np.uint8] = half[row * 66 : row * 66 + 64 : 2, column * 66 : column * 66 + 64 : 2]
    return frame


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (2 * MIN_CLIPS, MIN_CLIPS - 1, "8 held-out clips to judge by, got 7: raise preprocess.test_share"),
        (2 * MIN_CLIPS, 0, "8 held-out clips to judge by, got 0"),
        (2 * MIN_CLIPS - 1, MIN_CLIPS, "16 training clips to judge by, got 15: lower preprocess.test_share"),
    ],
)
def test_too_few_clips_are_a_sentence(tmp_path: Path, train: int, test: int, said: str) -> None:
    write_clips(tmp_path / "clips", moving_blobs(train, 0), moving_blobs(test, 1))
    with pytest.raises(VganError, match=said):
        run(_PARAMS, tmp_path / "clips", _generator(tmp_path / "g"), tmp_path / "metrics")
    assert not (tmp_path / "metrics").exists()


def test_generator_of_other_clips_is_a_sentence(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(VganError, match="16 frames of 32 pixels, got one of 32 frames of 32: train again"):
        run(_PARAMS, clips, _generator(tmp_path / "g", frames=32), tmp_path / "metrics")
