import pytest
import torch
from torch import nn
from torch.nn import functional

from vgan.models.frame_discriminator import FrameDiscriminator
from vgan.models.initialisation import initialise


def test_size_at_the_papers_sizes() -> None:
    network = FrameDiscriminator(channels=64, size=64, norm="batch")
    convolutions = sum(i * o * 16 + o for i, o in ((3, 64), (64, 128), (128, 256), (256, 512), (512, 2)))
    norms = 2 * (128 + 256 + 512)
    assert sum(weight.numel() for weight in network.parameters()) == convolutions + norms == 2_774_722


def test_is_a_2d_network_over_each_frame() -> None:
    network = FrameDiscriminator(channels=2, size=32, norm="none")
    initialise(network, torch.Generator().manual_seed(0))
    frames = torch.randn(2, 3, 5, 32, 32, generator=torch.Generator().manual_seed(1))
    logits = network(frames)
    assert logits.shape == (10, 2)
    convolutions = [layer for layer in network.layers if isinstance(layer, nn.Conv3d)]
    for clip in range(2):
        for frame in range(5):
            x = frames[clip, :, frame][None]
            for layer in convolutions[:-1]:
                x = functional.leaky_relu(functional.conv2d(x, layer.weight[:, :, 0], layer.bias, 2, 1), 0.2)
            x = functional.conv2d(x, convolutions[-1].weight[:, :, 0], convolutions[-1].bias)
            torch.testing.assert_close(logits[5 * clip + frame], x.flatten(), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
def test_gradients_reach_every_parameter(norm: str) -> None:
    network = FrameDiscriminator(channels=2, size=16, norm=norm)
    initialise(network, torch.Generator().manual_seed(0))
    frames = torch.randn(2, 3, 2, 16, 16, generator=torch.Generator().manual_seed(1))
    torch.autograd.backward(network(frames)[:, 0].square().sum())
    for name, weight in network.named_parameters():
        other = name.endswith("bias") and weight.numel() == 2
        assert weight.grad is not None and (other or bool((weight.grad != 0).any())), name


@pytest.mark.parametrize(("size", "norm", "said"), [(40, "batch", "multiple of 16, got 40"), (16, "x", "got 'x'")])
def test_what_cannot_be_built(size: int, norm: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FrameDiscriminator(channels=2, size=size, norm=norm)
