"""Training steps: ours against a plain fp32 loop of the paper's networks, written as most people would.

python -m benchmarks.train            # the demo's width and the paper's, minutes
python -m benchmarks.train --quick    # a tiny network, seconds
"""

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from vgan.config import TrainParams, load
from vgan.train.state import new_state
from vgan.train.step import train_step

__all__ = ["PlainDiscriminator", "PlainGenerator", "main", "measure"]

_PRESET = Path(__file__).resolve().parent.parent / "presets" / "paper.yaml"


class PlainGenerator(nn.Module):
    """The paper's two-stream generator at 32 frames of 64 pixels or any multiple of 16 of both."""

    def __init__(self, c: int, z: int, frames: int, size: int) -> None:
        super().__init__()
        widths = [8 * c, 4 * c, 2 * c, c]
        t, s = frames // 16, size // 16
        motion: list[nn.Module] = [nn.ConvTranspose3d(z, 8 * c, (t, s, s)), nn.BatchNorm3d(8 * c), nn.ReLU(True)]
        still: list[nn.Module] = [nn.ConvTranspose2d(z, 8 * c, s), nn.BatchNorm2d(8 * c), nn.ReLU(True)]
        for a, b in itertools.pairwise(widths):
            motion += [nn.ConvTranspose3d(a, b, 4, 2, 1), nn.BatchNorm3d(b), nn.ReLU(True)]
            still += [nn.ConvTranspose2d(a, b, 4, 2, 1), nn.BatchNorm2d(b), nn.ReLU(True)]
        self.motion, self.still = nn.Sequential(*motion), nn.Sequential(*still)
        self.foreground = nn.ConvTranspose3d(c, 3, 4, 2, 1)
        self.mask = nn.ConvTranspose3d(c, 1, 4, 2, 1)
        self.background = nn.ConvTranspose2d(c, 3, 4, 2, 1)

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """B x Z to video B x 3 x T x S x S and mask B x 1 x T x S x S."""
        motion = self.motion(z[:, :, None, None, None])  # B x c x T/2 x S/2 x S/2
        mask = torch.sigmoid(self.mask(motion))  # B x 1 x T x S x S
        background = torch.tanh(self.background(self.still(z[:, :, None, None])))[:, :, None]  # B x 3 x 1 x S x S
        return mask * torch.tanh(self.foreground(motion)) + (1 - mask) * background, mask


class PlainDiscriminator(nn.Module):
    """The paper's discriminator."""

    def __init__(self, c: int, frames: int, size: int) -> None:
        super().__init__()
        widths = [c, 2 * c, 4 * c, 8 * c]
        layers: list[nn.Module] = [nn.Conv3d(3, c, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for a, b in itertools.pairwise(widths):
            layers += [nn.Conv3d(a, b, 4, 2, 1), nn.BatchNorm3d(b), nn.LeakyReLU(0.2, True)]
        self.layers = nn.Sequential(*layers, nn.Conv3d(8 * c, 2, (frames // 16, size // 16, size // 16)))

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """B x 3 x T x S x S to B x 2."""
        logits: torch.Tensor = self.layers(video).flatten(1)  # B x 2
        return logits


def _plain_step(params: TrainParams, frames: int, size: int) -> Callable[[torch.Tensor], None]:
    generator = PlainGenerator(params.channels, params.latent_dim, frames, size)
    discriminator = PlainDiscriminator(params.channels, frames, size)
    optimizer_g = torch.optim.Adam(generator.parameters(), params.learning_rate_g, (params.beta1_g, params.beta2_g))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), params.learning_rate_d, (params.beta1_d, params.beta2_d))

    def step(clips: torch.Tensor) -> None:
        real = clips.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        ones, zeros = torch.ones(len(real), dtype=torch.long), torch.zeros(len(real), dtype=torch.long)
        fake, mask = generator(torch.randn(len(real), params.latent_dim))
        loss_d = functional.cross_entropy(discriminator(real), zeros) + functional.cross_entropy(
            discriminator(fake.detach()), ones
        )
        optimizer_d.zero_grad()
        torch.autograd.backward(loss_d)
        optimizer_d.step()
        loss_g = functional.cross_entropy(discriminator(fake), zeros) + params.mask_weight * mask.mean()
        optimizer_g.zero_grad()
        torch.autograd.backward(loss_g)
        optimizer_g.step()
        loss_g.item()

    return step


def _our_step(params: TrainParams, frames: int, size: int) -> Callable[[torch.Tensor], None]:
    state = new_state(params, frames=frames, size=size, device=torch.device("cpu"))
    return lambda clips: train_step(state, clips, params=params)


def measure(
    channels: int, *, frames: int = 32, size: int = 64, batch: int = 16, rounds: int = 5
) -> dict[str, float | str]:
    """Clips per second of both, the median over `rounds` turns of one step each after one to warm up."""
    settings = {"channels": channels, "batch_size": batch, "precision": "bf16", "device": "cpu"}
    params = load(_PRESET).train.model_copy(update=settings)
    clips = torch.randint(0, 256, (batch, frames, size, size, 3), dtype=torch.uint8)
    steps = {"ours": _our_step(params, frames, size), "reference": _plain_step(params, frames, size)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            started = time.perf_counter()
            step(clips)
            if turn > 0:
                seconds[name].append(time.perf_counter() - started)
    ours, reference = (batch / statistics.median(seconds[name]) for name in ("ours", "reference"))
    return {"ours": ours, "reference": reference, "ratio": ours / reference, "unit": "clips/s"}


def main(arguments: list[str]) -> None:
    """Measure, say each figure, and end with all of them as one line of JSON."""
    if arguments not in ([], ["--quick"]):
        sys.exit(f"expected nothing or --quick, got {' '.join(arguments)}\n\n{__doc__}")
    if arguments == ["--quick"]:
        figures = {"tiny": measure(4, frames=16, size=16, batch=4, rounds=2)}
    else:
        figures = {"demo_width": measure(16, rounds=7), "paper_width": measure(64, rounds=3)}
    for name, figure in figures.items():
        print(f"{name}: ours {figure['ours']:.1f}, reference {figure['reference']:.1f} {figure['unit']}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
