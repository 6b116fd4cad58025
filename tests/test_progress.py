import re

import pytest

from vgan.progress import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (754, "12:34"), (3599, "59:59"), (3723, "1:02:03")],
)
def test_duration_reads_as_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_pipe_gets_lines_with_rate_time_left_and_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [100.0]
    monkeypatch.setattr("vgan.progress.time.monotonic", lambda: clock[0])
    with Progress("train", total=100, unit="clips") as bar:
        for _ in range(5):
            clock[0] += 2.0
            bar.advance(10, note="D 0.69")
    lines = capsys.readouterr().err.splitlines()
    # A line after 6 s (the first moment with 5 s passed) and one at the end.
    assert lines[0] == "train [######..............]  30% · 30/100 clips · 5.0 clips/s · 0:14 left · D 0.69"
    assert lines[1] == "train [##########..........]  50% · 50/100 clips · 5.0 clips/s · 0:10 left · D 0.69"
    assert len(lines) == 2


def test_the_end_is_told_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = [0.0]
    monkeypatch.setattr("vgan.progress.time.monotonic", lambda: clock[0])
    with Progress("train", total=1, unit="clips") as bar:
        clock[0] += 10.0
        bar.advance()
    assert capsys.readouterr().err.count("1/1 clips") == 1


def test_work_done_before_counts_for_the_share_and_not_for_the_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("vgan.progress.time.monotonic", lambda: clock[0])
    with Progress("train", total=100, unit="clips", done=80) as bar:
        clock[0] += 10.0
        bar.advance(20)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(r"100/100 clips · 2\.0 clips/s · took 0:10", line)


def test_bytes_are_written_as_people_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = [0.0]
    monkeypatch.setattr("vgan.progress.time.monotonic", lambda: clock[0])
    with Progress("checksums", total=3_250_000_000, unit="B") as bar:
        clock[0] += 10.0
        bar.advance(812_500_000)
    line = capsys.readouterr().err.strip()
    assert line == "checksums [#####...............]  25% · 812.5 MB of 3.2 GB · 81.2 MB/s · 0:30 left"


def test_time_left_follows_the_weight_of_what_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("vgan.progress.time.monotonic", lambda: clock[0])
    with Progress("preprocess", total=4, unit="videos", weight=1000) as bar:
        clock[0] += 10.0
        bar.advance(note="a", weight=10)
        clock[0] += 10.0
        bar.show("b", weight=250)
        clock[0] += 10.0
        bar.show("c", weight=1000)  # all that was expected, and not the end
        bar.advance(3)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(" 1% · 1/4 videos · 0.1 videos/s · 16:30 left · a")
    assert lines[1].endswith(" 25% · 1/4 videos · 0.1 videos/s · 1:00 left · b")
    assert lines[2].endswith("100% · 1/4 videos · 0.0 videos/s · 0:00 left · c")
    assert lines[3].endswith("100% · 4/4 videos · 0.1 videos/s · took 0:30 · c")


def test_one_of_many_processes_is_enough_to_show_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("vgan.progress.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress("train", total=2, unit="clips", shown=False) as bar:
        clock[0] += 10.0
        bar.advance(note="D 0.69")
    assert capsys.readouterr().err == ""
