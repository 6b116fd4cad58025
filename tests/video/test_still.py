"""Stills: the right pixels of every kind, upright, and nothing but the file that is named."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vgan.video import UnusableVideo, read_picture

# Four quarters of 20 x 30 pixels: red, green, blue, black.
PICTURE = np.zeros((40, 60, 3), np.uint8)
PICTURE[:20, :30, 0] = PICTURE[:20, 30:, 1] = PICTURE[20:, :30, 2] = 255


def _write(path: Path, picture: NDArray[np.uint8] = PICTURE) -> Path:
    code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    assert cv2.imwrite(str(path), cv2.cvtColor(picture, code))
    return path


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff", "ppm", "jpg"])
def test_a_picture_comes_back(tmp_path: Path, suffix: str) -> None:
    read = read_picture(_write(tmp_path / f"picture.{suffix}"))
    assert read.shape == PICTURE.shape and read.dtype == np.uint8 and read.flags.writeable
    assert np.abs(read.astype(int) - PICTURE).mean() < (4 if suffix in ("jpg", "webp") else 0.01)


def _exif(content: bytes, orientation: int) -> bytes:
    """A JPEG file's content with that EXIF orientation."""
    tag = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + tag + struct.pack("<I", 0)
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + content[2:]


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    content = _write(tmp_path / "plain.jpg").read_bytes()
    turned = {
        1: lambda x: x,
        2: np.fliplr,
        3: lambda x: np.rot90(x, 2),
        4: np.flipud,
        5: lambda x: np.swapaxes(x, 0, 1),
    }
    turned |= {6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(np.swapaxes(x, 0, 1), 2), 8: np.rot90}
    for orientation, expected in turned.items():
        (tmp_path / "turned.jpg").write_bytes(_exif(content, orientation))
        read = read_picture(tmp_path / "turned.jpg")
        assert read.shape == expected(PICTURE).shape
        assert np.abs(read.astype(int) - expected(PICTURE)).mean() < 4, orientation


def test_what_is_transparent_is_over_black(tmp_path: Path) -> None:
    picture = np.full((40, 60, 4), 255, np.uint8)
    picture[:, 20:40, 3], picture[:, 40:, 3] = 128, 0
    read = read_picture(_write(tmp_path / "alpha.png", picture))
    np.testing.assert_allclose(read[:, :20], 255)
    np.testing.assert_allclose(read[:, 20:40], 128, atol=1)
    np.testing.assert_allclose(read[:, 40:], 0)


def test_the_shorter_side_is_scaled_never_enlarged(tmp_path: Path) -> None:
    path = _write(tmp_path / "picture.png")
    read = read_picture(path, short_side=20)
    assert read.shape == (20, 30, 3)
    means = PICTURE.reshape(20, 2, 30, 2, 3).mean((1, 3))
    assert np.abs(read - means).mean() < 8
    assert read_picture(path, short_side=100).shape == PICTURE.shape
    upright = _write(tmp_path / "upright.png", np.ascontiguousarray(np.rot90(PICTURE)))
    assert read_picture(upright, short_side=20).shape == (30, 20, 3)


@pytest.mark.parametrize("name", ["-y.jpg", "%03d.jpg", "a:b.jpg", "new\nline;$(x).jpg", "*.jpg", "ü [0]'.jpg"])
def test_only_the_file_of_that_name_is_read(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = _write(tmp_path / "plain.png").read_bytes()
    _write(tmp_path / "001.jpg", np.full((10, 10, 3), 99, np.uint8))
    Path(name).write_bytes(content)
    np.testing.assert_array_equal(read_picture(Path(name)), PICTURE)
    Path(name).unlink()
    with pytest.raises(UnusableVideo, match="unreadable: No such file"):
        read_picture(Path(name))


def test_what_is_no_picture_says_why(tmp_path: Path) -> None:
    cut = _write(tmp_path / "whole.png").read_bytes()[:60]
    wrong = {"empty": b"", "list": b"#EXTM3U\n001.jpg\n", "cut": cut}
    reasons = {}
    for name, content in wrong.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnusableVideo) as caught:
            read_picture(tmp_path / name)
        reasons[name] = caught.value.reason
    assert reasons["empty"] == "empty file (0 bytes)"
    assert reasons["list"] == "unreadable: no picture of a known kind"
    assert reasons["cut"].startswith("unreadable: ") and str(tmp_path) not in reasons["cut"]
