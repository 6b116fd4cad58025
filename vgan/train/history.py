"""The loss curves: figures summed on the device each step, a row of means every few steps."""

import math
from collections.abc import Iterable

import torch

from vgan.train.ranks import Ranks

__all__ = ["COLUMNS", "History"]

_ALWAYS = ("loss_d", "loss_g", "accuracy_real", "accuracy_fake", "gradient_d", "gradient_g")
# A one-stream generator has no mask, a training without gradient penalty no penalty, and only `future` makes a frame
# that it was given: unknown, NaN within.
_SUMMED = (*_ALWAYS, "mask", "penalty", "first_frame")
COLUMNS = (*_SUMMED, "diversity")  # the last is measured at some steps and stands in the next row


class History:
    """Rows of means since the last row. Adding to it never makes the device wait."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(len(_SUMMED), dtype=torch.float64, device=device)
        self._unknown = torch.full((), torch.nan, device=device)
        self._count = 0
        self._rows: list[list[float]] = []
        self._diversity = math.nan
        self._before: tuple[torch.Tensor, torch.cuda.Event] | None = None

    def add(self, figures: dict[str, torch.Tensor]) -> None:
        """Count one step's figures, scalars by their names in `COLUMNS`."""
        self._sums += torch.stack([figures.get(name, self._unknown).detach().float() for name in _SUMMED])
        self._count += 1

    def note(self, diversity: float) -> None:
        """Let `diversity` stand in the next row."""
        self._diversity = diversity

    def finite(self) -> bool:
        """Whether every figure since the last row is a number (waits for the device), but for what is unknown."""
        return bool(torch.isfinite(self._sums[: len(_ALWAYS)]).all())

    def diverged(self) -> bool:
        """Whether a figure has stopped being a number.

        On a GPU it is asked of the step before the last one, so that the device never runs dry.
        """
        if self._sums.device.type == "cpu":
            return not self.finite()
        flag = torch.empty((), dtype=torch.bool, pin_memory=True)
        flag.copy_(torch.isfinite(self._sums[: len(_ALWAYS)]).all(), non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()
        before, self._before = self._before, (flag, arrived)
        if before is None:
            return False
        before[1].synchronize()
        return not bool(before[0])

    def average(self, ranks: Ranks) -> None:
        """Bring the figures since the last row to their means over all ranks."""
        ranks.average([self._sums])

    def close_row(self, step: int) -> dict[str, float]:
        """End a row at `step` and return its figures without the unknown."""
        row = [*(self._sums / max(self._count, 1)).tolist(), self._diversity]
        self._rows.append([float(step), *row])
        self._sums.zero_()
        self._count = 0
        self._diversity = math.nan
        return _known(row)

    def recent(self, after: int) -> dict[str, float]:
        """Means of the rows behind step `after`, each figure over the rows that have it."""
        columns = zip(*[row for step, *row in self._rows if step > after], strict=True)
        return _known([_mean(value for value in column if not math.isnan(value)) for column in columns])

    def csv(self) -> str:
        """All rows as CSV with a header line; what is unknown is left empty."""
        lines = [",".join(("step", *COLUMNS))]
        for step, *means in self._rows:
            lines.append(",".join([f"{step:.0f}", *("" if math.isnan(mean) else f"{mean:.6g}" for mean in means)]))
        return "\n".join(lines) + "\n"

    def tensors(self) -> dict[str, torch.Tensor]:
        """The whole history for a checkpoint."""
        rows = torch.tensor(self._rows, dtype=torch.float64).reshape(-1, 1 + len(COLUMNS))
        diversity = torch.tensor(self._diversity, dtype=torch.float64)
        return {"rows": rows, "sums": self._sums, "count": torch.tensor(self._count), "diversity": diversity}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go back to what `tensors` returned."""
        self._rows = tensors["rows"].tolist()
        self._sums.copy_(tensors["sums"])
        self._count = int(tensors["count"])
        self._diversity = float(tensors["diversity"])


def _known(row: list[float]) -> dict[str, float]:
    return {name: value for name, value in zip(COLUMNS, row, strict=False) if not math.isnan(value)}


def _mean(values: Iterable[float]) -> float:
    known = [*values]
    return sum(known) / len(known) if known else math.nan
