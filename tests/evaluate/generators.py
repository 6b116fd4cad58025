"""Generators whose videos differ from one another and move, without training."""

import torch

from vgan.models.generator import Generator, build_generator


def lively_generator(kind: str, *, frames: int = 16, size: int = 32, seed: int = 0) -> Generator:
    """An untrained generator, in eval mode, with norm statistics as it would have learnt them and bold last layers."""
    torch.manual_seed(seed)
    generator = build_generator(kind, channels=2, latent_dim=5, frames=frames, size=size)
    for name, module in generator.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.momentum = 1.0  # one pass settles the running averages
        if name.endswith("head"):
            torch.nn.init.normal_(module.weight, std=0.3)
    with torch.no_grad():
        generator.train()(torch.randn(32, 5))
    return generator.eval()
