import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vgan.models.generator import (
    OneStreamGenerator,
    TwoStreamGenerator,
    build_generator,
    draw_noise,
    generate,
)
from vgan.models.initialisation import initialise
from vgan.models.pixels import to_bytes


def _convolution(inputs: int, outputs: int, *kernel: int) -> int:
    taps = torch.Size(kernel).numel()
    return inputs * outputs * taps + outputs


def _shapes(network: nn.Module, noise: torch.Tensor) -> list[tuple[int, ...]]:
    """Output shapes of all convolutions, in the order in which they run."""
    shapes: list[tuple[int, ...]] = []
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d):
            layer.register_forward_hook(lambda _layer, _inputs, output: shapes.append(tuple(output.shape)))
    network(noise)
    return shapes


def _parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_two_stream_has_the_papers_parameters() -> None:
    # Counted from the authors' layer list, foreground and mask as two layers.
    norms = 2 * (512 + 256 + 128 + 64)
    widths = [(512, 256), (256, 128), (128, 64)]
    foreground = _convolution(100, 512, 2, 4, 4) + sum(_convolution(*pair, 4, 4, 4) for pair in widths) + norms
    heads = _convolution(64, 3, 4, 4, 4) + _convolution(64, 1, 4, 4, 4)
    background = _convolution(100, 512, 4, 4) + sum(_convolution(*pair, 4, 4) for pair in [*widths, (64, 3)]) + norms
    network = TwoStreamGenerator(channels=64, latent_dim=100, frames=32, size=64)
    assert _parameters(network) == foreground + heads + background == 16_245_383


def test_two_stream_has_the_papers_shapes() -> None:
    network = TwoStreamGenerator(channels=64, latent_dim=100, frames=32, size=64)
    with torch.no_grad():
        assert _shapes(network, torch.zeros(2, 100)) == [
            (2, 512, 2, 4, 4),
            (2, 256, 4, 8, 8),
            (2, 128, 8, 16, 16),
            (2, 64, 16, 32, 32),
            (2, 4, 32, 64, 64),
            (2, 512, 4, 4),
            (2, 256, 8, 8),
            (2, 128, 16, 16),
            (2, 64, 32, 32),
            (2, 3, 64, 64),
        ]


def test_one_stream_is_the_foreground_alone() -> None:
    two = TwoStreamGenerator(channels=8, latent_dim=5, frames=32, size=16)
    one = OneStreamGenerator(channels=8, latent_dim=5, frames=32, size=16)
    still = _parameters(two.still) + _parameters(two.still_head)
    assert _parameters(one) == _parameters(two) - still - _convolution(8, 1, 4, 4, 4)
    shapes = _shapes(one, torch.zeros(2, 5))
    assert shapes == [(2, 64, 2, 1, 1), (2, 32, 4, 2, 2), (2, 16, 8, 4, 4), (2, 8, 16, 8, 8), (2, 3, 32, 16, 16)]


def _random(kind: str = "two_stream", frames: int = 16) -> TwoStreamGenerator | OneStreamGenerator:
    network = build_generator(kind, channels=4, latent_dim=6, frames=frames, size=16)
    assert isinstance(network, TwoStreamGenerator | OneStreamGenerator)
    initialise(network, torch.Generator().manual_seed(1))
    return network


def test_video_is_composed_of_the_streams() -> None:
    network = _random()
    assert isinstance(network, TwoStreamGenerator)
    with torch.no_grad():
        network.motion_head.weight *= 1000  # away from the flat middle of tanh and sigmoid
        video, foreground, mask, background = network.streams(draw_noise(3, 6, torch.Generator().manual_seed(0)))
    assert background.shape == (3, 3, 1, 16, 16) and mask.shape == (3, 1, 16, 16, 16)
    assert 0 <= mask.min() < 0.4 < 0.6 < mask.max() <= 1
    assert foreground.min() < -0.5 and foreground.max() > 0.5
    torch.testing.assert_close(video, mask * foreground + (1 - mask) * background)


def test_layers_are_rectified_but_the_last() -> None:
    network = _random()
    assert isinstance(network, TwoStreamGenerator)
    for trunk in (network.motion, network.still):
        kinds = [type(layer).__name__.rstrip("23d") for layer in trunk]
        assert kinds == ["ConvTranspose", "BatchNorm", "ReLU", *["Doubling", "BatchNorm", "ReLU"] * 3]
        assert all(layer.eps == 1e-5 for layer in trunk if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d))


@pytest.mark.parametrize(("frames", "size"), [(24, 16), (16, 24), (0, 16)])
def test_shape_must_fit_four_doublings(frames: int, size: int) -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        TwoStreamGenerator(channels=4, latent_dim=6, frames=frames, size=size)


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="three_stream"):
        build_generator("three_stream", channels=4, latent_dim=6, frames=16, size=16)


@given(count=st.integers(1, 20), batch_size=st.integers(1, 24))
@settings(max_examples=12, deadline=None)
def test_videos_depend_on_seed_and_place_alone(count: int, batch_size: int) -> None:
    network = _random().eval()
    reference = torch.cat(list(generate(network, 20, 7, 20)))
    batches = list(generate(network, count, 7, batch_size))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= batch_size
    assert torch.equal(torch.cat(batches), reference[:count])


def test_generate_shows_what_the_network_makes() -> None:
    network = _random("one_stream").eval()
    noise = draw_noise(8, 6, torch.Generator().manual_seed(4))
    (videos,) = generate(network, 8, 4, 8)
    assert videos.dtype == torch.uint8 and videos.shape == (8, 16, 16, 16, 3)
    with torch.no_grad():
        assert torch.equal(videos, to_bytes(network(noise)))
    (others,) = generate(network, 8, 5, 8)
    assert not torch.equal(videos, others)


def test_noise_is_normal_and_its_rows_do_not_depend_on_how_many() -> None:
    many = draw_noise(500, 20, torch.Generator().manual_seed(2))
    few = draw_noise(3, 20, torch.Generator().manual_seed(2))
    assert torch.equal(few, many[:3])
    assert abs(many.mean()) < 0.05 and abs(many.std() - 1) < 0.05
