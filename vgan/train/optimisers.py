"""Optimisers of both networks and their rates over the steps."""

from collections.abc import Iterable

import torch
from torch import nn

from vgan.config import TrainParams

__all__ = ["new_optimisers", "rate_factor", "set_rates"]


def new_optimisers(
    params: TrainParams, generator: Iterable[nn.Parameter], discriminator: Iterable[nn.Parameter]
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """The generator's and the discriminator's optimiser: Adam (the paper's) or SGD with momentum, each by its rates."""
    if params.optimizer == "sgd":
        return (
            torch.optim.SGD(generator, lr=params.learning_rate_g, momentum=params.momentum, foreach=True),
            torch.optim.SGD(discriminator, lr=params.learning_rate_d, momentum=params.momentum, foreach=True),
        )
    # foreach measured as fast as fused on a CPU here (both a few ms a step) and runs everywhere.
    betas_g, betas_d = (params.beta1_g, params.beta2_g), (params.beta1_d, params.beta2_d)
    return (
        torch.optim.Adam(generator, lr=params.learning_rate_g, betas=betas_g, foreach=True),
        torch.optim.Adam(discriminator, lr=params.learning_rate_d, betas=betas_d, foreach=True),
    )


def rate_factor(step: int, start: int, steps: int) -> float:
    """By what the rates are multiplied after `step` steps: 1 up to `start`, then along a line to 0 in `steps` steps.

    0 `steps` keep the rates as they are. It looks at the step alone, so an interrupted training goes on alike.
    """
    if steps == 0 or step <= start:
        return 1.0
    return max(0.0, 1.0 - (step - start) / steps)


def set_rates(
    generator: torch.optim.Optimizer, discriminator: torch.optim.Optimizer, step: int, params: TrainParams
) -> None:
    """Set both optimisers' rates to what they are after `step` steps."""
    factor = rate_factor(step, params.decay_start, params.decay_steps)
    for optimizer, rate in ((generator, params.learning_rate_g), (discriminator, params.learning_rate_d)):
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
