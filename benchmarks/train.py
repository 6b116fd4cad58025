"""Training and sampling: ours against plain fp32 PyTorch with the paper's networks, written as most people would.

python -m benchmarks.train            # the demo's width and the paper's, minutes
python -m benchmarks.train --quick    # a tiny network, seconds

demo_width, paper_width   clips a second of training steps
matmul_share              the paper's width: a step's arithmetic per second, against this machine's bf16 matrix products
loader                    seconds of a step on a batch that is already there, against one with batches read from shards
sampling, one_clip        generated clips a second, many and one at a time
future                    futures a second of one picture at a time, bf16 against fp32
memory                    peak of a training's process
"""

import itertools
import json
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from vgan.clips import manifest
from vgan.clips.batches import ClipBatches
from vgan.clips.manifest import ClipRow
from vgan.clips.shards import ShardWriter
from vgan.clips.store import ClipStore
from vgan.config import TrainParams, load
from vgan.models.conditions import Conditions
from vgan.models.future import FutureGenerator
from vgan.models.generator import TwoStreamGenerator, generate
from vgan.train.state import new_state
from vgan.train.step import train_step

__all__ = ["Figure", "PlainDiscriminator", "PlainGenerator", "Size", "main"]

Figure = dict[str, float | str]
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


@dataclass(frozen=True)
class Size:
    """What is measured on."""

    channels: int
    frames: int = 32
    size: int = 64
    batch: int = 16
    rounds: int = 5

    @property
    def params(self) -> TrainParams:
        """The paper's preset at this size, in bf16."""
        settings = {"channels": self.channels, "batch_size": self.batch, "precision": "bf16", "device": "cpu"}
        return load(_PRESET).train.model_copy(update=settings)

    def clips(self) -> torch.Tensor:
        """A batch of noise."""
        return torch.randint(0, 256, (self.batch, self.frames, self.size, self.size, 3), dtype=torch.uint8)

    def ours(self) -> Callable[[torch.Tensor], None]:
        """Our training step."""
        return _our_step(self.params, self.frames, self.size)

    def reference(self) -> Callable[[torch.Tensor], None]:
        """The plain one."""
        return _plain_step(self.params, self.frames, self.size)


def _seconds(acts: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each over `rounds` turns of one run each, after one to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in acts}
    for turn in range(rounds + 1):
        for name, act in acts.items():
            started = time.perf_counter()
            act()
            if turn > 0:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


def _rates(acts: Mapping[str, Callable[[], object]], rounds: int, count: int) -> Figure:
    seconds = _seconds(acts, rounds)
    ours, reference = (count / seconds[name] for name in ("ours", "reference"))
    return {"ours": ours, "reference": reference, "ratio": ours / reference, "unit": "clips/s"}


def _steps(at: Size) -> Figure:
    clips, ours, reference = at.clips(), at.ours(), at.reference()
    return _rates({"ours": lambda: ours(clips), "reference": lambda: reference(clips)}, at.rounds, at.batch)


def _matmul_share(at: Size) -> Figure:
    """Multiplications and additions of a step's convolutions per second; the peak is that of square products."""
    clips, ours = at.clips(), at.ours()
    with FlopCounterMode(display=False) as counter:
        ours(clips)
    sides = 256 * min(at.channels, 8)
    one = torch.randn(sides, sides, dtype=torch.bfloat16)
    seconds = _seconds({"step": lambda: ours(clips), "product": lambda: one @ one}, at.rounds)
    step, peak = counter.get_total_flops() / seconds["step"], 2 * sides**3 / seconds["product"]
    return {"ours": step / 1e9, "reference": peak / 1e9, "ratio": step / peak, "unit": "GFLOP/s"}


def _lay_clips(folder: Path, at: Size, count: int) -> None:
    rng, rows = np.random.default_rng(0), []
    with ShardWriter(folder, "noise") as writer:
        for start in range(count):
            pixels = rng.integers(0, 256, (at.frames, at.size, at.size, 3), np.uint8)
            shard, offset = writer.add(f"noise-{start}", pixels, {})
            rows.append(
                ClipRow(
                    id=f"noise-{start}",
                    source="noise",
                    start=start,
                    fps=25.0,
                    shard=shard,
                    offset=offset,
                    split="train",
                    kept=True,
                )
            )
    manifest.write(folder, rows)


def _loader(at: Size) -> Figure:
    """The ratio is what is left of a step's speed once its batches come from shards."""
    fixed, step = at.clips(), at.ours()
    with tempfile.TemporaryDirectory() as folder:
        _lay_clips(Path(folder), at, 8 * at.batch)
        batches = ClipBatches(ClipStore(Path(folder)), np.arange(8 * at.batch), at.batch, 0)
        acts = {"shards": lambda: step(torch.from_numpy(batches.next())), "fixed": lambda: step(fixed)}
        seconds = _seconds(acts, 2 * at.rounds)
    ratio = seconds["fixed"] / seconds["shards"]
    return {"ours": seconds["shards"], "reference": seconds["fixed"], "ratio": ratio, "unit": "s"}


def _sampling(at: Size, count: int) -> Figure:
    shape = {"channels": at.channels, "latent_dim": 100, "frames": at.frames, "size": at.size}
    ours, plain = TwoStreamGenerator(**shape).eval(), PlainGenerator(at.channels, 100, at.frames, at.size).eval()

    def reference() -> torch.Tensor:
        with torch.no_grad():
            video, _ = plain(torch.randn(count, 100))
        pixels: torch.Tensor = ((video + 1) * 127.5).clamp(0, 255).to(torch.uint8)
        return pixels.permute(0, 2, 3, 4, 1).contiguous()

    return _rates({"ours": lambda: list(generate(ours, count, 0, count)), "reference": reference}, at.rounds, count)


def _future(at: Size) -> Figure:
    network = FutureGenerator(channels=at.channels, latent_dim=0, frames=at.frames, size=at.size).eval()
    picture = Conditions(torch.randint(0, 256, (1, 1, at.size, at.size, 3), dtype=torch.uint8))

    def act() -> None:
        list(generate(network, 1, 0, 1, picture))

    def in_bf16() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            act()

    return _rates({"ours": in_bf16, "reference": act}, at.rounds, 1)


def _peak(at: Size, which: str) -> float:
    clips, step = at.clips(), at.ours() if which == "ours" else at.reference()
    for _ in range(2):
        step(clips)
    try:  # the kernel lets a new process begin with its parent's ru_maxrss
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _memory(at: Size) -> Figure:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        ours, reference = processes.map(_peak, [at, at], ["ours", "reference"])
    return {"ours": ours, "reference": reference, "ratio": reference / ours, "unit": "MiB"}


def main(arguments: list[str]) -> None:
    """Measure, say each figure, and end with all of them as one line of JSON."""
    if arguments not in ([], ["--quick"]):
        sys.exit(f"expected nothing or --quick, got {' '.join(arguments)}\n\n{__doc__}")
    demo, paper = Size(16, rounds=7), Size(64, rounds=3)
    acts: dict[str, Callable[[], Figure]] = {"demo_width": lambda: _steps(demo), "paper_width": lambda: _steps(paper)}
    if arguments == ["--quick"]:
        demo = paper = Size(4, frames=16, size=16, batch=4, rounds=2)
        acts = {"tiny": lambda: _steps(demo)}
    acts |= {
        "matmul_share": lambda: _matmul_share(paper),
        "loader": lambda: _loader(demo),
        "sampling": lambda: _sampling(paper, paper.batch),
        "one_clip": lambda: _sampling(paper, 1),
        "future": lambda: _future(paper),
        "memory": lambda: _memory(paper),
    }
    figures = {}
    for name, act in acts.items():
        figure = figures[name] = act()
        print(f"{name}: ours {figure['ours']:.3g}, reference {figure['reference']:.3g} {figure['unit']}", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
