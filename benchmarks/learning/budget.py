"""Training for so many minutes in all, however often it is interrupted.

What counts is the time in which the steps of the checkpoint at hand were made: work that a kill has undone is not
charged.
"""

import json
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vgan.atomic import write_text
from vgan.config import TrainParams
from vgan.models import tensorfile
from vgan.train import stage

__all__ = ["Clock", "train_within"]

_GENERATOR = "generator.safetensors"
_HAIR_MINUTES = 1e-9  # 0 would set no limit


class Clock:
    """A tracker that writes down how many seconds of training were behind each logged step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[int, float] = {}
        if path.exists():
            self._rows = {int(step): s for step, s in json.loads(path.read_text(encoding="utf-8")).items()}
        self._before, self._since = 0.0, time.monotonic()

    def go_on_from(self, step: int) -> float:
        """Start counting at `step`; returns the seconds that it took to get there."""
        self._before, self._since = self.seconds_at(step), time.monotonic()
        self._rows = {at: seconds for at, seconds in self._rows.items() if at < step}
        if step > 0:
            self._rows[step] = self._before
        return self._before

    def seconds_at(self, step: int) -> float:
        """Seconds of training behind `step`: between rows in proportion, behind the last one at the mean rate."""
        steps = [0, *sorted(self._rows)]
        seconds = [0.0, *(self._rows[at] for at in steps[1:])]
        if step > steps[-1] > 0:
            return seconds[-1] * step / steps[-1]
        return float(np.interp(step, steps, seconds))

    def rate(self) -> float:
        """Steps a second up to the last row; 0 where there is none."""
        last = max(self._rows, default=0)
        return last / self._rows[last] if last > 0 else 0.0

    def note(self, step: int) -> None:
        """Write down that `step` is reached now."""
        if step > 0:
            self._rows[step] = self._before + time.monotonic() - self._since
            write_text(self._path, json.dumps(self._rows))

    def start(self, fingerprint: str, inputs: dict[str, str]) -> None:
        """Nothing to do: the time to get ready counts too."""

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Note the step."""
        self.note(step)

    def image(self, name: str, step: int, image: NDArray[np.uint8]) -> None:
        """Nothing to do."""


def train_within(minutes: float, params: TrainParams, clips: Path, models: Path) -> float:
    """Train into `models`, going on from what an interrupted call left, until `minutes` in all are used.

    A training that is finished is left as it is. The time is kept beside the folder.

    Returns:
        Steps a second.

    Raises:
        VganError: as `vgan.train.stage.run`.
        SystemExit: a signal came; the next call goes on.
    """
    clock = Clock(models.with_name("clock.json"))
    if (models / _GENERATOR).exists():
        return clock.rate()
    used = clock.go_on_from(_newest_step(models / "checkpoints"))
    left = max(minutes - used / 60, _HAIR_MINUTES)
    try:
        stage.run(params.model_copy(update={"max_minutes": left}), clips, models, tracker=clock)
    except SystemExit:
        clock.note(_newest_step(models / "checkpoints"))
        raise
    if clock.rate() == 0:  # it ended before the first logged step
        clock.note(_newest_step(models / "checkpoints"))
    return clock.rate()


def _newest_step(checkpoints: Path) -> int:
    """Of the checkpoint that training goes on from: the newest undamaged one."""
    for path in sorted(checkpoints.glob("step-*.safetensors"), reverse=True):
        try:
            _, header = tensorfile.read(path)
        except (OSError, tensorfile.DamagedFileError):
            continue
        return int(header["step"])
    return 0
