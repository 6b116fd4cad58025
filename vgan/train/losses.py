"""The paper's losses (section 2.3 and the authors' main.lua). B batch.

Real or fake is a two-class cross entropy, not a binary one on a single logit.
"""

import torch
from torch.nn import functional

from vgan.models.discriminator import FAKE, REAL

__all__ = ["discriminator_loss", "generator_loss", "mask_penalty"]


def discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """Logits B x 2 of real and of generated clips to the plain sum of both mean cross entropies, in float32."""
    return _cross_entropy(real_logits, REAL) + _cross_entropy(fake_logits, FAKE)


def generator_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """Logits B x 2 of generated clips to their mean cross entropy with "real" (non-saturating), in float32."""
    return _cross_entropy(fake_logits, REAL)


def mask_penalty(mask: torch.Tensor, weight: float) -> torch.Tensor:
    """`weight` times the mean of a mask in [0, 1] (its L1 norm per element: `L1Penalty(0.1, sizeAverage)`)."""
    return weight * mask.float().mean()


def _cross_entropy(logits: torch.Tensor, label: int) -> torch.Tensor:
    labels = torch.full((len(logits),), label, dtype=torch.long, device=logits.device)
    return functional.cross_entropy(logits.float(), labels)
