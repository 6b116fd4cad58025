"""Which ffmpeg is run."""

import shutil
import subprocess
from functools import cache

import ffmpeg
import imageio_ffmpeg

from vgan.errors import VganError

__all__ = ["ffmpeg_binary", "ffmpeg_version"]


@cache
def ffmpeg_binary() -> str:
    """Path of the system's ffmpeg if it can do all that this module asks, else of the one in imageio-ffmpeg.

    Raises:
        VganError: there is neither.
    """
    system = shutil.which("ffmpeg")
    if system is not None and _is_able(system):
        return system
    try:
        bundled = str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        bundled = ""
    if bundled and bundled != system and _is_able(bundled):
        return bundled
    found = f"the one at {system} is too old or lacks libx264" if system else "there is none on the PATH"
    raise VganError(
        f"expected an ffmpeg (5.1 or newer, with libx264): {found}, and the imageio-ffmpeg package has none for this "
        "machine; install ffmpeg with your system's package manager"
    )


def ffmpeg_version() -> str:
    """The version that `ffmpeg_binary` says it is."""
    said = subprocess.run([ffmpeg_binary(), "-version"], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return said.stdout.decode("utf-8", "replace").split("\n")[0].removeprefix("ffmpeg version ").split(" ")[0]


def _is_able(binary: str) -> bool:
    """Whether `binary` encodes two frames with the options used below."""
    picture = ffmpeg.input("color=size=16x16:rate=2:duration=1", format="lavfi")
    output = ffmpeg.output(picture, "-", vcodec="libx264", fps_mode="passthrough", format="null")
    command = ffmpeg.compile(output.global_args("-hide_banner", "-nostdin", "-loglevel", "error"), cmd=binary)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
