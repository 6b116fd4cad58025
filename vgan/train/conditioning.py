"""What a conditional generator is given of the clips it learns from, and what the discriminator sees of it.

`future` is given a clip's first frame; `content_motion` its first C frames, or, in a share of the clips, a picture
alone. The discriminator sees whole clips: the given frames, then the generated ones, beside real clips that begin with
the same frames. So it judges whether the one follows from the other.

B batch, T frames of a clip, C given ones, S size.
"""

import numpy as np
import torch

from vgan.clips.store import ClipStore
from vgan.config import TrainParams
from vgan.models.conditions import Conditions, Given, given_by, standing
from vgan.models.generator import Generator

__all__ = ["CONDITION_DRAWS", "condition_on", "fixed_conditions", "judged", "judged_real"]

CONDITION_DRAWS = 2  # random numbers a clip
_FIXED_CONDITIONS = 256


def condition_on(
    generator: Generator, real: torch.Tensor, draws: torch.Tensor | None, image_only_share: float
) -> tuple[torch.Tensor, Given | None]:
    """The real clips B x 3 x T x S x S as the discriminator shall know them, and what the generator is given of them.

    In a share of them, by `draws` B x `CONDITION_DRAWS` from [0, 1), `content_motion` is given the last frame before
    those that follow, alone: it takes the place of all C frames, in the real clip too, or the discriminator would know
    a clip by its standing still.
    """
    context = generator.context
    if draws is None:
        return real, None
    if context > 1 and image_only_share > 0:
        alone = (draws[:, 0] < image_only_share).to(real.device)  # B
        still = torch.cat([standing(real[:, :, context - 1], context), real[:, :, context:]], 2)
        real = torch.where(alone[:, None, None, None, None], still, real)
    return real, given_by(real[:, :, :context])


def judged(
    generator: Generator, video: torch.Tensor, given: Given | None, draws: torch.Tensor | None, show_condition: bool
) -> torch.Tensor:
    """What the discriminator sees of generated frames B x 3 x F x S x S: with the given ones before them, or alone.

    The first frame that `future` makes gives way to the picture itself in half of the clips, by `draws`: always, and
    its distance from the picture alone would teach it, which leaves it blurred.
    """
    if given is None or draws is None or not show_condition:
        return video
    before = given.clip.to(video.dtype)  # B x 3 x C x S x S
    if generator.repeats > 0:
        gives_way = (draws[:, 1] < 0.5).to(video.device)  # B
        before = torch.where(gives_way[:, None, None, None, None], before, video[:, :, : generator.repeats])
    return torch.cat([before, video[:, :, generator.repeats :]], 2)


def judged_real(generator: Generator, real: torch.Tensor, show_condition: bool) -> torch.Tensor:
    """What it sees of real clips: the frames that have a counterpart in `judged`."""
    return real if show_condition else real[:, :, generator.context - generator.repeats :]


def fixed_conditions(generator: Generator, store: ClipStore, params: TrainParams) -> Conditions | None:
    """What sample pictures and batch-norm statistics are made of: beginnings of up to 256 training clips, by lot."""
    context = generator.context
    if context == 0:
        return None
    lots = np.random.default_rng(params.seed)
    drawn = lots.permutation(store.indices("train"))[:_FIXED_CONDITIONS]
    clips = torch.from_numpy(store.gather(drawn)[:, :context].copy())  # N x C x S x S x 3
    if context > 1:
        alone = torch.from_numpy(lots.random(len(clips)) < params.image_only_share)  # N
        clips[alone] = clips[alone, -1:].expand(-1, context, -1, -1, -1)
    return Conditions(clips)
