"""What holds for every network: gradients reach all of it, and it leaves Python."""

import warnings

import pytest
import torch
from torch import nn

from vgan.models.discriminator import Discriminator
from vgan.models.generator import build_generator
from vgan.models.initialisation import initialise

FRAMES, SIZE, CONTEXT, NOISE = 32, 16, 6, 3

GENERATORS = ["two_stream", "one_stream", "future", "content_motion"]
DISCRIMINATORS = ["batch", "spectral", "none"]


def _network(kind: str, frames: int = FRAMES, size: int = SIZE) -> nn.Module:
    network: nn.Module
    if kind in DISCRIMINATORS:
        network = Discriminator(channels=2, frames=frames, size=size, norm=kind)
    else:
        network = build_generator(kind, channels=2, latent_dim=NOISE, frames=frames, size=size, context=CONTEXT)
    initialise(network, torch.Generator().manual_seed(0))
    return network


def _inputs(kind: str, batch: int, frames: int = FRAMES, size: int = SIZE) -> tuple[torch.Tensor, ...]:
    rng = torch.Generator().manual_seed(batch)
    given: dict[str, list[tuple[int, ...]]] = {
        "future": [(3, size, size)],
        "content_motion": [(3, size, size), (3, CONTEXT, size, size)],
    }
    shapes = [(NOISE,), *given.get(kind, [])]
    if kind in DISCRIMINATORS:
        shapes = [(3, frames, size, size)]
    return tuple(torch.randn(batch, *shape, generator=rng) for shape in shapes)


@pytest.mark.parametrize("kind", [*GENERATORS, *DISCRIMINATORS])
def test_gradients_reach_every_parameter(kind: str) -> None:
    network = _network(kind)
    output = network.train()(*_inputs(kind, 3))
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(9))
    torch.autograd.backward((output * weights).sum())
    for name, weight in network.named_parameters():
        assert weight.grad is not None and weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", [*GENERATORS, *DISCRIMINATORS])
@pytest.mark.parametrize(("frames", "size"), [(16, 32), (48, 64), (32, 128)])
def test_any_clip_of_multiples_of_16(kind: str, frames: int, size: int) -> None:
    with torch.no_grad():
        output = _network(kind, frames, size).eval()(*_inputs(kind, 1, frames, size))
    follow = frames - CONTEXT if kind == "content_motion" else frames
    assert output.shape == ((1, 2) if kind in DISCRIMINATORS else (1, 3, follow, size, size))


@pytest.mark.parametrize("kind", [*GENERATORS, *DISCRIMINATORS])
def test_exports_for_any_batch(kind: str) -> None:
    network, more = _network(kind).eval(), _inputs(kind, 5)
    batch = torch.export.Dim("B", min=1, max=64)
    exported = torch.export.export(network, _inputs(kind, 2), dynamic_shapes=tuple({0: batch} for _ in more))
    with torch.no_grad():
        assert torch.equal(exported.module()(*more), network(*more))


@pytest.mark.parametrize("kind", [*GENERATORS, *DISCRIMINATORS])
def test_traces_to_torchscript_for_any_batch(kind: str) -> None:
    """By tracing: `torch.jit.script` compiles no kernel put together by the shape of a weight."""
    network, more = _network(kind).eval(), _inputs(kind, 5)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # PyTorch calls TorchScript old, and a question about a weight's shape risky
        traced = torch.jit.trace(network, _inputs(kind, 2))  # type: ignore[no-untyped-call]
        assert torch.equal(traced(*more), network(*more))
