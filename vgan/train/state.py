"""All that training changes, in one object: what a checkpoint has to hold."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from vgan.config import TrainParams
from vgan.models.discriminator import Discriminator
from vgan.models.generator import Generator, build_generator
from vgan.models.initialisation import initialise
from vgan.models.upsampling import hold_to_resizing
from vgan.train.history import History

__all__ = ["TrainState", "new_state", "update_average"]


@dataclass
class TrainState:
    """Networks, optimisers, averaged weights, random numbers and figures at one step."""

    generator: Generator
    discriminator: Discriminator
    optimizer_g: torch.optim.Adam
    optimizer_d: torch.optim.Adam
    average: list[torch.Tensor]  # exponential moving average of the generator's parameters, in their order
    noise: torch.Generator  # draws the latent vectors, on the CPU whatever the device
    history: History
    step: int = 0


def new_state(params: TrainParams, *, frames: int, size: int, device: torch.device) -> TrainState:
    """Networks with the paper's starting weights on `device`, fresh optimisers, step 0; `params.seed` decides all."""
    noise = torch.Generator().manual_seed(params.seed)
    generator = build_generator(
        params.generator, channels=params.channels, latent_dim=params.latent_dim, frames=frames, size=size
    )
    discriminator = Discriminator(channels=params.channels, frames=frames, size=size, norm=params.discriminator_norm)
    for network in (generator, discriminator):
        initialise(network, noise)
    if params.upsampling == "resized":
        hold_to_resizing(generator)
    generator.to(device).train()
    discriminator.to(device).train()
    betas = (params.beta1, params.beta2)
    return TrainState(
        generator=generator,
        discriminator=discriminator,
        optimizer_g=_adam(generator.parameters(), params.learning_rate_g, betas),
        optimizer_d=_adam(discriminator.parameters(), params.learning_rate_d, betas),
        average=[weight.detach().clone() for weight in generator.parameters()],
        noise=noise,
        history=History(device),
    )


@torch.no_grad()
def update_average(average: list[torch.Tensor], weights: Iterable[torch.Tensor], half_life: float) -> None:
    """Move `average` towards `weights` so that half of the old is left after `half_life` steps; 0 copies them."""
    kept = 0.5 ** (1.0 / half_life) if half_life > 0 else 0.0
    torch._foreach_lerp_(average, list(weights), 1.0 - kept)


def _adam(weights: Iterable[nn.Parameter], learning_rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    # foreach measured as fast as fused on a CPU here (both a few ms a step) and runs everywhere.
    return torch.optim.Adam(weights, lr=learning_rate, betas=betas, foreach=True)
