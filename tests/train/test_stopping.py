import os
import signal
import threading

import pytest

from vgan.train.stopping import Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_notes_a_signal_and_obeys_a_second_interrupt_only(number: signal.Signals) -> None:
    """Under DVC a training gets SIGTERM twice: from whoever stops it, and for DVC's death."""
    received: list[int] = []
    before = signal.signal(number, lambda got, _: received.append(got))
    obeyed = [signal.SIGINT] if number == signal.SIGINT else []
    try:
        with Stop(0) as stop:
            assert not stop.due()
            os.kill(os.getpid(), number)
            assert stop.due() and stop.signal == number and not received
            os.kill(os.getpid(), number)
            assert received == obeyed
        os.kill(os.getpid(), number)
        assert received == [*obeyed, number]
    finally:
        signal.signal(number, before)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with Stop(0):
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] != before
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    limited, endless = Stop(2), Stop(0)
    now[0] = 219.9
    assert not limited.due()
    now[0] = 220.0
    assert limited.due() and limited.signal is None
    now[0] = 1e9
    assert not endless.due()


def test_works_outside_the_main_thread() -> None:
    seen: list[bool] = []

    def use() -> None:
        with Stop(0) as stop:
            seen.append(stop.due())

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [False]
