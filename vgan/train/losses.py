"""The paper's losses (section 2.3 and the authors' main.lua). B batch.

Real or fake is a two-class cross entropy, not a binary one on a single logit.
"""

import torch
from torch.nn import functional

from vgan.models.discriminator import FAKE, REAL

__all__ = ["discriminator_loss", "generator_loss", "mask_penalty"]


def discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor, kind: str) -> torch.Tensor:
    """Logits B x 2 of real and of generated clips to the plain sum of both means, in float32.

    `kind` is "cross_entropy", the paper's, or "hinge" (Lim and Ye, 2017, arXiv 1705.02894), which asks for a margin
    between the logits and no more.
    """
    if kind == "hinge":
        return functional.relu(1.0 - _margin(real_logits)).mean() + functional.relu(1.0 + _margin(fake_logits)).mean()
    return _cross_entropy(real_logits, REAL) + _cross_entropy(fake_logits, FAKE)


def generator_loss(fake_logits: torch.Tensor, kind: str) -> torch.Tensor:
    """Logits B x 2 of generated clips to a scalar in float32.

    `kind` "cross_entropy": their mean cross entropy with "real" (non-saturating); "hinge": how far they are on the
    side of "fake".
    """
    if kind == "hinge":
        return -_margin(fake_logits).mean()
    return _cross_entropy(fake_logits, REAL)


def mask_penalty(mask: torch.Tensor, weight: float) -> torch.Tensor:
    """`weight` times the mean of a mask in [0, 1] (its L1 norm per element: `L1Penalty(0.1, sizeAverage)`)."""
    return weight * mask.float().mean()


def _cross_entropy(logits: torch.Tensor, label: int) -> torch.Tensor:
    labels = torch.full((len(logits),), label, dtype=torch.long, device=logits.device)
    return functional.cross_entropy(logits.float(), labels)


def _margin(logits: torch.Tensor) -> torch.Tensor:
    """B: by how much "real" is ahead."""
    return (logits[:, REAL] - logits[:, FAKE]).float()
