"""Progress of long work: a live bar on a terminal, a line every few seconds in a log.

Under DVC and Prefect a stage's output is a pipe that is read line by line, so the bar becomes lines there.
"""

import sys
import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as RichProgress

__all__ = ["Progress", "duration"]

_LINE_EVERY_S = 5.0
_BAR_WIDTH = 20
_LIVE_STEPS = 1000


class Progress:
    """Counts `total` units of work and shows rate, time left and a note such as the losses; the unit B is bytes.

    Where units differ in size, `weight` is the size of all together: the share and the time left then follow the
    weight that `advance` and `show` are told.

    with Progress("train", total=1000, unit="clips") as progress:
        progress.advance(16, note="D 0.69 G 0.71")
    """

    def __init__(
        self, description: str, total: int, unit: str, done: int = 0, weight: float = 0, shown: bool = True
    ) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = self._done_at_start = done
        self._weight, self._weight_done = weight, 0.0
        self._lock = threading.RLock()  # threads may count together
        self._printed = -1  # the count that the last line told
        self._note = ""
        self._started = self._last_line = time.monotonic()
        self._share_at_start = self._share()
        self._live: RichProgress | None = None
        self._shown = shown
        if shown and sys.stderr.isatty():
            self._live = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[figures]}"),
                console=Console(stderr=True),
            )
            self._task = self._live.add_task(description, total=_LIVE_STEPS, completed=self._step(), figures="")

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._printed != self._done:
            self._print_line()

    def advance(self, amount: int = 1, note: str = "", weight: float = 0) -> None:
        """Count `amount` more units as done, `weight` of all in sum, and show `note` behind the figures."""
        with self._lock:
            self._done += amount
            self.show(note or self._note, weight)

    def show(self, note: str, weight: float = 0) -> None:
        """Show `note` without counting."""
        with self._lock:
            self._note = note
            self._weight_done = max(self._weight_done, weight)
            if self._live is not None:
                self._live.update(self._task, completed=self._step(), figures=" · ".join(self._figures()))
            elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
                self._print_line()

    def _share(self) -> float:
        if self._done >= self._total:
            return 1.0
        if self._weight > 0:
            return min(self._weight_done / self._weight, 0.999)
        return self._done / self._total

    def _step(self) -> int:
        return int(self._share() * _LIVE_STEPS)

    def _figures(self) -> list[str]:
        """What stands behind the bar."""
        passed = max(time.monotonic() - self._started, 1e-9)
        rate = (self._done - self._done_at_start) / passed
        share = self._share()
        gained = share - self._share_at_start
        left = "" if gained <= 0 else f"{duration(passed * (1 - share) / gained)} left"
        in_bytes = self._unit == "B"
        parts = [
            f"{_size(self._done)} of {_size(self._total)}" if in_bytes else f"{self._done}/{self._total} {self._unit}",
            f"{_size(rate)}/s" if in_bytes else f"{rate:.1f} {self._unit}/s",
            left if share < 1 else f"took {duration(passed)}",
            self._note,
        ]
        return [part for part in parts if part]

    def _print_line(self) -> None:
        if not self._shown:
            return
        self._last_line = time.monotonic()
        self._printed = self._done
        share = self._share()
        filled = int(share * _BAR_WIDTH)
        bar = f"{self._description} [{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {share:4.0%}"
        print(" · ".join([bar, *self._figures()]), file=sys.stderr, flush=True)


def _size(count: float) -> str:
    """Bytes as a person writes them: 21 B, 1.5 kB, 340.0 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """`seconds` as a person writes it: 0:07, 12:34, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
