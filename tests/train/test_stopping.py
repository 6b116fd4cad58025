import os
import signal
import threading

import pytest

from vgan.train.stopping import Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_notes_the_first_signal_and_obeys_the_second(number: signal.Signals) -> None:
    received: list[int] = []
    before = signal.signal(number, lambda got, _: received.append(got))
    try:
        with Stop(0) as stop:
            assert not stop.due()
            os.kill(os.getpid(), number)
            assert stop.due() and stop.signal == number and not received
            os.kill(os.getpid(), number)
            assert received == [number]
        os.kill(os.getpid(), number)
        assert received == [number, number]
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
