import numpy as np
import torch

from tests.train.conftest import FRAMES, PARAMS, SIZE
from vgan.train.state import new_state, update_average


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


def test_optimisers_take_their_own_rate() -> None:
    params = PARAMS.model_copy(update={"learning_rate_g": 0.01, "learning_rate_d": 0.02, "beta1": 0.3, "beta2": 0.9})
    state = new_state(params, frames=FRAMES, size=SIZE, device=torch.device("cpu"))
    for optimizer, rate, network in (
        (state.optimizer_g, 0.01, state.generator),
        (state.optimizer_d, 0.02, state.discriminator),
    ):
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"], group["eps"]) == (rate, (0.3, 0.9), 1e-8)
        assert [id(weight) for weight in group["params"]] == [id(weight) for weight in network.parameters()]
