import itertools

import pytest
import torch
from torch import nn

from vgan.models.conditions import given_by, standing
from vgan.models.content_motion import ContentMotionGenerator
from vgan.models.initialisation import initialise


def _layer(inputs: int, outputs: int, *kernel: int) -> int:
    return inputs * outputs * torch.Size(kernel).numel() + outputs


def test_parameters_are_those_of_the_layers_described() -> None:
    widths = list(itertools.pairwise([3, 64, 128, 256, 512]))
    encoder_norms = 2 * (128 + 256 + 512)
    content = sum(_layer(*pair, 4, 4) for pair in widths) + encoder_norms
    motion = sum(_layer(*pair, 4, 4, 4) for pair in widths) + encoder_norms
    seed = _layer(512 + 512 + 100, 512, 1, 1, 1) + 2 * 512
    decoder = sum(_layer(*pair, 4, 4, 4) for pair in [(512, 256), (256, 128), (128, 64)]) + 2 * (256 + 128 + 64)
    network = ContentMotionGenerator(channels=64, latent_dim=100, frames=32, size=64, context=16)
    count = sum(weight.numel() for weight in network.parameters())
    assert count == content + motion + seed + decoder + _layer(64, 4, 4, 4, 4) == 25_388_228


def _small(frames: int, context: int, latent_dim: int = 0) -> ContentMotionGenerator:
    network = ContentMotionGenerator(channels=4, latent_dim=latent_dim, frames=frames, size=16, context=context)
    initialise(network, torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.motion_head.weight *= 1000  # away from the flat middle of tanh and sigmoid
    return network.train()  # the batch's statistics: fresh running ones would leave only zeros


def _clips(context: int) -> torch.Tensor:
    return torch.randn(2, 3, context, 16, 16, generator=torch.Generator().manual_seed(context)).clamp(-1, 1)


@pytest.mark.parametrize(("frames", "context"), [(16, 1), (16, 4), (16, 15), (32, 12), (32, 16), (48, 7)])
def test_makes_the_frames_that_follow_any_number_given(frames: int, context: int) -> None:
    given = given_by(_clips(context))
    network = _small(frames, context)
    with torch.no_grad():
        video, foreground, mask, background = network.streams(torch.zeros(2, 0), given.picture, given.clip)
    assert network.frames == frames - context
    assert video.shape == foreground.shape == (2, 3, frames - context, 16, 16)
    assert torch.equal(background[:, :, 0], given.picture)
    torch.testing.assert_close(video, mask * foreground + (1 - mask) * background)


def test_time_is_read_to_its_end_and_its_order_matters() -> None:
    network, clip = _small(32, 12), _clips(12)
    last = clip.clone()
    last[:, :, -1] += 1
    with torch.no_grad():
        plain, changed, backwards = (
            network(torch.zeros(2, 0), clip[:, :, 0], given) for given in (clip, last, clip.flip(2))
        )
    assert not torch.allclose(plain, changed) and not torch.allclose(plain, backwards)


def test_picture_alone_clip_alone_and_both_differ() -> None:
    network, clip = _small(16, 4), _clips(4)
    other = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(9)) * 2 - 1
    nothing = torch.zeros(2, 0)
    with torch.no_grad():
        of_picture = network.streams(nothing, clip[:, :, 0], standing(clip[:, :, 0], 4))
        of_clip = network.streams(nothing, clip[:, :, 0], clip)
        of_both = network.streams(nothing, other, clip)
    assert torch.equal(of_picture.background, of_clip.background)
    assert not torch.allclose(of_picture.foreground, of_clip.foreground)
    assert torch.equal(of_both.background[:, :, 0], other)


def test_noise_makes_several_futures_of_one_clip() -> None:
    network, clip, rng = _small(16, 4, latent_dim=3), _clips(4), torch.Generator().manual_seed(0)
    with torch.no_grad():
        one, other = (network(torch.randn(2, 3, generator=rng), clip[:, :, 0], clip) for _ in range(2))
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("context", [0, 16, 17])
def test_context_must_leave_frames_to_make(context: int) -> None:
    with pytest.raises(ValueError, match=f"a context of 1 to 15 of the 16 frames of a clip, got {context}"):
        ContentMotionGenerator(channels=2, latent_dim=0, frames=16, size=16, context=context)


def test_every_layer_but_the_outer_ones_is_normalised() -> None:
    network = _small(16, 12)
    counts = {
        kind: sum(isinstance(layer, kind) for layer in network.modules())
        for kind in (nn.Conv2d, nn.Conv3d, nn.BatchNorm2d, nn.ConvTranspose3d, nn.BatchNorm3d)
    }
    # Of the convolutions the two first layers and the last one have no norm; 12 frames need a fifth 3D one.
    assert list(counts.values()) == [4, 5, 3, 5, 4 + 4]
