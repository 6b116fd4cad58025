import pytest
import torch
from torch import nn

from tests.train.conftest import PARAMS
from vgan.train.optimisers import new_optimisers, rate_factor, set_rates


def _weight() -> nn.Parameter:
    return nn.Parameter(torch.tensor([1.0]))


def test_adams_take_their_own_rates_and_betas() -> None:
    changes = {"learning_rate_g": 0.01, "learning_rate_d": 0.02}
    changes |= {"beta1_g": 0.3, "beta1_d": 0.0, "beta2_g": 0.9, "beta2_d": 0.99}
    g, d = new_optimisers(PARAMS.model_copy(update=changes), [_weight()], [_weight()])
    for optimizer, rate, betas in ((g, 0.01, (0.3, 0.9)), (d, 0.02, (0.0, 0.99))):
        assert isinstance(optimizer, torch.optim.Adam)
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"], group["eps"]) == (rate, betas, 1e-8)


def test_sgd_with_momentum_by_hand() -> None:
    changes = {"optimizer": "sgd", "momentum": 0.5, "learning_rate_g": 0.1, "learning_rate_d": 0.2}
    weights = [_weight(), _weight()]
    optimizers = new_optimisers(PARAMS.model_copy(update=changes), weights[:1], weights[1:])
    for _ in range(2):
        for optimizer, weight in zip(optimizers, weights, strict=True):
            weight.grad = torch.tensor([1.0])
            optimizer.step()
    # Velocities 1 and 0.5 + 1.
    assert [weight.item() for weight in weights] == pytest.approx([1 - 0.1 * 2.5, 1 - 0.2 * 2.5])


@pytest.mark.parametrize(("step", "factor"), [(0, 1.0), (10, 1.0), (11, 0.75), (13, 0.25), (14, 0.0), (20, 0.0)])
def test_rates_fall_along_a_line(step: int, factor: float) -> None:
    assert rate_factor(step, 10, 4) == factor
    assert rate_factor(step, 10, 0) == 1.0
    params = PARAMS.model_copy(update={"decay_start": 10, "decay_steps": 4, "learning_rate_d": 1e-4})
    g, d = new_optimisers(params, [_weight()], [_weight()])
    set_rates(g, d, step, params)
    assert g.param_groups[0]["lr"] == pytest.approx(2e-4 * factor)
    assert d.param_groups[0]["lr"] == pytest.approx(1e-4 * factor)
