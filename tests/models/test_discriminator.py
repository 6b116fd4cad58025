import pytest
import torch
from torch import nn

from vgan.models.discriminator import FAKE, REAL, Discriminator
from vgan.models.spectral import SpectralConv3d


def test_has_the_papers_parameters() -> None:
    convolutions = [3 * 64, 64 * 128, 128 * 256, 256 * 512]
    biases, norms = 64 + 128 + 256 + 512, 2 * (128 + 256 + 512)
    expected = 64 * sum(convolutions) + biases + norms + 512 * 2 * 2 * 4 * 4 + 2
    network = Discriminator(channels=64, frames=32, size=64, norm="batch")
    assert sum(weight.numel() for weight in network.parameters()) == expected == 11_057_858


def test_has_the_papers_shapes() -> None:
    network = Discriminator(channels=64, frames=32, size=64, norm="batch")
    with torch.no_grad():
        features = network.features(torch.zeros(2, 3, 32, 64, 64))
        logits = network(torch.zeros(2, 3, 32, 64, 64))
    assert [tuple(feature.shape) for feature in features] == [
        (2, 64, 16, 32, 32),
        (2, 128, 8, 16, 16),
        (2, 256, 4, 8, 8),
        (2, 512, 2, 4, 4),
    ]
    assert logits.shape == (2, 2)


def test_norms_are_the_authors() -> None:
    network = Discriminator(channels=4, frames=16, size=16, norm="batch")
    kinds = [[type(layer) for layer in block] for block in network.layers]  # type: ignore[attr-defined]
    assert kinds == [[nn.Conv3d, nn.LeakyReLU], *[[nn.Conv3d, nn.BatchNorm3d, nn.LeakyReLU]] * 3]
    assert {layer.eps for layer in network.modules() if isinstance(layer, nn.BatchNorm3d)} == {1e-3}
    assert {layer.negative_slope for layer in network.modules() if isinstance(layer, nn.LeakyReLU)} == {0.2}


def test_verdict_reads_the_last_features() -> None:
    network = Discriminator(channels=2, frames=32, size=32, norm="batch").eval()
    video = torch.randn(3, 3, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        last = network.features(video)[-1]
        weight, bias = network.verdict.parameters()
        expected = torch.einsum("bcthw,octhw->bo", last, weight) + bias
        torch.testing.assert_close(network(video), expected)
    assert (REAL, FAKE) == (0, 1)


def test_shape_must_fit_four_halvings() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        Discriminator(channels=4, frames=16, size=40, norm="batch")


def test_unknown_norm() -> None:
    with pytest.raises(ValueError, match="got 'layer'"):
        Discriminator(channels=4, frames=16, size=16, norm="layer")


def test_spectral_norm_takes_the_place_of_batch_norm() -> None:
    batch, spectral = (Discriminator(channels=4, frames=16, size=16, norm=norm) for norm in ("batch", "spectral"))
    kinds = [[type(layer) for layer in block] for block in spectral.layers]  # type: ignore[attr-defined]
    assert kinds == [[SpectralConv3d, nn.LeakyReLU]] * 4 and isinstance(spectral.verdict, SpectralConv3d)
    video = torch.randn(2, 3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    shapes = [[feature.shape for feature in network.features(video)] for network in (batch, spectral)]
    assert shapes[0] == shapes[1] and spectral(video).shape == (2, 2)


def test_no_norm_judges_each_clip_alone() -> None:
    network = Discriminator(channels=4, frames=16, size=16, norm="none")
    kinds = [[type(layer) for layer in block] for block in network.layers]  # type: ignore[attr-defined]
    assert kinds == [[nn.Conv3d, nn.LeakyReLU]] * 4
    video = torch.randn(3, 3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(video)[:1], network(video[:1]))
