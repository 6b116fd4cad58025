"""Generators whose videos differ from one another and move, without training."""

import torch

from vgan.models.conditions import given_by
from vgan.models.generator import Generator, build_generator, video_of

CONTEXT = 4  # frames that `content_motion` is given


def lively_generator(kind: str, *, frames: int = 16, size: int = 32, seed: int = 0, latent_dim: int = 5) -> Generator:
    """An untrained generator, in eval mode, with norm statistics as it would have learnt them and bold last layers."""
    torch.manual_seed(seed)
    generator = build_generator(kind, channels=2, latent_dim=latent_dim, frames=frames, size=size, context=CONTEXT)
    for name, module in generator.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.momentum = 1.0  # one pass settles the running averages
        if name.endswith("head"):
            torch.nn.init.normal_(module.weight, std=0.3)
    with torch.no_grad():
        given = given_by(torch.rand(32, 3, max(generator.context, 1), size, size) * 2 - 1)
        video_of(generator.train(), torch.randn(32, latent_dim), given)
    return generator.eval()
