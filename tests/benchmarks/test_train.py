import json
import subprocess
import sys

import pytest
import torch

from benchmarks.train import PlainDiscriminator, PlainGenerator
from tests.conftest import ROOT
from vgan.models.discriminator import Discriminator
from vgan.models.generator import TwoStreamGenerator


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_reference_is_of_the_same_size_and_shape() -> None:
    plain, ours = PlainGenerator(64, 100, 32, 64), TwoStreamGenerator(channels=64, latent_dim=100, frames=32, size=64)
    assert count(plain) == count(ours) == 16_245_383
    judge = Discriminator(channels=64, frames=32, size=64, norm="batch")
    assert count(PlainDiscriminator(64, 32, 64)) == count(judge) == 11_057_858
    video, mask = PlainGenerator(2, 5, 32, 64)(torch.randn(2, 5))
    assert video.shape == (2, 3, 32, 64, 64) and mask.shape == (2, 1, 32, 64, 64)
    assert PlainDiscriminator(2, 32, 64)(video).shape == (2, 2)


def test_the_reference_composes_as_equation_1() -> None:
    plain = PlainGenerator(2, 5, 16, 16).eval()
    with torch.no_grad():
        plain.mask.weight.zero_()
        plain.mask.bias.fill_(-1e4)  # type: ignore[union-attr]  # it has one
        video, _ = plain(torch.randn(1, 5))
    torch.testing.assert_close(video, video[:, :, :1].expand_as(video))  # background only: the same in every frame


def test_quick_ends_with_one_line_of_json() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.train", "--quick"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    *lines, last = answer.stdout.splitlines()
    figures = json.loads(last)
    assert [line.split(":")[0] for line in lines] == list(figures)
    assert {name: figure["unit"] for name, figure in figures.items()} == {
        "tiny": "clips/s",
        "matmul_share": "GFLOP/s",
        "loader": "s",
        "sampling": "clips/s",
        "one_clip": "clips/s",
        "future": "clips/s",
        "memory": "MiB",
    }
    for name, figure in figures.items():
        less_is_more = name in ("loader", "memory")
        ratio = figure["ours"] / figure["reference"]
        assert figure["ratio"] == pytest.approx(1 / ratio if less_is_more else ratio)
        assert min(figure["ours"], figure["reference"]) > 0


def test_an_unknown_option_is_refused() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.train", "--fast"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode != 0 and "expected nothing or --quick" in answer.stderr
