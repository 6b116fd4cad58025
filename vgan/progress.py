"""Progress of long work: a live bar on a terminal, a line every few seconds in a log.

Under DVC and Prefect a stage's output is a pipe that is read line by line, so the bar becomes lines there.
"""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

__all__ = ["Progress", "duration"]

_LINE_EVERY_S = 5.0
_BAR_WIDTH = 20


class Progress:
    """Counts `total` units of work and shows rate, time left and a note such as the losses; the unit B is bytes.

    with Progress("train", total=1000, unit="clips") as progress:
        progress.advance(16, note="D 0.69 G 0.71")
    """

    def __init__(self, description: str, total: int, unit: str, done: int = 0, shown: bool = True) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = self._done_at_start = done
        self._printed = -1  # the count that the last line told
        self._note = ""
        self._started = self._last_line = time.monotonic()
        self._live: RichProgress | None = None
        self._shown = shown
        if shown and sys.stderr.isatty():
            self._live = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[count]}"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._task = self._live.add_task(
                description, total=total, completed=done, count=self._count_text(), rate="", note=""
            )

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

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count `amount` more units as done and show `note` behind the figures."""
        self._done += amount
        self._note = note or self._note
        if self._live is not None:
            self._live.update(
                self._task,
                completed=self._done,
                count=self._count_text(),
                rate=self._rate_text(),
                note=self._note,
            )
        elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._print_line()

    def show(self, note: str) -> None:
        """Show `note` without counting; safe to call from another thread than `advance`."""
        self._note = note
        if self._live is not None:
            self._live.update(self._task, rate=self._rate_text(), note=note)
        elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._print_line()

    def _rate(self) -> float:
        return (self._done - self._done_at_start) / max(time.monotonic() - self._started, 1e-9)

    def _rate_text(self) -> str:
        if self._unit == "B":
            return f"{_size(self._rate())}/s"
        return f"{self._rate():.1f} {self._unit}/s"

    def _count_text(self) -> str:
        if self._unit == "B":
            return f"{_size(self._done)} of {_size(self._total)}"
        return f"{self._done}/{self._total} {self._unit}"

    def _print_line(self) -> None:
        if not self._shown:
            return
        self._last_line = time.monotonic()
        self._printed = self._done
        share = min(self._done / self._total, 1.0) if self._total else 1.0
        filled = int(share * _BAR_WIDTH)
        left = (self._total - self._done) / self._rate() if self._rate() > 0 else 0.0
        parts = [
            f"{self._description} [{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {share:4.0%}",
            self._count_text(),
            self._rate_text(),
            f"{duration(left)} left" if share < 1 else f"took {duration(self._last_line - self._started)}",
            self._note,
        ]
        print(" · ".join(part for part in parts if part), file=sys.stderr, flush=True)


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
