"""Endless shuffled batches whose place can be stored and restored exactly."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from vgan.clips.store import ClipStore

__all__ = ["ClipBatches"]


class ClipBatches:
    """Batches of `batch_size` clips out of `indices`, every epoch a new permutation drawn from `seed`.

    No clip is dropped: the batch that reaches an epoch's end goes on with the next epoch. A thread gathers the next
    batch ahead of time; neither the batches nor `state` depend on it.

    `share` says which of each batch's clips are handed out, the others being somebody else's.
    """

    def __init__(
        self,
        store: ClipStore,
        indices: NDArray[np.int64],
        batch_size: int,
        seed: int,
        share: slice = slice(None),  # it cannot be changed
    ) -> None:
        if len(indices) == 0 or batch_size < 1:
            raise ValueError(f"expected clips and a batch size, got {len(indices)} clips and {batch_size}")
        self._store, self._indices, self._batch_size, self._seed = store, indices, batch_size, seed
        self._share = share
        self._taken = 0  # clips handed out since the beginning: epoch and place in one number
        self._epoch, self._order = -1, np.empty(0, np.int64)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clips")
        self._ahead: Future[NDArray[np.uint8]] | None = None

    def next(self) -> NDArray[np.uint8]:
        """The next batch, or this share of it: uint8, B x T x H x W x 3."""
        ahead = self._ahead or self._gather_later()
        batch = ahead.result()
        self._taken += self._batch_size
        self._ahead = self._gather_later()
        return batch

    def state(self) -> dict[str, int]:
        """The place after the last batch that `next` returned, as plain numbers."""
        return {"seed": self._seed, "clips": len(self._indices), "taken": self._taken}

    def restore(self, state: Mapping[str, int]) -> None:
        """Go to a place that `state` gave.

        Raises:
            ValueError: that place belongs to another seed or number of clips.
        """
        if (state["seed"], state["clips"]) != (self._seed, len(self._indices)):
            raise ValueError(f"expected a place among {self.state()}, got {dict(state)}")
        self._taken = state["taken"]
        self._ahead = None

    def _gather_later(self) -> Future[NDArray[np.uint8]]:
        chosen = self._choose(self._taken)
        return self._worker.submit(self._store.gather, chosen)

    def _choose(self, taken: int) -> NDArray[np.int64]:
        places = np.arange(taken, taken + self._batch_size)[self._share]
        return np.array(
            [self._indices[self._permutation(p // len(self._indices))[p % len(self._indices)]] for p in places.tolist()]
        )

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng([self._seed, epoch]).permutation(len(self._indices))
        return self._order
