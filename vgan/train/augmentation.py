"""Augmentation on the device, drawn for each clip and the same for all of its frames. B batch, T frames, S size.

`augmented` shows the networks more real clips than there are. `disturbed` stands before the discriminator, on real and
on generated clips alike, and gradients pass through it, so that the generator does not learn to draw it (DiffAugment,
Zhao et al., 2020, arXiv 2006.10738).

Both take their chances as uniform numbers, a row for each clip, and draw nothing themselves.
"""

import math

import torch
from torch.nn import functional

from vgan.config import TrainParams

__all__ = ["AUGMENTED_DRAWS", "DISTURBED_DRAWS", "augmented", "augments", "disturbed", "disturbs"]

AUGMENTED_DRAWS = 8  # flip; window's size, place along the width and the height; brightness, contrast, saturation, hue
DISTURBED_DRAWS = 7  # brightness, saturation, contrast; shift along the width and the height; the hole's place in both

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
# Red, green, blue to luma and two axes of colour (NTSC's YIQ): turning the latter changes the hue alone.
_YIQ = (_LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def augments(params: TrainParams) -> bool:
    """Whether `augmented` would change anything."""
    return params.augment_flip or any(
        (params.augment_crop, params.augment_scale, params.augment_jitter, params.augment_hue)
    )


def augmented(video: torch.Tensor, chances: torch.Tensor, params: TrainParams) -> torch.Tensor:
    """B x 3 x T x S x S in [-1, 1] and B x 8 chances to the same shape and range.

    A window whose side is 1 - `augment_crop` of the clip's, and smaller by up to a share of `augment_scale`, is taken
    at any place, in half of the clips mirrored where `augment_flip`, and brought to S. Brightness, contrast and
    saturation are multiplied by 1 ± `augment_jitter`, the hue turned by up to ± `augment_hue` of a full turn, in this
    order.
    """
    flipped = (chances[:, 0] < 0.5) & params.augment_flip  # B
    # Autocast would round the places that pixels are taken from to a quarter of a pixel.
    with torch.autocast(video.device.type, enabled=False):
        if params.augment_crop > 0 or params.augment_scale > 0:
            video = _windows(video, chances[:, 1:4], flipped, params)
        elif params.augment_flip:
            video = torch.where(flipped[:, None, None, None, None], video.flip(-1), video)
        if params.augment_jitter > 0 or params.augment_hue > 0:
            video = _recoloured(video, chances[:, 4:8], params)
    return video


def disturbs(params: TrainParams) -> bool:
    """Whether `disturbed` would change anything."""
    return any((params.diffaugment_colour, params.diffaugment_shift, params.diffaugment_cutout))


def disturbed(video: torch.Tensor, chances: torch.Tensor, params: TrainParams) -> torch.Tensor:
    """B x 3 x T x S x S and B x 7 chances, which must lie on the CPU, to the same shape.

    At strength 1 `diffaugment_colour` adds up to ± 0.5 to the brightness and multiplies the saturation by 0 to 2 and
    the contrast by 0.5 to 1.5; `diffaugment_shift` moves clips by up to that share of S along both sides, filling with
    grey; `diffaugment_cutout` greys a square whose side is that share of S, at any place.
    """
    if params.diffaugment_colour > 0:
        video = _tinted(video, (chances[:, :3] - 0.5) * params.diffaugment_colour)
    if params.diffaugment_shift > 0:
        video = _shifted(video, chances[:, 3:5], params.diffaugment_shift)
    if params.diffaugment_cutout > 0:
        video = video * _holes(chances[:, 5:7], params.diffaugment_cutout, video.shape[-1]).to(video)
    return video


def _windows(video: torch.Tensor, chances: torch.Tensor, flipped: torch.Tensor, params: TrainParams) -> torch.Tensor:
    B, C, T, S, _ = video.shape
    side = (1.0 - params.augment_crop) * (1.0 - params.augment_scale * chances[:, 0])  # B, share of the clip's
    x, y = ((1.0 - side) * (2.0 * chances[:, axis] - 1.0) for axis in (1, 2))  # its middle, the clip being -1 to 1
    zero = torch.zeros_like(side)
    rows = [torch.stack([torch.where(flipped, -side, side), zero, x], 1), torch.stack([zero, side, y], 1)]
    theta = torch.stack(rows, 1).to(video.device)  # B x 2 x 3
    grid = functional.affine_grid(theta, [B, C * T, S, S], align_corners=False)  # B x S x S x 2
    planes = functional.grid_sample(
        video.reshape(B, C * T, S, S), grid.to(video.dtype), padding_mode="border", align_corners=False
    )
    return planes.reshape(video.shape)


def _recoloured(video: torch.Tensor, chances: torch.Tensor, params: TrainParams) -> torch.Tensor:
    """All four changes of colour as one 3 x 3 matrix and one offset for each clip."""
    luma, yiq = torch.tensor(_LUMA), torch.tensor(_YIQ)
    brightness, contrast, saturation = (1.0 + params.augment_jitter * (2.0 * chances[:, :3] - 1.0)).unbind(1)
    angle = 2.0 * math.pi * params.augment_hue * (2.0 * chances[:, 3] - 1.0)
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    inner = [one, zero, zero, zero, angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos()]
    turn = torch.linalg.inv(yiq) @ torch.stack(inner, 1).reshape(-1, 3, 3) @ yiq  # B x 3 x 3
    s = saturation[:, None, None]
    mixed = turn @ (s * torch.eye(3) + (1.0 - s) * luma.expand(3, 3))
    matrix = ((brightness * contrast)[:, None, None] * mixed).to(video)
    means = video.mean((2, 3, 4)) @ luma.to(video)  # B: grey, in [-1, 1]
    # In [0, 1] contrast pulls towards the mean grey and brightness towards black; here black is -1.
    offset = (brightness - 1.0).to(video) + ((1.0 - contrast) * brightness).to(video) * means  # B
    flat = torch.baddbmm(offset[:, None, None], matrix, video.flatten(2))  # B x 3 x (T S S)
    return flat.clamp_(-1.0, 1.0).reshape(video.shape)


def _tinted(video: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    brightness, saturation, contrast = strengths.to(video)[:, :, None, None, None, None].unbind(1)  # B x 1 x 1 x 1 x 1
    s, c = 1.0 + 2.0 * saturation, 1.0 + contrast
    grey = video.mean(1, keepdim=True)  # B x 1 x T x S x S
    mean = grey.mean((2, 3, 4), keepdim=True)
    return c * s * video + (c * (1.0 - s) * grey + ((1.0 - c) * mean + brightness))


def _shifted(video: torch.Tensor, chances: torch.Tensor, share: float) -> torch.Tensor:
    reach = round(share * video.shape[-1])
    # Padding by a number and its negative moves the clip, and the same in reverse its gradient: one copy, no indices.
    moves = (chances * (2 * reach + 1)).long() - reach  # B x 2
    moved = [
        functional.pad(clip, (dx, -dx, dy, -dy)) for clip, (dx, dy) in zip(video.unbind(0), moves.tolist(), strict=True)
    ]
    return torch.stack(moved)


def _holes(chances: torch.Tensor, share: float, size: int) -> torch.Tensor:
    """B x 1 x 1 x S x S: 0 in the hole, 1 elsewhere. A hole's middle lies anywhere, so part of it may lie outside."""
    side = round(share * size)
    first = (chances * (size + 1)).floor() - side // 2  # B x 2: columns, rows
    place = torch.arange(size)
    inside = (place >= first[:, :, None]) & (place < first[:, :, None] + side)  # B x 2 x S
    return 1.0 - (inside[:, 1, :, None] & inside[:, 0, None, :])[:, None, None].float()
