"""One run of ffmpeg: its command line, its end and its last words."""

import fcntl
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import ffmpeg

from vgan.video.binary import ffmpeg_binary

__all__ = ["UnusableVideo", "command_line", "complaints", "last_words", "running", "video_input"]

_CONTAINERS = (
    "3gp,apng,asf,av1,avi,dv,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mp4,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,"
    "rm,vc1,vvc,webm,webp_anim,wtv,yuv4mpegpipe"
)
_PIPE_BYTES = 1 << 20  # what Linux lets anyone ask for; several small frames, so that decoder and reader overlap


class UnusableVideo(Exception):  # noqa: N818 - it says what the video is
    """A video that cannot be read, or not to its end; `reason` is a short sentence for the manifest."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def video_input(path: Path, **options: object) -> Any:
    """The input of a command that reads a video and nothing else."""
    return ffmpeg.input(f"file:{path}", protocol_whitelist="file", format_whitelist=_CONTAINERS, threads=1, **options)


def command_line(output: Any, *, loglevel: str) -> list[str]:
    """The command that makes `output`."""
    output = output.global_args("-hide_banner", "-nostdin", "-loglevel", loglevel)
    command: list[str] = ffmpeg.compile(output, cmd=ffmpeg_binary())
    return command


@contextmanager
def running(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Run ffmpeg with its output on a pipe and its complaints in a file, and end it on the way out."""
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, bufsize=0)
        assert process.stdout is not None
        try:
            if sys.platform == "linux":
                fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            yield process, stderr
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def complaints(file: IO[bytes]) -> str:
    """The end of what ffmpeg wrote into its file of complaints."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 4096))
    return file.read().decode("utf-8", "replace")


def last_words(text: str, path: Path) -> str:
    """ffmpeg's own account of what went wrong, without addresses of memory and the file's path."""
    general = re.compile(
        r"^(Error opening|Output file|Conversion failed|At least one|Terminating|Nothing was written|Format \S+ det)"
    )
    lines = [re.sub(r"^(\[[^]]*\] )+", "", line.strip()) for line in text.splitlines()]
    lines = [line.replace(f"file:{path}: ", "").replace(f"file:{path}", "it") for line in lines if line]
    telling = [line for line in lines if not general.match(line)] or lines or ["ffmpeg decoded no frame"]
    if "not on whitelist" in telling[-1]:
        return "not a video file that holds its own pictures"
    return telling[-1][:200]
