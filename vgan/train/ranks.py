"""Training by several processes at once, on one machine or several, started with `torchrun`.

Each process ("rank") takes its share of every batch, and gradients are averaged before each update, so that all hold
the same weights all along. Random numbers are drawn for the whole batch by every rank, which uses its rows of them: how
many ranks there are changes what a training computes by no more than rounding.

Gradients are averaged by one all-reduce of ours and not by `DistributedDataParallel`, because that one cannot see the
second derivatives of a gradient penalty (`torch.autograd.grad`).
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from vgan.errors import VganError

__all__ = ["ALONE", "Ranks", "connected"]


@dataclass(frozen=True)
class Ranks:
    """The processes of one training, as seen by the one numbered `rank` of `count`."""

    rank: int
    count: int

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, tracks and speaks."""
        return self.rank == 0

    @property
    def share(self) -> slice:
        """This rank's rows of a batch. Every `count`-th, so that each part of a batch is shared alike."""
        return slice(self.rank, None, self.count)

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace tensors (of one device and type) by their means over the ranks."""
        held = list(tensors)
        if self.count == 1 or not held:
            return
        flat = torch.cat([tensor.flatten() for tensor in held])
        _together(lambda: distributed.all_reduce(flat))
        flat /= self.count
        pieces = torch.split(flat, [tensor.numel() for tensor in held])
        torch._foreach_copy_(held, [piece.view_as(tensor) for piece, tensor in zip(pieces, held, strict=True)])

    def any(self, here: bool) -> bool:
        """Whether it is so on any rank. All come to the same answer."""
        if self.count == 1:
            return here
        flag = torch.tensor(float(here))  # on the CPU: the device goes on meanwhile
        _together(lambda: distributed.all_reduce(flag, distributed.ReduceOp.MAX))
        return bool(flag)

    def from_first(self, content: bytes) -> bytes:
        """What the first rank gave; what the others gave is not looked at."""
        if self.count == 1:
            return content
        size = torch.tensor(len(content))
        _together(lambda: distributed.broadcast(size, 0))
        held = torch.empty(int(size), dtype=torch.uint8)
        if self.first:
            held.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else held)
        _together(lambda: distributed.broadcast(held, 0))
        return held.numpy().tobytes()


ALONE = Ranks(0, 1)


@contextmanager
def connected() -> Iterator[Ranks]:
    """Meet the other processes that `torchrun` started, or none where it did not; part when the block ends.

    Raises:
        VganError: the others cannot be reached.
    """
    rank, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    _together(lambda: distributed.init_process_group(backend, store=_store(rank, count), rank=rank, world_size=count))
    try:
        yield Ranks(rank, count)
    finally:
        distributed.destroy_process_group()


def _store(rank: int, count: int) -> Any:
    """Where the processes leave each other their addresses.

    `torchrun` keeps it through a restart (torch 2.13), with the addresses of those that were: so each attempt has its
    own names.
    """
    kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(host, port, count, is_master=rank == 0 and not kept)
    return PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _together(act: Callable[[], object]) -> None:
    try:
        act()
    except (RuntimeError, ValueError) as error:
        raise VganError(
            f"expected all processes of this training to answer, but one is gone ({str(error).splitlines()[0]}): "
            "start all again, and it goes on from the newest checkpoint; `torchrun --max-restarts 3` does so by itself"
        ) from None
