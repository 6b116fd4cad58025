"""Losses of both networks. B batch, T frames, S size.

Real or fake is a two-class cross entropy in the paper, not a binary one on a single logit (section 2.3 and the authors'
main.lua); where one number is needed it is the margin, by how much the logit of "real" is ahead of that of "fake".
All losses are in float32 whatever the logits are in.
"""

import torch
from torch.nn import functional

from vgan.models.discriminator import FAKE, REAL

__all__ = ["discriminator_loss", "first_frame_loss", "generator_loss", "gradient_penalty", "mask_penalty"]


def discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor, kind: str) -> torch.Tensor:
    """Logits B x 2 of real and of generated clips to a scalar.

    `kind` is "cross_entropy", the paper's, the plain sum of both means; "hinge" (Lim and Ye, 2017, arXiv 1705.02894),
    which asks for a margin of 1 and no more; or "relativistic" (Jolicoeur-Martineau, 2018, arXiv 1807.00734; paired as
    in Huang et al., 2024, arXiv 2501.05441), by how much the i-th real clip is ahead of the i-th generated one.
    """
    if kind == "relativistic":
        return functional.softplus(_margin(fake_logits) - _margin(real_logits)).mean()
    if kind == "hinge":
        return functional.relu(1.0 - _margin(real_logits)).mean() + functional.relu(1.0 + _margin(fake_logits)).mean()
    return _cross_entropy(real_logits, REAL) + _cross_entropy(fake_logits, FAKE)


def generator_loss(real_logits: torch.Tensor | None, fake_logits: torch.Tensor, kind: str) -> torch.Tensor:
    """Logits B x 2 of real clips, which only "relativistic" needs, and of generated ones to a scalar.

    `kind` "cross_entropy": their mean cross entropy with "real" (non-saturating); "hinge": how far they are on the
    side of "fake"; "relativistic": the discriminator's loss with real and generated clips exchanged.
    """
    if kind == "relativistic":
        assert real_logits is not None
        return discriminator_loss(fake_logits, real_logits, kind)
    if kind == "hinge":
        return -_margin(fake_logits).mean()
    return _cross_entropy(fake_logits, REAL)


def gradient_penalty(logits: torch.Tensor, seen: torch.Tensor, gamma: float) -> torch.Tensor:
    """Zero-centred gradient penalty: `gamma`/2 times the mean over the batch of ‖d margin / d pixels‖².

    R1 on real clips, R2 on generated ones (Mescheder et al., 2018, arXiv 1801.04406). `seen`, whose clips (or frames)
    the logits B x 2 are of, must require gradients; each must be judged by itself, which batch norm does not.
    """
    (slope,) = torch.autograd.grad(_margin(logits).sum(), seen, create_graph=True)
    return 0.5 * gamma * slope.float().square().sum() / len(logits)


def mask_penalty(mask: torch.Tensor, weight: float) -> torch.Tensor:
    """`weight` times the mean of a mask in [0, 1] (its L1 norm per element: `L1Penalty(0.1, sizeAverage)`)."""
    return weight * mask.float().mean()


def first_frame_loss(video: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference between the first frame of B x 3 x T x S x S and the picture B x 3 x S x S it was given.

    The authors' main_conditional.lua: `AbsCriterion`; its weight there is 10.
    """
    return (video[:, :, 0].float() - picture.float()).abs().mean()


def _cross_entropy(logits: torch.Tensor, label: int) -> torch.Tensor:
    labels = torch.full((len(logits),), label, dtype=torch.long, device=logits.device)
    return functional.cross_entropy(logits.float(), labels)


def _margin(logits: torch.Tensor) -> torch.Tensor:
    """B: by how much "real" is ahead."""
    return (logits[:, REAL] - logits[:, FAKE]).float()
