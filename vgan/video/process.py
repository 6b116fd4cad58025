"""One run of ffmpeg: its command line, its limits, its end and its last words."""

import fcntl
import os
import re
import resource
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

import ffmpeg

from vgan.video.binary import ffmpeg_binary

__all__ = [
    "MAX_PIXELS",
    "Run",
    "UnusableVideo",
    "check_file",
    "command_line",
    "ending_with_us",
    "exit_fault",
    "last_words",
    "running",
    "still_input",
    "video_input",
]

MAX_PIXELS = 1 << 26  # of a picture: 8192 x 8192, twice what 8K has; more is refused before memory is taken for it
MAX_MEMORY = 4 << 30  # bytes of address space that a decoder may take

# Containers that hold their own pictures. Playlists, concat scripts, image sequences, streams' descriptions and the
# like are not among them, nor is any device or filter.
_CONTAINERS = (
    "3gp,apng,asf,av1,avi,dv,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp4,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,"
    "rm,vc1,vvc,webm,webp_anim,wtv,yuv4mpegpipe"
)
_PIPE_BYTES = 1 << 20  # asked for, the kernel may give less; several small frames, so that decoder and reader overlap
_INPUT = "the input"  # ffmpeg-python takes only names that are UTF-8, and a file's need not be
_LINE_BYTES = 2048
_KEPT_LINES = 200
# Ends that say nothing of the video: another time it may be read.
_ENDED = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGBUS}
_NOT_STARTED = {126, 127}  # as shells and setpriv say that a command could not be executed
_PASSING = re.compile(r"Input/output error|Stale file handle|Too many open files|received signal")

_GENERAL = re.compile(
    r"^(Error opening|Error while opening|Output file|Conversion failed|At least one|Terminating|Nothing was written"
    r"|Format \S+ det|Cannot determine format|Could not open encoder|Task finished with error|Last message repeated"
    r"|Could not find codec parameters|Consider increasing|Error initializing|Finishing stream|Filtering and streaming"
    r"|Error marking|Failed to inject|Error reinit|Error parsing|To ignore this|Decode error rate)"
    r"|Invalid data found when processing input"
)
_EARLY = re.compile(r"partial file|truncat|ended prematurely|unexpected end of file|end of file", re.IGNORECASE)
_CORRUPT = re.compile(
    r"corrupt|concealing|error while decoding|error submitting packet|decode error|invalid data found", re.IGNORECASE
)
# What ffmpeg says where no picture came, the most telling first, and the reason that is given for it.
_REFUSALS = {
    r"Picture size (\d+x\d+) (exceeds|is invalid)": rf"a picture of \1: over {MAX_PIXELS // 10**6} million pixels",
    r"Skipped opening external track": "unreadable: its pictures lie in another file",
    r"not [oi]n whitelist|Not detecting m3u8": "unreadable: not a video file that holds its own pictures",
    r"matches no streams": "no video stream (audio only?)",
    r"Cannot allocate memory": f"decoding it takes more than {MAX_MEMORY >> 30} GiB of memory",
    r"moov atom not found": "unreadable: moov atom not found (cut short, or no mp4 file)",
    r"EBML header parsing failed": "unreadable: EBML header parsing failed (damaged, or no Matroska file)",
    r"^Error opening input": "unreadable: not a video, or its beginning is damaged",
}


class UnusableVideo(Exception):  # noqa: N818 - it says what the video is
    """A video that cannot be read, or not to its end.

    `reason` is a short sentence for the manifest; `lasting` says whether the same would come out another time.
    """

    def __init__(self, reason: str, *, lasting: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting


def check_file(path: Path) -> None:
    """Raise UnusableVideo unless `path` is a file with something in it: opening a pipe or a device could hang."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise UnusableVideo(f"unreadable: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        raise UnusableVideo("unreadable: not a regular file")
    if status.st_size == 0:
        raise UnusableVideo("empty file (0 bytes)")


def video_input(**options: object) -> Any:
    """The input of a command that reads a video and nothing else; `command_line` puts its name in."""
    return ffmpeg.input(
        _INPUT,
        protocol_whitelist="file",
        format_whitelist=_CONTAINERS,
        max_pixels=MAX_PIXELS,
        threads=1,
        **options,
    )


def still_input(demuxer: str) -> Any:
    """The input of a command that reads one file as a picture."""
    return ffmpeg.input(_INPUT, format=demuxer, protocol_whitelist="file", max_pixels=MAX_PIXELS, threads=1)


def command_line(output: Any, path: Path, *, loglevel: str) -> list[str]:
    """The command that makes `output` of the file at `path`; it says every complaint, however often."""
    output = output.global_args("-hide_banner", "-nostdin", "-nostats", "-loglevel", f"repeat+level+{loglevel}")
    command: list[str] = ffmpeg.compile(output, cmd=ffmpeg_binary())
    return [f"file:{path}" if word == _INPUT else word for word in command]


def ending_with_us(command: list[str]) -> list[str]:
    """The command so started that the kernel ends it with the thread that does: a stopped decoder would stay.

    Without util-linux's setpriv it is the command as it is. What cannot be executed exits with 126 or 127 then.
    """
    setpriv = _setpriv()
    if setpriv is None or shutil.which(command[0]) is None:  # starting that one says best what is wrong
        return command
    return [setpriv, "--pdeathsig", "KILL", "--", *command]


@cache
def _setpriv() -> str | None:
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        return None
    trial = [setpriv, "--pdeathsig", "KILL", "--", setpriv, "--version"]
    done = subprocess.run(trial, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return setpriv if done.returncode == 0 else None  # busybox has another, without it


def exit_fault(code: int) -> tuple[str, bool]:
    """The end of a process that failed in words, and whether it would end like that another time."""
    if code < 0:
        return f"signal {-code}", -code not in _ENDED
    return f"exit {code}", code not in _NOT_STARTED


class Run:
    """One ffmpeg at work: its output, and what it complains of, in bounded memory."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path, notes: re.Pattern[str] | None) -> None:
        assert process.stdout is not None and process.stderr is not None
        self._process, self._path, self._notes = process, path, notes
        self._stdout, self._stderr = process.stdout, process.stderr
        self._said = True  # whether more complaints may come
        self._line = b""
        self.noted: list[str] = []  # the first lines that match `notes`
        self._lines: set[str] = set()
        self._early = self._corrupt = False

    def fill(self, target: memoryview, timeout_s: float) -> int:
        """Read until `target` is full or the output ends; returns how many bytes came.

        Raises:
            TimeoutError: `target` was not full within `timeout_s`.
        """
        filled, deadline = 0, time.monotonic() + timeout_s
        while filled < len(target):
            pipes = [self._stdout, self._stderr] if self._said else [self._stdout]
            ready, _, _ = select.select(pipes, [], [], max(0.0, deadline - time.monotonic()))
            if self._stderr in ready:
                self._listen()
            if self._stdout in ready:
                count = self._stdout.readinto(target[filled:])  # type: ignore[attr-defined]
                if not count:
                    break
                filled += count
            elif time.monotonic() >= deadline:
                raise TimeoutError
        return filled

    def failure(self, frames: int, timeout_s: float) -> UnusableVideo | None:
        """Wait for the end; what went wrong, None if nothing did. `frames` is how many came."""
        deadline = time.monotonic() + timeout_s
        while self._said and select.select([self._stderr], [], [], max(0.0, deadline - time.monotonic()))[0]:
            self._listen()
        try:
            code = self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return UnusableVideo(f"timed out: the decoder did not end after {frames} frames", lasting=False)
        after = f"after {frames} frames" if frames else "before the first frame"
        if code < 0:
            words, lasting = exit_fault(code)
            return UnusableVideo(f"the decoder crashed ({words}) {after}", lasting=lasting)
        if frames and code == 0:
            if self._early:
                return UnusableVideo(f"damaged: ends early, {after}")
            return UnusableVideo("damaged: not every frame could be decoded whole") if self._corrupt else None
        lasting = exit_fault(code)[1] and not any(_PASSING.search(line) for line in self._lines)
        reason = f"damaged {after}: {_telling(self._lines)}" if frames else _refusal(self._lines)
        return UnusableVideo(reason, lasting=lasting)

    def _listen(self) -> None:
        content = os.read(self._stderr.fileno(), 1 << 16)
        self._said = bool(content)
        *lines, rest = (self._line + content).split(b"\n")
        self._line = rest[:_LINE_BYTES]
        for line in [*lines, *([] if self._said else [self._line])]:
            self._keep(line[:_LINE_BYTES])

    def _keep(self, line: bytes) -> None:
        level, text = _cleaned(line, self._path)
        # A line that a name or tag of the file adds has no level.
        noted = self._notes is not None and level == "info" and self._notes.search(text)
        if noted and len(self.noted) < _KEPT_LINES:
            self.noted.append(text)
        if not text or level in ("info", "verbose", "debug"):
            return
        self._early |= _EARLY.search(text) is not None
        self._corrupt |= _CORRUPT.search(text) is not None
        if level != "warning" or any(re.search(pattern, text) for pattern in _REFUSALS):
            self._lines.add(text)
        if len(self._lines) > 2 * _KEPT_LINES:  # which are kept does not depend on the order in which they came
            self._lines = set(sorted(self._lines)[:_KEPT_LINES])


@contextmanager
def running(command: list[str], path: Path, notes: re.Pattern[str] | None = None) -> Iterator[Run]:
    """Run ffmpeg on `path` with output and complaints on pipes and bounded memory, and end it on the way out.

    Raises:
        UnusableVideo: it cannot be started.
    """
    try:
        process = subprocess.Popen(
            ending_with_us(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
    except OSError as error:
        raise UnusableVideo(f"ffmpeg could not be started: {error.strerror}", lasting=False) from None
    try:
        assert process.stdout is not None
        if sys.platform == "linux":
            with suppress(OSError):  # a user may have 64 MiB of pipes in all, or less
                fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            resource.prlimit(process.pid, resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        yield Run(process, path, notes)
    finally:
        process.kill()
        for pipe in (process.stdout, process.stderr):
            _close(pipe)
        process.wait()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()


def _cleaned(line: bytes, path: Path) -> tuple[str, str]:
    """A line's level, and its text without contexts (they hold addresses of memory) and without the file's path."""
    text = line.decode("utf-8", "replace").strip()
    contexts = re.match(r"(?:\[[^]]*\] ?)*", text)
    assert contexts is not None
    text = text[contexts.end() :].strip()
    address = b"file:" + os.fsencode(path)
    for part in {address, address.split(b"\n")[-1]}:  # a name may hold an end of line
        name = part.decode("utf-8", "replace")
        text = text.replace(f"{name}: ", "").replace(name, "it")
    levels = re.findall(r"\[(\w+)\]", contexts[0])
    return levels[-1] if levels else "error", text


def last_words(text: bytes, path: Path) -> str:
    """ffmpeg's own account of what went wrong, without addresses of memory and the file's path."""
    return _telling({_cleaned(line, path)[1] for line in text.splitlines()})


def _telling(lines: set[str]) -> str:
    """One of the lines that tell most, the same whatever order ffmpeg's threads wrote them in."""
    some = sorted(line for line in lines if line)
    telling = [line for line in some if not _GENERAL.search(line)] or some or ["ffmpeg decoded no frame"]
    return telling[0][:200]


def _refusal(lines: set[str]) -> str:
    """The reason for which no frame came."""
    known = (re.search(pattern, line) for pattern in _REFUSALS for line in sorted(lines))
    found = next((match for match in known if match is not None), None)
    if found is None or (found.re.pattern.startswith("^") and not all(_GENERAL.search(line) for line in lines)):
        return f"unreadable: {_telling(lines)}"
    return found.expand(_REFUSALS[found.re.pattern])
