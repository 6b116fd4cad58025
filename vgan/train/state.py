"""All that training changes, in one object: what a checkpoint has to hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn

from vgan.config import TrainParams
from vgan.models.conditions import Conditions
from vgan.models.discriminator import Discriminator
from vgan.models.frame_discriminator import FrameDiscriminator
from vgan.models.generator import Generator, build_generator
from vgan.models.initialisation import initialise
from vgan.models.upsampling import hold_to_resizing
from vgan.train.history import History
from vgan.train.optimisers import new_optimisers
from vgan.train.ranks import ALONE, Ranks
from vgan.train.synchronised import synchronise

__all__ = ["TrainState", "average_half_life", "new_state", "update_average"]

_CHANCES = 0x9E3779B9  # so that the chances are not the noise again; torch takes 32 bits of a seed


@dataclass
class TrainState:
    """Networks, optimisers, averaged weights, random numbers and figures at one step."""

    generator: Generator
    discriminator: Discriminator
    frame_discriminator: FrameDiscriminator | None
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer  # of both discriminators
    average: list[torch.Tensor]  # exponential moving average of the generator's parameters, in their order
    noise: torch.Generator  # draws the latent vectors, on the CPU whatever the device
    chances: torch.Generator  # draws augmentation and the frames that are judged, on the CPU too
    history: History
    step: int = 0
    ranks: Ranks = ALONE  # who shares the work
    conditions: Conditions | None = None  # for pictures and calibration, the same all along: not in checkpoints

    @property
    def discriminators(self) -> list[nn.Module]:
        """The clips' discriminator, and that of the frames if there is one."""
        both = (self.discriminator, self.frame_discriminator)
        return [discriminator for discriminator in both if discriminator is not None]


def new_state(params: TrainParams, *, frames: int, size: int, device: torch.device, ranks: Ranks = ALONE) -> TrainState:
    """Networks with the paper's starting weights on `device`, fresh optimisers, step 0; `params.seed` decides all.

    `frames` and `size` are those of the clips.

    Raises:
        ValueError: networks for such clips cannot be built.
    """
    noise = torch.Generator().manual_seed(params.seed)
    generator = build_generator(
        params.generator,
        channels=params.channels,
        latent_dim=params.latent_dim,
        frames=frames,
        size=size,
        context=params.context,
    )
    judged = frames if params.show_condition else generator.frames
    norm = params.discriminator_norm
    discriminator = Discriminator(channels=params.channels, frames=judged, size=size, norm=norm)
    of_frames = None
    if params.frame_discriminator > 0:
        of_frames = FrameDiscriminator(channels=params.channels, size=size, norm=norm)
    networks = [generator, discriminator] if of_frames is None else [generator, discriminator, of_frames]
    for network in networks:
        initialise(network, noise)
    if params.upsampling == "resized":
        hold_to_resizing(generator)
    for network in networks:
        network.to(device).train()
        if params.sync_batch_norm and ranks.count > 1:
            synchronise(network)
    weights_d = chain.from_iterable(network.parameters() for network in networks[1:])
    optimizer_g, optimizer_d = new_optimisers(params, generator.parameters(), weights_d)
    return TrainState(
        generator=generator,
        discriminator=discriminator,
        frame_discriminator=of_frames,
        optimizer_g=optimizer_g,
        optimizer_d=optimizer_d,
        average=[weight.detach().clone() for weight in generator.parameters()],
        noise=noise,
        chances=torch.Generator().manual_seed(params.seed ^ _CHANCES),
        history=History(device),
        ranks=ranks,
    )


def average_half_life(step: int, params: TrainParams) -> float:
    """Half-life of the moving average in the step after `step` steps.

    `ema_half_life`, or early in a training the share `ema_ramp` of the steps made, so that the starting weights are
    soon forgotten.
    """
    if params.ema_ramp == 0:
        return params.ema_half_life
    return min(params.ema_half_life, params.ema_ramp * (step + 1))


@torch.no_grad()
def update_average(average: list[torch.Tensor], weights: Iterable[torch.Tensor], half_life: float) -> None:
    """Move `average` towards `weights` so that half of the old is left after `half_life` steps; 0 copies them."""
    kept = 0.5 ** (1.0 / half_life) if half_life > 0 else 0.0
    torch._foreach_lerp_(average, list(weights), 1.0 - kept)
