import pytest
import torch
from torch import nn

from vgan.models.discriminator import Discriminator
from vgan.models.future import FutureGenerator
from vgan.models.generator import TwoStreamGenerator
from vgan.models.initialisation import initialise
from vgan.models.spectral import SpectralConv3d


@pytest.mark.parametrize(
    "network",
    [
        TwoStreamGenerator(channels=16, latent_dim=100, frames=32, size=64),
        Discriminator(channels=16, frames=32, size=64, norm="batch"),
    ],
)
def test_follows_the_paper(network: nn.Module) -> None:
    initialise(network, torch.Generator().manual_seed(0))
    norms, convolutions = 0, 0
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            norms += 1
            assert abs(layer.weight.mean() - 1) < 0.02 and 0.01 < layer.weight.std() < 0.03
            assert not layer.bias.any()
        elif list(layer.parameters(recurse=False)):
            convolutions += 1
            weight, bias = layer.parameters(recurse=False)
            assert abs(weight.mean()) < 1e-3 and 0.0095 < weight.std() < 0.0105
            assert not bias.any()
    assert (norms, convolutions) in {(8, 10), (3, 5)}


def test_seed_decides_and_global_seed_does_not() -> None:
    def first_weight(seed: int) -> torch.Tensor:
        network = Discriminator(channels=4, frames=16, size=16, norm="batch")
        initialise(network, torch.Generator().manual_seed(seed))
        return next(network.parameters()).detach()

    assert torch.equal(first_weight(3), first_weight(3))
    assert not torch.equal(first_weight(3), first_weight(4))


def test_spectral_convolutions_are_drawn_by_their_inputs() -> None:
    network = Discriminator(channels=16, frames=32, size=64, norm="spectral")
    initialise(network, torch.Generator().manual_seed(0))
    layers = [layer for layer in network.modules() if isinstance(layer, SpectralConv3d)]
    for layer, inputs in zip(layers, [3, 16, 32, 64], strict=False):
        assert layer.weight.std().item() == pytest.approx((2 / (1.04 * inputs * 64)) ** 0.5, rel=0.03)
        assert layer.bias is not None and not layer.bias.any()
        assert layer.left.norm().item() == pytest.approx(1) and layer.left.std() > 0
    assert len(layers) == 5


def test_convolutions_without_batch_norm_are_drawn_by_their_inputs() -> None:
    network = Discriminator(channels=16, frames=32, size=64, norm="none")
    initialise(network, torch.Generator().manual_seed(0))
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv3d)]
    for layer, inputs in zip(layers, [3, 16, 32, 64], strict=False):
        assert layer.weight.std().item() == pytest.approx((2 / (1.04 * inputs * 64)) ** 0.5, rel=0.03)
        assert layer.bias is not None and not layer.bias.any()
    # So that what comes out is as large as what goes in, which 0.01 would shrink hundreds of times.
    clips = torch.randn(4, 3, 32, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert 0.3 < network.features(clips)[-1].square().mean().sqrt() < 3


def test_a_picture_encoders_convolutions_are_drawn_as_the_others() -> None:
    network = FutureGenerator(channels=16, latent_dim=0, frames=16, size=16)
    initialise(network, torch.Generator().manual_seed(0))
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) == 4
    for layer in layers[1:]:
        assert 0.0095 < layer.weight.std() < 0.0105
        assert layer.bias is not None and not layer.bias.any()
