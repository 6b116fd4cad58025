"""One step of training: the discriminator's updates, then the generator's (section 2.3). B batch, T frames, S size."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

from vgan.config import TrainParams
from vgan.models.conditions import Given
from vgan.models.discriminator import FAKE, REAL
from vgan.models.future import FutureGenerator
from vgan.models.generator import Generator, draw_noise, streams_of, video_of
from vgan.models.pixels import from_bytes
from vgan.train.augmentation import AUGMENTED_DRAWS, DISTURBED_DRAWS, augmented, augments, disturbed, disturbs
from vgan.train.conditioning import CONDITION_DRAWS, condition_on, judged, judged_real
from vgan.train.losses import (
    discriminator_loss,
    first_frame_loss,
    generator_loss,
    gradient_penalty,
    mask_penalty,
)
from vgan.train.optimisers import set_rates
from vgan.train.ranks import Ranks
from vgan.train.state import TrainState, average_half_life, update_average

__all__ = ["train_step"]

_Figures = dict[str, torch.Tensor]


class _Part(NamedTuple):
    """What goes through the networks at once: a batch, or one of the `accumulate` parts of it."""

    real: torch.Tensor  # B x 3 x T x S x S
    given: Given | None  # of it, to a conditional generator
    draws: torch.Tensor | None  # B x CONDITION_DRAWS, by which it was given and is shown
    noise: torch.Tensor  # B x Z
    video: torch.Tensor  # B x 3 x F x S x S, of F frames that are generated
    mask: torch.Tensor | None  # B x 1 x F x S x S


class _Look(NamedTuple):
    """What a discriminator saw, and its logits, two for each clip or frame."""

    seen: torch.Tensor
    logits: torch.Tensor


def train_step(state: TrainState, clips: torch.Tensor, *, params: TrainParams) -> None:
    """Train both networks on clips (uint8 N x T x S x S x 3, on the device) and move `state` one step on.

    N is `discriminator_steps` times the batch: each of the discriminator's updates sees clips of its own, and the
    generator's update goes with the last. `accumulate` parts of a batch give one gradient together.

    The authors' code feeds the generator with the verdict that the discriminator gave before its update; here the
    updated discriminator looks again (docs/paper.md).
    """
    set_rates(state.optimizer_g, state.optimizer_d, state.step, params)
    *turns, last = clips.chunk(params.discriminator_steps)
    for turn in turns:
        _update_discriminator(state, turn, params, for_generator=False)
    parts, figures = _update_discriminator(state, last, params, for_generator=params.accumulate == 1)
    figures |= _update_generator(state, parts, params)
    update_average(state.average, state.generator.parameters(), average_half_life(state.step, params))
    state.step += 1
    state.history.add(figures)


def _update_discriminator(
    state: TrainState, clips: torch.Tensor, params: TrainParams, *, for_generator: bool
) -> tuple[list[_Part], _Figures]:
    """One update on uint8 B x T x S x S x 3; `for_generator` keeps what the generator needs to learn from its clips."""
    ranks = state.ranks
    rows = draw_noise(len(clips) * ranks.count, state.generator.latent_dim, state.noise)[ranks.share]
    noise = rows.to(clips.device, non_blocking=True)
    due = state.step % params.penalty_interval == 0  # and then as strong as all the steps between
    r1, r2 = (params.penalty_interval * gamma if due else 0.0 for gamma in (params.r1_gamma, params.r2_gamma))
    parts, each = [], []
    state.optimizer_d.zero_grad()
    for some, some_noise in zip(clips.chunk(params.accumulate), noise.chunk(params.accumulate), strict=True):
        with _autocast(clips.device, params.precision):
            part = _part(state, some, some_noise, params, for_generator=for_generator)
            real_looks = _looks(state, part.real, params, sloped=r1 > 0)
            fake_looks = _looks(state, _judged(state, part, part.video.detach(), params), params, sloped=r2 > 0)
            pairs = zip(real_looks, fake_looks, strict=True)
            loss = _sum(discriminator_loss(real.logits, fake.logits, params.loss) for real, fake in pairs)
            figures = {"loss_d": loss, **_accuracy(real_looks[0].logits, fake_looks[0].logits, params.loss)}
            if params.r1_gamma > 0 or params.r2_gamma > 0:
                figures["penalty"] = _penalty(real_looks, r1) + _penalty(fake_looks, r2)
                loss = loss + figures["penalty"]
        torch.autograd.backward(loss / params.accumulate)
        parts.append(part)
        each.append(figures)
    slope = _average_gradients(state.optimizer_d, ranks)
    state.optimizer_d.step()
    return parts, _mean(each) | {"gradient_d": slope}


def _part(
    state: TrainState, clips: torch.Tensor, noise: torch.Tensor, params: TrainParams, *, for_generator: bool
) -> _Part:
    """What the discriminators are to know as real, and what the generator makes of noise and of what it is given."""
    whole = _real(state, clips, params)
    draws = _chances(state, len(clips), CONDITION_DRAWS) if state.generator.context > 0 else None
    real, given = condition_on(state.generator, whole, draws, params.image_only_share)
    with torch.set_grad_enabled(for_generator):
        video, mask = _made(state.generator, noise, given)
    return _Part(judged_real(state.generator, real, params.show_condition), given, draws, noise, video, mask)


def _judged(state: TrainState, part: _Part, video: torch.Tensor, params: TrainParams) -> torch.Tensor:
    return judged(state.generator, video, part.given, part.draws, params.show_condition)


def _update_generator(state: TrainState, parts: list[_Part], params: TrainParams) -> _Figures:
    """One update against the discriminators as they are, from the noise in `parts`."""
    each = []
    state.optimizer_g.zero_grad()
    with _frozen(state):
        for part in parts:
            with _autocast(part.noise.device, params.precision):
                video, mask = part.video, part.mask
                if not video.requires_grad:
                    video, mask = _made(state.generator, part.noise, part.given)
                looks = _looks(state, _judged(state, part, video, params), params)
                real_logits: list[torch.Tensor | None] = [None] * len(looks)
                if params.loss == "relativistic":
                    with torch.no_grad():
                        real_logits = [look.logits for look in _looks(state, part.real, params)]
                pairs = zip(real_logits, looks, strict=True)
                loss = _sum(generator_loss(real, look.logits, params.loss) for real, look in pairs)
                figures = {"loss_g": loss}
                if mask is not None:
                    figures["mask"] = mask.detach().float().mean()
                    loss = loss + mask_penalty(mask, params.mask_weight)
                if isinstance(state.generator, FutureGenerator) and part.given is not None:
                    figures["first_frame"] = first_frame_loss(video, part.given.picture)
                    loss = loss + params.first_frame_weight * figures["first_frame"]
            torch.autograd.backward(loss / params.accumulate)
            each.append(figures)
    slope = _average_gradients(state.optimizer_g, state.ranks)
    state.optimizer_g.step()
    return _mean(each) | {"gradient_g": slope}


def _real(state: TrainState, clips: torch.Tensor, params: TrainParams) -> torch.Tensor:
    """uint8 B x T x S x S x 3 to augmented B x 3 x T x S x S, in the type that the networks compute in."""
    video = from_bytes(clips)
    if augments(params):
        video = augmented(video, _chances(state, len(clips), AUGMENTED_DRAWS), params)
    return video.bfloat16() if params.precision == "bf16" else video


def _made(generator: Generator, noise: torch.Tensor, given: Given | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    streams = streams_of(generator, noise, given)
    if streams is None:
        return video_of(generator, noise, given), None
    return streams.video, streams.mask


def _looks(state: TrainState, video: torch.Tensor, params: TrainParams, *, sloped: bool = False) -> list[_Look]:
    """What each discriminator says of B x 3 x T x S x S; `sloped` lets gradients reach what they see."""
    if disturbs(params):
        video = disturbed(video, _chances(state, len(video), DISTURBED_DRAWS), params)
    if sloped:
        video = video.detach().requires_grad_()
    looks = [_Look(video, state.discriminator(video))]
    if state.frame_discriminator is not None:
        order = torch.randperm(video.shape[2], generator=state.chances)
        frames = video[:, :, order[: params.frame_discriminator].sort().values.to(video.device)]
        looks.append(_Look(frames, state.frame_discriminator(frames)))
    return looks


def _chances(state: TrainState, rows: int, columns: int) -> torch.Tensor:
    """`rows` x `columns` uniform numbers, this rank's rows of those of all."""
    return torch.rand(rows * state.ranks.count, columns, generator=state.chances)[state.ranks.share]


def _penalty(looks: list[_Look], gamma: float) -> torch.Tensor:
    if gamma == 0.0:
        return torch.zeros((), device=looks[0].logits.device)
    return _sum(gradient_penalty(look.logits, look.seen, gamma) for look in looks)


def _accuracy(real_logits: torch.Tensor, fake_logits: torch.Tensor, loss: str) -> _Figures:
    """Shares of real and of generated clips that the discriminator knew for what they are.

    With the relativistic loss, which leaves open where "real" begins, it begins at the middle between both means.
    """
    real, fake = ((logits[:, REAL] - logits[:, FAKE]).detach().float() for logits in (real_logits, fake_logits))
    middle = (real.mean() + fake.mean()) / 2 if loss == "relativistic" else 0.0
    return {"accuracy_real": (real > middle).float().mean(), "accuracy_fake": (fake < middle).float().mean()}


def _sum(values: Iterable[torch.Tensor]) -> torch.Tensor:
    first, *others = values
    return torch.stack([first, *others]).sum() if others else first


def _mean(each: list[_Figures]) -> _Figures:
    return {name: torch.stack([figures[name].detach() for figures in each]).mean() for name in each[0]}


def _average_gradients(optimizer: torch.optim.Optimizer, ranks: Ranks) -> torch.Tensor:
    """Bring the gradients to their means over the ranks and return their norm."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    ranks.average(gradients)
    return torch.nn.utils.get_total_norm(gradients)


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def _frozen(state: TrainState) -> Iterator[None]:
    """No gradients for the discriminators' weights, which saves the generator's step a third of its backward pass."""
    for discriminator in state.discriminators:
        discriminator.requires_grad_(False)
    try:
        yield
    finally:
        for discriminator in state.discriminators:
            discriminator.requires_grad_(True)
