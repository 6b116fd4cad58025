"""The loss curves: figures summed on the device each step, a row of means every few steps."""

import math

import torch

__all__ = ["COLUMNS", "History"]

_ALWAYS = ("loss_d", "loss_g", "accuracy_real", "accuracy_fake", "gradient_d", "gradient_g")
# A one-stream generator has no mask, a training without gradient penalty no penalty, and only `future` makes a frame
# that it was given: unknown, NaN within.
COLUMNS = (*_ALWAYS, "mask", "penalty", "first_frame")


class History:
    """Rows of means since the last row. Adding to it never makes the device wait."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(len(COLUMNS), dtype=torch.float64, device=device)
        self._unknown = torch.full((), torch.nan, device=device)
        self._count = 0
        self._rows: list[list[float]] = []

    def add(self, figures: dict[str, torch.Tensor]) -> None:
        """Count one step's figures, scalars by their names in `COLUMNS`."""
        self._sums += torch.stack([figures.get(name, self._unknown).detach().float() for name in COLUMNS])
        self._count += 1

    def finite(self) -> bool:
        """Whether every figure since the last row is a number (waits for the device), but for what is unknown."""
        return bool(torch.isfinite(self._sums[: len(_ALWAYS)]).all())

    def close_row(self, step: int) -> dict[str, float]:
        """End a row at `step` and return its figures without the unknown."""
        means = (self._sums / max(self._count, 1)).tolist()
        self._rows.append([float(step), *means])
        self._sums.zero_()
        self._count = 0
        return {name: mean for name, mean in zip(COLUMNS, means, strict=True) if not math.isnan(mean)}

    def csv(self) -> str:
        """All rows as CSV with a header line; what is unknown is left empty."""
        lines = [",".join(("step", *COLUMNS))]
        for step, *means in self._rows:
            lines.append(",".join([f"{step:.0f}", *("" if math.isnan(mean) else f"{mean:.6g}" for mean in means)]))
        return "\n".join(lines) + "\n"

    def tensors(self) -> dict[str, torch.Tensor]:
        """The whole history for a checkpoint."""
        rows = torch.tensor(self._rows, dtype=torch.float64).reshape(-1, 1 + len(COLUMNS))
        return {"rows": rows, "sums": self._sums, "count": torch.tensor(self._count)}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go back to what `tensors` returned."""
        self._rows = tensors["rows"].tolist()
        self._sums.copy_(tensors["sums"])
        self._count = int(tensors["count"])
