"""Between a clip's bytes and what the networks see.

Shapes, here and in the other files of this folder: B batch, C channels, T frames, H height, W width, Z latent.
"""

import torch

__all__ = ["from_bytes", "to_bytes"]


def from_bytes(clips: torch.Tensor) -> torch.Tensor:
    """uint8 B x T x H x W x 3 to float32 B x 3 x T x H x W in [-1, 1], on the same device."""
    return clips.permute(0, 4, 1, 2, 3).contiguous().float().div_(127.5).sub_(1.0)


def to_bytes(video: torch.Tensor) -> torch.Tensor:
    """float B x 3 x T x H x W in [-1, 1] to uint8 B x T x H x W x 3, rounded; one channel is repeated to three."""
    pixels = video.float().add(1.0).mul(127.5).round().clamp(0.0, 255.0).to(torch.uint8)
    return pixels.expand(-1, 3, -1, -1, -1).permute(0, 2, 3, 4, 1).contiguous()
