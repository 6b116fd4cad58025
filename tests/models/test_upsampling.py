import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from vgan.models.generator import TwoStreamGenerator
from vgan.models.initialisation import initialise
from vgan.models.upsampling import Doubling2d, Doubling3d, hold_to_resizing, release

_side = st.integers(1, 5)
_RNG_SEED = 0


@given(shape=st.tuples(st.integers(1, 3), st.integers(1, 4), _side, _side, _side), outputs=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_is_the_transposed_convolution_with_its_gradients(shape: tuple[int, int, int, int, int], outputs: int) -> None:
    layer = Doubling3d(shape[1], outputs).double()
    rng = torch.Generator().manual_seed(_RNG_SEED)
    x = torch.randn(shape, dtype=torch.float64, generator=rng, requires_grad=True)
    ours = layer(x)
    theirs = functional.conv_transpose3d(x, layer.weight, layer.bias, stride=2, padding=1)
    torch.testing.assert_close(ours, theirs)
    towards = torch.randn(ours.shape, dtype=torch.float64, generator=rng)
    leaves = [x, *layer.parameters()]
    for one, two in zip(
        torch.autograd.grad(ours, leaves, towards), torch.autograd.grad(theirs, leaves, towards), strict=True
    ):
        torch.testing.assert_close(one, two)


def test_in_the_plane() -> None:
    layer = Doubling2d(3, 2)
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(_RNG_SEED))
    expected = functional.conv_transpose2d(x, layer.weight, layer.bias, stride=2, padding=1)
    torch.testing.assert_close(layer(x), expected)


def test_other_devices_take_torchs_way() -> None:
    with torch.device("meta"):
        assert Doubling3d(3, 4)(torch.empty(2, 3, 2, 5, 4)).shape == (2, 4, 4, 10, 8)


@pytest.mark.parametrize("layer", [Doubling2d(3, 2), Doubling3d(3, 2), Doubling3d(3, 8)])
def test_held_layer_repeats_pixels_and_convolves(layer: Doubling2d | Doubling3d) -> None:
    taps = layer.weight.detach().clone()
    axes = taps.dim() - 2
    hold_to_resizing(layer)
    assert torch.equal(layer.weight, taps[(slice(None), slice(None), *[slice(3)] * axes)])
    x = torch.randn(2, 3, *[4, 3, 5][:axes], generator=torch.Generator().manual_seed(_RNG_SEED))
    # A transposed convolution runs its kernel backwards.
    kernel = layer.weight.transpose(0, 1).flip(tuple(range(2, 2 + axes)))
    convolve = functional.conv2d if axes == 2 else functional.conv3d
    expected = convolve(functional.interpolate(x, scale_factor=2, mode="nearest"), kernel, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected)


def test_release_leaves_the_papers_network_with_the_same_videos() -> None:
    network = TwoStreamGenerator(channels=2, latent_dim=3, frames=16, size=16).eval()
    initialise(network, torch.Generator().manual_seed(0))
    plain = {name: tensor.shape for name, tensor in network.state_dict().items()}
    hold_to_resizing(network)
    held = {name for name, tensor in network.state_dict().items() if tensor.shape != plain[name]}
    assert len(held) == 8 and all(name.endswith("weight") for name in held)
    released = copy.deepcopy(network)
    release(released)
    assert {name: tensor.shape for name, tensor in released.state_dict().items()} == plain
    noise = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(released(noise), network(noise))
