import copy

import numpy as np
import torch
from torch import nn

from tests.train.conftest import FRAMES, PARAMS, SIZE
from vgan.models.generator import draw_noise
from vgan.models.upsampling import release
from vgan.train.export import finished_generator
from vgan.train.state import new_state


def test_averaged_weights_with_statistics_of_their_own() -> None:
    state = new_state(PARAMS, frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    for weight in state.average:
        weight.mul_(1.5)
    untouched = copy.deepcopy(state.generator.state_dict())
    network = finished_generator(state)
    assert not network.training and state.generator.training
    for name, tensor in state.generator.state_dict().items():
        assert torch.equal(tensor, untouched[name])
    averaged = copy.deepcopy(state.generator)
    for weight, average in zip(averaged.parameters(), state.average, strict=True):
        weight.data.copy_(average)
    release(averaged)
    for weight, expected in zip(network.parameters(), averaged.parameters(), strict=True):
        assert torch.equal(weight, expected)

    # The first layer's statistics have a closed form over the noise: its outputs are linear in z ~ N(0, I).
    layer, norm = network.motion[0], network.motion[1]
    assert isinstance(layer, nn.ConvTranspose3d) and isinstance(norm, nn.BatchNorm3d)
    variance = layer.weight.detach().square().sum(0).mean((1, 2, 3))
    assert norm.running_var is not None and norm.running_mean is not None
    np.testing.assert_allclose(norm.running_var, variance, rtol=0.25)
    assert norm.running_mean.abs().max() < 0.3 * variance.max().sqrt()
    assert norm.momentum == 0.1


def test_evaluates_as_it_would_on_a_large_batch_of_its_own() -> None:
    state = new_state(PARAMS, frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    network = finished_generator(state)
    noise = draw_noise(512, 5, torch.Generator().manual_seed(9))
    with torch.no_grad():
        alone, together = network(noise), copy.deepcopy(network).train()(noise)
    assert (alone - together).abs().mean() < 0.1 * together.std()


def test_is_the_same_each_time() -> None:
    state = new_state(PARAMS, frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    one, two = (finished_generator(state).state_dict() for _ in range(2))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())
