"""What one of several processes runs in tests: `python -m tests.train.ranked WHAT ...`."""

import copy
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import nn

from tests.train.conftest import PARAMS
from vgan.config import TrainParams
from vgan.errors import VganError
from vgan.train import loop, stage
from vgan.train.ranks import ALONE, Ranks, connected
from vgan.train.stage import run
from vgan.train.state import TrainState
from vgan.train.step import train_step
from vgan.train.synchronised import localise, synchronise
from vgan.train.tracker import NoTracker

__all__ = ["GIVEN", "SHARED"]

# What has statistics of a batch is synchronised, and all that is drawn is drawn for the whole batch.
SHARED = PARAMS.model_copy(
    update={
        "batch_size": 4,
        "steps": 6,
        "discriminator_norm": "batch",
        "loss": "cross_entropy",
        "discriminator_steps": 2,
        "augment_flip": True,
        "augment_jitter": 0.2,
        "diffaugment_shift": 0.2,
        "optimizer": "sgd",
        "learning_rate_g": 0.02,
        "learning_rate_d": 0.02,
    }
)

# What it is given and shown of a clip is drawn too.
GIVEN = SHARED.model_copy(update={"generator": "content_motion", "image_only_share": 0.5})


def _check_ranks(ranks: Ranks) -> None:
    values = [torch.full((2, 3), float(ranks.rank)), torch.tensor([3.0 * ranks.rank])]
    ranks.average(values)
    assert torch.equal(values[0], torch.full((2, 3), 0.5)) and values[1].item() == 1.5
    assert ranks.any(ranks.rank == 1) and not ranks.any(False)
    assert ranks.from_first(b"abc" if ranks.first else b"else") == b"abc"
    assert ranks.from_first(b"" if ranks.first else b"else") == b""


def _check_batch_norm(ranks: Ranks) -> None:
    """Two halves by two ranks as the whole by torch's own: outputs, gradients, running statistics."""
    rng = torch.Generator().manual_seed(0)
    whole = torch.randn(4, 3, 2, 4, 4, generator=rng) * 2 + 5
    slopes = torch.randn(whole.shape, generator=rng)
    plain = nn.Sequential(nn.Conv3d(3, 3, 3, padding=1), nn.BatchNorm3d(3), nn.Tanh())
    for weight in plain.parameters():
        nn.init.normal_(weight, generator=rng)
    shared = copy.deepcopy(plain)
    synchronise(shared)
    expected = plain(whole)
    torch.autograd.backward((expected * slopes).sum() / 2)
    ours = shared(whole[ranks.share])
    torch.testing.assert_close(ours, expected[ranks.share], rtol=1e-4, atol=1e-5)
    torch.autograd.backward((ours * slopes[ranks.share]).sum())
    ranks.average([weight.grad for weight in shared.parameters() if weight.grad is not None])
    for mine, theirs in zip(shared.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)
    assert shared.state_dict().keys() == plain.state_dict().keys()
    localise(shared)
    assert [type(layer) for layer in shared] == [type(layer) for layer in plain]
    for name, tensor in shared.state_dict().items():
        torch.testing.assert_close(tensor, plain.state_dict()[name], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shared.eval()(whole), plain.eval()(whole), rtol=1e-4, atol=1e-5)


def _train(params: TrainParams, clips: str, models: str) -> None:
    run(params, Path(clips), Path(models), tracker=NoTracker())


def _die_once(state: TrainState, clips: torch.Tensor, *, params: TrainParams) -> None:
    if state.ranks.rank == 1 and state.step == 5 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    train_step(state, clips, params=params)


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, *arguments = sys.argv[1:]
    if what == "check":
        with connected() as ranks:
            assert ranks != ALONE
            _check_ranks(ranks)
            _check_batch_norm(ranks)
            with patch.object(stage, "connected", lambda: nullcontext(ranks)):  # they meet once
                _train(SHARED, *arguments)
                _train(GIVEN, arguments[0], f"{arguments[1]}-given")
                odd = SHARED.model_copy(update={"batch_size": 3})
                with pytest.raises(VganError, match=r"multiple of 2 processes times train\.accumulate = 1, got 3"):
                    _train(odd, *arguments)
    elif what == "die":
        try:
            with patch.object(loop, "train_step", _die_once):
                _train(SHARED, *arguments)
        except VganError as error:
            sys.exit(f"vgan: {error}")
