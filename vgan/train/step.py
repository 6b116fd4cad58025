"""One step of training: the discriminator's update, then the generator's (section 2.3). B batch, T frames, S size."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vgan.config import TrainParams
from vgan.models.discriminator import Discriminator
from vgan.models.generator import Generator, TwoStreamGenerator, draw_noise
from vgan.models.pixels import from_bytes
from vgan.train.losses import discriminator_loss, generator_loss, mask_penalty
from vgan.train.state import TrainState, update_average

__all__ = ["train_step"]


def train_step(state: TrainState, clips: torch.Tensor, *, params: TrainParams) -> None:
    """Train both networks on clips (uint8 B x T x S x S x 3, on the device) and move `state` one step on.

    The authors' code feeds the generator with the verdict that the discriminator gave before its update; here the
    updated discriminator looks again (docs/paper.md).
    """
    device = clips.device
    noise = draw_noise(len(clips), state.generator.latent_dim, state.noise).to(device, non_blocking=True)
    with _autocast(device, params.precision):
        fake, mask = _fake(state.generator, noise)  # B x 3 x T x S x S, B x 1 x T x S x S
        real_logits = state.discriminator(from_bytes(clips))  # B x 2
        fake_logits = state.discriminator(fake.detach())  # B x 2
        loss_d = discriminator_loss(real_logits, fake_logits, params.loss)
    state.optimizer_d.zero_grad()
    torch.autograd.backward(loss_d)
    state.optimizer_d.step()

    with _frozen(state.discriminator):
        with _autocast(device, params.precision):
            loss_g = generator_loss(state.discriminator(fake), params.loss)
            total = loss_g if mask is None else loss_g + mask_penalty(mask, params.mask_weight)
        state.optimizer_g.zero_grad()
        torch.autograd.backward(total)
    state.optimizer_g.step()
    update_average(state.average, state.generator.parameters(), params.ema_half_life)
    state.step += 1

    unknown = torch.full((), torch.nan, device=device)
    coverage = unknown if mask is None else mask.detach().float().mean()
    state.history.add([loss_d, loss_g, *_accuracy(real_logits, fake_logits), coverage])


def _fake(generator: Generator, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    if isinstance(generator, TwoStreamGenerator):
        streams = generator.streams(noise)
        return streams.video, streams.mask
    return generator(noise), None


def _accuracy(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Shares of real and of generated clips that the discriminator knew for what they are."""
    real, fake = real_logits.detach(), fake_logits.detach()
    return (real[:, 0] > real[:, 1]).float().mean(), (fake[:, 1] > fake[:, 0]).float().mean()


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def _frozen(discriminator: Discriminator) -> Iterator[None]:
    """No gradients for the discriminator's weights, which saves the generator's step a third of its backward pass."""
    discriminator.requires_grad_(False)
    try:
        yield
    finally:
        discriminator.requires_grad_(True)
