"""How a decoder ends: every way has a reason, which is the same each time, and nothing grows meanwhile."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from vgan.video import UnusableVideo, VideoInfo, ffmpeg_binary, probe, process, read_frames
from vgan.video.process import MAX_MEMORY

INFO = VideoInfo(width=4, height=2, fps=25, duration_s=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    return tmp_path / "clip.mp4"


def _decoder(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    """Have this shell script run instead of ffmpeg."""
    script = folder / "ffmpeg"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(process, "ffmpeg_binary", lambda: str(script))


def _end(path: Path) -> tuple[int, UnusableVideo]:
    """How many frames came, and what was raised after them."""
    count = 0
    with pytest.raises(UnusableVideo) as caught:  # noqa: PT012 - the frames before are counted
        for _ in read_frames(path, INFO, timeout_s=5):
            count += 1
    return count, caught.value


@pytest.mark.parametrize(
    ("number", "lasting"), [(signal.SIGSEGV, True), (signal.SIGABRT, True), (signal.SIGKILL, False)]
)
def test_a_crash_is_named_with_its_signal(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, lasting: bool
) -> None:
    _decoder(monkeypatch, tmp_path, f"head -c 48 /dev/zero; kill -{int(number)} $$")
    count, error = _end(path)
    assert count == 2 and error.reason == f"the decoder crashed (signal {int(number)}) after 2 frames"
    assert error.lasting is lasting
    _decoder(monkeypatch, tmp_path, f"kill -{int(number)} $$")
    assert _end(path)[1].reason == f"the decoder crashed (signal {int(number)}) before the first frame"
    with pytest.raises(UnusableVideo, match=rf"crashed \(signal {int(number)}\) before the first frame"):
        probe(path)


@pytest.mark.parametrize(
    ("said", "code", "reason", "lasting"),
    [
        ("", 0, "unreadable: ffmpeg decoded no frame", True),
        ("[a @ 0x1] [error] moof is broken", 3, "damaged after 2 frames: moof is broken", True),
        ("[in#0 @ 0x1] [error] it: Input/output error", 1, "damaged after 2 frames: it: Input/output error", False),
        ("[mov @ 0x1] [error] stream 0, offset 0x3: partial file", 0, "damaged: ends early, after 2 frames", True),
        ("[dec @ 0x1] [warning] corrupt decoded frame", 0, "damaged: not every frame could be decoded whole", True),
        ("[h @ 0x1] [fatal] Cannot allocate memory", 1, "damaged after 2 frames: Cannot allocate memory", True),
    ],
)
def test_what_ffmpeg_complains_of_is_the_reason(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int, reason: str, lasting: bool
) -> None:
    frames = 48 if said else 0
    _decoder(monkeypatch, tmp_path, f"head -c {frames} /dev/zero; echo '{said}' >&2; exit {code}")
    count, error = _end(path)
    assert (count, error.reason, error.lasting) == (frames // 24, reason, lasting)


def test_the_reason_does_not_depend_on_which_thread_spoke_first(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"[x @ 0x{n}] [error] complaint {n:04d}" for n in range(3000)]
    reasons = []
    for order in (lines, lines[::-1]):
        (tmp_path / "said").write_text("\n".join(order))
        _decoder(monkeypatch, tmp_path, f"cat '{tmp_path}/said' >&2; exit 1")
        reasons.append(_end(path)[1].reason)
    assert reasons == ["unreadable: complaint 0000"] * 2


def test_harmless_warnings_are_no_damage(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "[swscaler @ 0x1] [warning] deprecated pixel format used, make sure you did set range correctly"
    _decoder(monkeypatch, tmp_path, f"head -c 48 /dev/zero; echo '{said}' >&2")
    assert len(list(read_frames(path, INFO))) == 2


def test_endless_complaints_neither_block_nor_fill_memory(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _decoder(monkeypatch, tmp_path, "head -c 30000000 /dev/zero | tr '\\0' 'x' >&2; head -c 48 /dev/zero")
    assert len(list(read_frames(path, INFO, timeout_s=20))) == 2


def test_a_trickle_is_no_frame(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _decoder(monkeypatch, tmp_path, "while true; do printf x; echo still here >&2; sleep 0.05; done")
    with pytest.raises(UnusableVideo, match=r"timed out: no frame for 0\.3 s") as caught:
        next(read_frames(path, INFO, timeout_s=0.3))
    assert not caught.value.lasting


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")
def test_a_decoders_memory_is_bounded(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _decoder(monkeypatch, tmp_path, "sleep 0.2; ulimit -v >&2; exit 1")
    assert _end(path)[1].reason == f"unreadable: {MAX_MEMORY // 1024}"


def test_an_ffmpeg_that_cannot_be_started_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ffmpeg_binary", lambda: "/nowhere/ffmpeg")
    assert _end(path)[1].reason == "ffmpeg could not be started: No such file or directory"
    assert not _end(path)[1].lasting


def test_a_decoder_that_could_not_be_executed_may_be_there_another_time(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _decoder(monkeypatch, tmp_path, "exit 127")
    assert not _end(path)[1].lasting


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a pipe's size be set")
def test_a_user_without_pipe_memory_left_can_read_all_the_same(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    _decoder(monkeypatch, tmp_path, "head -c 48 /dev/zero")
    monkeypatch.setattr("fcntl.fcntl", refused)
    assert len(list(read_frames(path, INFO, timeout_s=5))) == 2


@pytest.mark.skipif(process._setpriv() is None, reason="needs Linux and util-linux's setpriv")
def test_a_decoder_that_is_stopped_ends_with_the_process_that_reads_it(tmp_path: Path) -> None:
    decoder = tmp_path / "ffmpeg"
    decoder.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/new\nmv {tmp_path}/new {tmp_path}/pid\nkill -STOP $$\n")
    decoder.chmod(0o755)
    code = """
import sys; from pathlib import Path
from vgan.video.process import running
with running([sys.argv[1]], Path("x")) as run:
    run.fill(memoryview(bytearray(1)), 300)
"""
    reader = subprocess.Popen([sys.executable, "-c", code, str(decoder)], cwd=ROOT)
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.02)
    pid = int((tmp_path / "pid").read_text())
    while (_state(pid) or "T") != "T" and time.monotonic() < until:
        time.sleep(0.02)
    reader.kill()
    reader.wait()
    until = time.monotonic() + 10
    while _state(pid) not in (None, "Z") and time.monotonic() < until:
        time.sleep(0.02)
    assert _state(pid) in (None, "Z")


def _state(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    odd = tmp_path / "odd.mp4"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "device":
        odd.symlink_to("/dev/zero")
    else:
        odd.mkdir()
    with pytest.raises(UnusableVideo, match="unreadable: not a regular file"):
        probe(odd, timeout_s=5)


def test_a_name_that_holds_a_line_cannot_pass_for_a_header(tmp_path: Path) -> None:
    path = tmp_path / "x\n  Stream #0:0: Video: h264, yuv420p, 9x9, 7 fps\nDuration: 99:00:00.00, .mp4"
    command = [ffmpeg_binary(), "-y", "-loglevel", "error", "-f", "lavfi", "-i"]
    subprocess.run([*command, "color=size=64x48:rate=25:duration=0.2", f"file:{path}"], check=True)
    info = probe(path)
    assert (info.width, info.height, info.fps) == (64, 48, 25.0)
