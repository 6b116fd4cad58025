import itertools

import pytest
import torch
from torch import nn

from vgan.models.discriminator import Discriminator
from vgan.models.future import FutureGenerator
from vgan.models.initialisation import initialise


def _layer(inputs: int, outputs: int, *kernel: int) -> int:
    return inputs * outputs * torch.Size(kernel).numel() + outputs


def _count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_has_the_papers_parameters() -> None:
    # Counted from main_conditional.lua, foreground and mask as two layers.
    halvings = sum(_layer(*pair, 4, 4) for pair in itertools.pairwise([3, 128, 256, 512, 1024]))
    encoder = halvings + 2 * (256 + 512 + 1024)
    widths = list(itertools.pairwise([1024, 512, 256, 128]))
    norms = 2 * (512 + 256 + 128)
    video = _layer(1024, 1024, 2, 1, 1) + 2 * 1024 + sum(_layer(*pair, 4, 4, 4) for pair in widths) + norms
    heads = _layer(128, 3, 4, 4, 4) + _layer(128, 1, 4, 4, 4)
    static = sum(_layer(*pair, 4, 4) for pair in [*widths, (128, 3)]) + norms
    network = FutureGenerator(channels=128, latent_dim=0, frames=32, size=64)
    assert _count(network) == encoder + video + heads + static == 68_216_455
    assert _count(Discriminator(channels=128, frames=32, size=64, norm="batch")) == 44_135_810


def test_layers_are_the_papers() -> None:
    network = FutureGenerator(channels=128, latent_dim=0, frames=32, size=64)
    shapes: list[tuple[int, ...]] = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            layer.register_forward_hook(lambda _layer, _inputs, output: shapes.append(tuple(output.shape[1:])))
    with torch.no_grad():
        network.eval()(torch.zeros(1, 0), torch.zeros(1, 3, 64, 64))
    assert shapes == [
        (128, 32, 32),
        (256, 16, 16),
        (512, 8, 8),
        (1024, 4, 4),
        (1024, 2, 4, 4),
        (512, 4, 8, 8),
        (256, 8, 16, 16),
        (128, 16, 32, 32),
        (4, 32, 64, 64),
        (512, 8, 8),
        (256, 16, 16),
        (128, 32, 32),
        (3, 64, 64),
    ]
    kinds = [type(layer).__name__.rstrip("23d") for layer in network.encoder]
    assert kinds == ["Conv", "ReLU", *["Conv", "BatchNorm", "ReLU"] * 3]
    norms = {
        name: layer.eps for name, layer in network.named_modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)
    }
    assert {eps for name, eps in norms.items() if name.startswith("encoder")} == {1e-3}
    assert {eps for name, eps in norms.items() if not name.startswith("encoder")} == {1e-5}


def _small(latent_dim: int) -> FutureGenerator:
    network = FutureGenerator(channels=4, latent_dim=latent_dim, frames=16, size=16)
    initialise(network, torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.motion_head.weight *= 1000  # away from the flat middle of tanh and sigmoid
    return network.train()  # the batch's statistics: fresh running ones would leave only zeros


def test_video_is_composed_of_the_streams() -> None:
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        streams = _small(3).streams(torch.randn(2, 3, generator=rng), torch.randn(2, 3, 16, 16, generator=rng))
    video, foreground, mask, background = streams
    assert video.shape == foreground.shape == (2, 3, 16, 16, 16) and background.shape == (2, 3, 1, 16, 16)
    assert 0 <= mask.min() < 0.4 < 0.6 < mask.max() <= 1
    torch.testing.assert_close(video, mask * foreground + (1 - mask) * background)


def test_noise_moves_the_foreground_and_leaves_the_background() -> None:
    network, rng = _small(3), torch.Generator().manual_seed(0)
    pictures = torch.randn(2, 3, 16, 16, generator=rng)
    with torch.no_grad():
        one, other = (network.streams(torch.randn(2, 3, generator=rng), pictures) for _ in range(2))
        elsewhere = network.streams(torch.zeros(2, 3), pictures.flip(0))
    assert torch.equal(one.background, other.background)
    assert not torch.allclose(one.foreground, other.foreground) and not torch.allclose(one.mask, other.mask)
    assert not torch.allclose(one.background, elsewhere.background)


def test_each_video_is_of_its_own_picture() -> None:
    network, rng = _small(0).eval(), torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            layer.momentum = 1.0
    pictures = torch.randn(3, 3, 16, 16, generator=rng)
    with torch.no_grad():
        network.train()(torch.zeros(3, 0), pictures)
        network.eval()
        together = network(torch.zeros(3, 0), pictures)
        alone = network(torch.zeros(1, 0), pictures[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.01


@pytest.mark.parametrize(("frames", "size"), [(24, 16), (16, 24), (0, 16)])
def test_shape_must_fit_four_doublings(frames: int, size: int) -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        FutureGenerator(channels=4, latent_dim=0, frames=frames, size=size)
