"""When to stop early: a signal, or the time limit. The step at hand is always finished."""

import signal
import threading
import time
from types import FrameType

__all__ = ["Stop"]


class Stop:
    """While entered, SIGTERM and SIGINT are noted instead of obeyed; a second SIGINT is obeyed at once.

    A second SIGTERM is not: a training under DVC gets one from whoever stops it and one for DVC's death, and whoever
    is in a hurry has SIGKILL.

    Outside the main thread, where Python cannot catch signals, only the time limit works.
    """

    def __init__(self, max_minutes: float) -> None:
        self.signal: int | None = None  # the number of the one that came
        self._deadline = time.monotonic() + 60 * max_minutes if max_minutes > 0 else float("inf")
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @property
    def out_of_time(self) -> bool:
        """Whether the time limit has passed."""
        return time.monotonic() >= self._deadline

    def due(self) -> bool:
        """Whether to stop after this step."""
        return self.signal is not None or self.out_of_time

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        if number == signal.SIGINT:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before.clear()
