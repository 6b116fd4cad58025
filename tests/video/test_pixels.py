"""Footage of every kind: the pixels that come are those that were filmed."""

import struct
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.footage_factory import ffmpeg, filmed, scene, shake
from vgan.video import ffmpeg_binary, probe, read_frames

Frames = NDArray[np.uint8]

# Smooth, as most codecs halve the colours' size.
FRAMES = filmed(cv2.GaussianBlur(scene(0), (0, 0), 8), shake(6, 0))[:, :64, :96]
LOSSLESS = ("-c:v", "libx264", "-qp", "1")


def _encoded(path: Path, frames: Frames, *options: str, pixels: str = "rgb24") -> Path:
    """Raw frames through ffmpeg into `path` with these options of the output."""
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    command = [ffmpeg_binary(), "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", pixels, "-s", size]
    subprocess.run([*command, "-r", "25", "-i", "-", *options, str(path)], input=frames.tobytes(), check=True)
    return path


def _read(path: Path, **options: object) -> Frames:
    return np.stack(list(read_frames(path, probe(path), **options)))  # type: ignore[arg-type]


def _error(read: Frames, expected: Frames) -> float:
    assert read.shape == expected.shape
    return float(np.abs(read.astype(int) - expected).mean())


@pytest.mark.parametrize(
    ("pixels", "codec"),
    [
        ("yuv420p", "libx264"),
        ("yuvj420p", "mjpeg"),
        ("yuv444p", "libx264"),
        ("yuv422p10le", "libx264"),
        ("yuv420p10le", "libx264"),
        ("yuv422p12le", "ffv1"),
        ("gbrp", "ffv1"),
        ("gbrp16le", "ffv1"),
        ("bgr0", "ffv1"),
        ("rgb24", "png"),
    ],
)
def test_depth_and_sampling(tmp_path: Path, pixels: str, codec: str) -> None:
    path = _encoded(tmp_path / "video.mkv", FRAMES, "-c:v", codec, "-q:v", "1", "-pix_fmt", pixels)
    assert _error(_read(path), FRAMES) < 2.5


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "gbrp"])
def test_smaller_frames_are_averages(tmp_path: Path, pixels: str) -> None:
    path = _encoded(tmp_path / "video.mkv", FRAMES, "-c:v", "ffv1", "-pix_fmt", pixels)
    expected = [cv2.resize(frame, (32, 21), interpolation=cv2.INTER_AREA) for frame in FRAMES]
    assert _error(_read(path, short_side=21), np.stack(expected)) < 1.5


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("limits", ["tv", "pc"])
def test_matrix_and_range_are_those_the_file_states(tmp_path: Path, matrix: str, limits: str) -> None:
    bars = np.zeros((3, 32, 64, 3), np.uint8)
    for place in range(8):
        bars[:, :, place * 8 : place * 8 + 8] = [255 * (place >> bit & 1) for bit in range(3)]
    name = {"smpte170m": "bt601", "bt2020nc": "bt2020"}.get(matrix, matrix)
    convert = f"scale=out_color_matrix={name}:out_range={limits},format=yuv444p"
    tags = ("-colorspace", matrix, "-color_range", limits)
    path = _encoded(tmp_path / "video.mkv", bars, "-vf", convert, *LOSSLESS, *tags)
    assert np.abs(_read(path)[:, 16].astype(int) - bars[:, 16]).max() <= 4
    small = _read(path, short_side=16)  # takes another way
    assert small.shape == (3, 16, 32, 3)
    assert np.abs(small[:, 8, 1::4].astype(int) - bars[:, 16, 3::8]).max() <= 24  # next to the bars' edges


@pytest.mark.parametrize(("width", "height", "matrix"), [(320, 240, "bt601"), (1280, 96, "bt709"), (640, 580, "bt709")])
def test_colours_that_are_not_told_are_televisions_of_that_size(
    tmp_path: Path, width: int, height: int, matrix: str
) -> None:
    plain = np.full((1, height, width, 3), (200, 60, 40), np.uint8)
    convert = f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv444p,setparams=colorspace=unknown"
    path = _encoded(tmp_path / "video.mkv", plain, "-vf", convert, "-c:v", "ffv1")
    assert np.abs(_read(path).astype(int) - plain).max() <= 3
    assert np.abs(_read(path, short_side=height // 2).astype(int) - plain[0, 0, 0]).max() <= 3


@pytest.mark.parametrize(("pixels", "limits"), [("gray", "pc"), ("gray", "tv"), ("gray10le", "pc"), ("gray10le", "tv")])
def test_grey(tmp_path: Path, pixels: str, limits: str) -> None:
    levels = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (2, 32, 1))
    black, white = (16, 235) if limits == "tv" else (0, 255)
    coded = np.round(black + levels / 255 * (white - black)).astype(np.uint8)
    tags = f"format={pixels},setparams=range={limits}"
    path = _encoded(tmp_path / "video.mkv", coded, "-vf", tags, "-c:v", "ffv1", pixels="gray")
    read = _read(path)
    assert read.shape == (2, 32, 64, 3) and (np.ptp(read, axis=3) == 0).all()
    assert np.abs(read[..., 0].astype(int) - levels).max() <= 2


@pytest.mark.parametrize(("pixels", "codec"), [("bgra", "qtrle"), ("yuva444p", "ffv1"), ("gbrap10le", "ffv1")])
def test_what_is_transparent_is_over_black(tmp_path: Path, pixels: str, codec: str) -> None:
    frames = np.zeros((2, 32, 60, 4), np.uint8)
    frames[...] = (200, 100, 50, 255)
    frames[:, :, 20:40, 3], frames[:, :, 40:, 3] = 128, 0
    suffix = "mov" if codec == "qtrle" else "mkv"
    path = _encoded(tmp_path / f"v.{suffix}", frames, "-c:v", codec, "-pix_fmt", pixels, pixels="rgba")
    read = _read(path)
    for left, share in ((4, 1.0), (24, 128 / 255), (44, 0.0)):
        np.testing.assert_allclose(
            read[:, :, left : left + 12], np.full((2, 32, 12, 3), (200, 100, 50)) * share, atol=3
        )


def test_a_gif_of_transparent_parts(tmp_path: Path) -> None:
    picture = "color=white:size=32x32:rate=10:duration=0.3,format=rgba,geq=r=255:g=255:b=255:a='255*gt(X,15)'"
    ffmpeg("-f", "lavfi", "-i", f"{picture},split[a][b];[a]palettegen[p];[b][p]paletteuse", tmp_path / "a.gif")
    read = _read(tmp_path / "a.gif")
    assert read.shape == (3, 32, 32, 3) and (read[:, :, :16] == 0).all() and (read[:, :, 16:] > 250).all()


def _turn(path: Path, quarters: int, *, mirrored: bool = False) -> None:
    """Write into an mp4 file that its pictures are shown turned counterclockwise, then mirrored left to right."""
    a, b, c, d = [(1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)][quarters]
    a, c = (-a, -c) if mirrored else (a, c)
    content = path.read_bytes()
    place = content.index(b"tkhd") + 44
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content[:place] + matrix + content[place + 36 :])


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_turned_and_mirrored_footage_is_upright(tmp_path: Path, quarters: int, mirrored: bool) -> None:
    path = _encoded(tmp_path / "video.mp4", FRAMES, *LOSSLESS, "-pix_fmt", "yuv420p")
    _turn(path, quarters, mirrored=mirrored)
    turned = np.rot90(FRAMES, quarters, (1, 2))
    turned = turned[:, :, ::-1] if mirrored else turned
    assert (probe(path).width, probe(path).height) == turned.shape[2:0:-1]
    assert _error(_read(path), turned) < 2.5


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    path = _encoded(tmp_path / "wide.mp4", FRAMES, *LOSSLESS, "-vf", "format=yuv420p,setsar=2/1")
    info = probe(path)
    assert (info.width, info.height) == (192, 64)
    wide = np.stack([cv2.resize(frame, (192, 64), interpolation=cv2.INTER_CUBIC) for frame in FRAMES])
    assert _error(_read(path), wide) < 2.5
    _turn(path, 1)
    narrow = [cv2.resize(np.rot90(frame), (32, 96), interpolation=cv2.INTER_AREA) for frame in FRAMES]
    assert _error(_read(path), np.stack(narrow)) < 2.5


@pytest.mark.parametrize(("width", "height"), [(61, 33), (1, 1), (2, 3), (7, 64), (9, 8)])
def test_odd_sizes_are_read(tmp_path: Path, width: int, height: int) -> None:
    frames = np.ascontiguousarray(FRAMES[:, :height, :width])
    path = _encoded(tmp_path / "odd.mkv", frames, "-c:v", "ffv1", "-pix_fmt", "yuv444p")
    assert _error(_read(path), frames) < 2.5


def _moving(count: int, step: int) -> Frames:
    """A bright bar that moves `step` pixels from frame to frame over a smooth ground."""
    frames = np.stack([FRAMES[0]] * count)
    for index, frame in enumerate(frames):
        frame[:, 10 + step * index : 20 + step * index] = 230
    return frames


@pytest.mark.parametrize("fields", ["tff", "bff"])
def test_interlaced_frames_become_progressive_one_for_one(tmp_path: Path, fields: str) -> None:
    filmed_at_50 = _moving(20, 3)
    weave = f"tinterlace=interleave_{'top' if fields == 'tff' else 'bottom'},setfield={fields},format=yuv420p"
    path = _encoded(tmp_path / "video.mkv", filmed_at_50, "-vf", weave, *LOSSLESS, "-flags", "+ilme+ildct")
    read, expected = _read(path), filmed_at_50[::2]
    woven = expected.copy()
    odd = slice(1, None, 2) if fields == "tff" else slice(0, None, 2)
    woven[:, odd] = filmed_at_50[1::2, odd]
    assert _error(read, expected) < 0.5 * _error(woven, expected)
    lines = np.abs(np.diff(read[2:-2].astype(int), axis=1)).mean()
    assert lines < 0.3 * np.abs(np.diff(woven[2:-2].astype(int), axis=1)).mean()


def test_progressive_frames_are_not_touched_by_deinterlacing(tmp_path: Path) -> None:
    path = _encoded(tmp_path / "video.mkv", FRAMES, *LOSSLESS, "-pix_fmt", "yuv420p")
    ffmpeg("-i", path, "-vf", "scale=96:64:flags=bicubic", "-pix_fmt", "rgb24", "-f", "rawvideo", tmp_path / "raw")
    plain = np.fromfile(tmp_path / "raw", np.uint8).reshape(FRAMES.shape)
    np.testing.assert_array_equal(_read(path), plain)


def test_only_the_first_video_stream_is_taken(tmp_path: Path) -> None:
    one = _encoded(tmp_path / "one.mp4", FRAMES, *LOSSLESS, "-pix_fmt", "yuv420p")
    other = _encoded(tmp_path / "other.mp4", FRAMES[:, :32, :32], *LOSSLESS, "-pix_fmt", "yuv420p")
    cover = tmp_path / "cover.png"
    assert cv2.imwrite(str(cover), np.full((300, 300, 3), 9, np.uint8))
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nwords\n")
    sound = ("-f", "lavfi", "-i", "sine=duration=0.3")
    maps = ("-map", "1:a", "-map", "2:s", "-map", "0:v", "-map", "3:v", "-c", "copy", "-c:a", "aac", "-c:s", "mov_text")
    mixed = tmp_path / "mixed.mp4"
    ffmpeg("-i", one, *sound, "-i", tmp_path / "words.srt", "-i", other, *maps, mixed)
    assert _error(_read(mixed), FRAMES) < 2.5
    covered = tmp_path / "covered.mp4"
    pictures = ("-map", "1", "-map", "0", "-c", "copy", "-disposition:v:0", "attached_pic")
    ffmpeg("-i", one, "-i", cover, *pictures, covered)
    assert _error(_read(covered), FRAMES) < 2.5
    alone = tmp_path / "alone.m4v"
    ffmpeg(*sound, "-i", cover, "-c:a", "aac", "-c:v", "copy", "-disposition:v:0", "attached_pic", "-f", "mp4", alone)
    with pytest.raises(Exception, match="no video stream"):
        probe(alone)
