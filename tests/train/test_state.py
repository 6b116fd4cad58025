import numpy as np
import pytest
import torch

from tests.train.conftest import FRAMES, PARAMS, SIZE
from vgan.config import TrainParams
from vgan.train.state import average_half_life, new_state, update_average


def _with(**changes: object) -> TrainParams:
    return PARAMS.model_copy(update=changes)


def test_average_forgets_half_in_its_half_life() -> None:
    average, weights = [torch.full((3,), 1.0)], [torch.zeros(3)]
    for _ in range(8):
        update_average(average, weights, 4.0)
    np.testing.assert_allclose(average[0], 0.25, rtol=1e-5)


def test_no_half_life_keeps_the_raw_weights() -> None:
    average, weights = [torch.full((3,), 1.0)], [torch.tensor([0.1, 0.2, 0.3])]
    update_average(average, weights, 0.0)
    assert torch.equal(average[0], weights[0])


def test_seed_decides_everything() -> None:
    torch.manual_seed(0)
    one = new_state(PARAMS, frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    torch.manual_seed(1)
    two = new_state(PARAMS, frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    other = new_state(PARAMS.model_copy(update={"seed": 4}), frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    for name in ("generator", "discriminator"):
        weights = [vars(state)[name].state_dict().values() for state in (one, two, other)]
        assert all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))
    assert torch.equal(one.noise.get_state(), two.noise.get_state())
    assert not torch.equal(one.noise.get_state(), other.noise.get_state())


def test_discriminators_share_an_optimiser() -> None:
    state = new_state(_with(frame_discriminator=2), frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    assert state.frame_discriminator is not None
    assert state.discriminators == [state.discriminator, state.frame_discriminator]
    for optimizer, networks in ((state.optimizer_g, [state.generator]), (state.optimizer_d, state.discriminators)):
        (group,) = optimizer.param_groups
        weights = [weight for network in networks for weight in network.parameters()]
        assert [id(weight) for weight in group["params"]] == [id(weight) for weight in weights]


def test_chances_are_not_the_noise() -> None:
    state = new_state(PARAMS, frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    again = new_state(PARAMS, frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    other = new_state(_with(seed=4), frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    drawn = [torch.rand(4, generator=rng) for rng in (state.chances, again.chances, other.chances)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], torch.rand(4, generator=torch.Generator().manual_seed(PARAMS.seed)))


@pytest.mark.parametrize(("step", "half_life"), [(0, 0.1), (99, 10.0), (299, 30.0), (5000, 30.0)])
def test_average_forgets_the_beginning_sooner(step: int, half_life: float) -> None:
    assert average_half_life(step, _with(ema_half_life=30.0, ema_ramp=0.1)) == pytest.approx(half_life)
    assert average_half_life(step, _with(ema_half_life=30.0, ema_ramp=0.0)) == 30.0
