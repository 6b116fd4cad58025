"""A folder of bad and hostile files beside good ones: each named with its reason, the good ones' clips untouched."""

import gzip
import io
import os
import re
import socket
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.footage_factory import ffmpeg, filmed, params, scene, shake
from vgan.clips import manifest
from vgan.preprocess import stage
from vgan.video import write_video

GOOD = ("a/one.mp4", "a/two.mkv", "b/three.avi")
SECTION = params(test_by="video", test_share=0.4, max_failed_share=1.0, stabilizer="none")


def _film(path: Path, seed: int, count: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path.with_suffix(".mp4"), filmed(scene(seed), shake(count, seed))[:, :72, :96], 25)
    if path.suffix != ".mp4":
        ffmpeg("-i", path.with_suffix(".mp4"), "-c", "copy", path)
        path.with_suffix(".mp4").unlink()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good videos in containers of three kinds."""
    raw = tmp_path_factory.mktemp("good")
    for seed, name in enumerate(GOOD):
        _film(raw / name, seed)
    return raw


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """A port on loopback at which nobody should knock."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


# What a file may hold that makes a player read other files or the network. {other}: a good video beside it.
POINTERS = {
    "concat.mp4": "ffconcat version 1.0\nfile {other}\n",
    "playlist.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
    "network.ts": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n",
    "winamp.avi": "#EXTM3U\n{other}\n",
    "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
    'mimeType="video/mp4"><Representation id="0" bandwidth="1"><BaseURL>{address}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "session.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "subtitles.mkv": "# VobSub index file, v7 (do not modify this line!)\nsize: 720x480\nid: en, index: 0\n"
    "timestamp: 00:00:00:000, filepos: 000000000\n",
    "stream.wmv": '<asx version="3.0"><entry><ref href="{other}"/></entry></asx>',
    "reference.asf": "[Reference]\nRef1={address}?MSWMExt=.asf\n",
    "smooth.mp4": '<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2"/>',
    "package.mxf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
    "<Id>urn:uuid:1</Id></CompositionPlaylist>",
    "script.avi": 'AviSource("{other}")\n',
    "device.mkv": "testsrc=size=64x48:rate=25",
    "quicktime.mov": "RTSPtext\n{address}\n",
    "drawing.mov": '<svg xmlns="http://www.w3.org/2000/svg" xmlns:x="http://www.w3.org/1999/xlink" width="9">'
    '<image x:href="file://{other}"/></svg>',
    "page.webm": "<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "words.mp4": "1\n00:00:00,000 --> 00:00:01,000\nwords\n",
    "note.mpg": "the video will come later\n",
}


def _box(content: bytes, *path: bytes) -> list[int]:
    """Where each box of `path` starts in an mp4 file, one inside the other."""
    starts, place, end = [], 0, len(content)
    for name in path:
        while content[place + 4 : place + 8] != name:
            place += int.from_bytes(content[place : place + 4])
            assert place < end
        starts.append(place)
        end = place + int.from_bytes(content[place : place + 4])
        place += 8
    return starts


def _pointing_elsewhere(content: bytes, other: Path) -> bytes:
    """An mp4 file whose pictures lie in another one, as QuickTime's reference movies have it."""
    boxes = _box(content, b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")
    name, path = other.name.encode(), str(other).encode()
    alias = bytes(10) + b"\x02HD".ljust(28, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    alias += struct.pack(">HH", 1, 1) + bytes(16)
    alias += struct.pack(">HH", 2, len(path)) + path + bytes(len(path) % 2) + struct.pack(">HH", 0xFFFF, 0)
    entry = struct.pack(">I", len(alias) + 12) + b"alis" + bytes(4) + alias
    old = int.from_bytes(content[boxes[-1] + 16 : boxes[-1] + 20])
    changed = bytearray(content[: boxes[-1] + 16] + entry + content[boxes[-1] + 16 + old :])
    for start in boxes:
        size = int.from_bytes(changed[start : start + 4]) + len(entry) - old
        changed[start : start + 4] = size.to_bytes(4)
    return bytes(changed)


def _claiming(content: bytes, width: int, height: int) -> bytes:
    """An AVI file of raw pictures that claims other sides for them."""
    changed = bytearray(content)
    header, pictures = changed.index(b"avih") + 8, changed.index(b"strf") + 8
    changed[header + 32 : header + 40] = changed[pictures + 4 : pictures + 12] = struct.pack("<II", width, height)
    return bytes(changed)


def _lay_bad(folder: Path, other: Path) -> dict[str, str]:
    """Files that are no footage; returns what the reason of each must hold."""
    folder.mkdir(parents=True)
    video = other.read_bytes()
    still = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("video.mp4", video)
    moov = video.index(b"moov") - 4
    contents: dict[str, tuple[bytes, str]] = {
        "empty.mp4": (b"", "^empty file"),
        "noise.avi": (np.random.default_rng(0).bytes(4000), "^unreadable: "),
        "zeros.mp4": (bytes(9000), "^unreadable: "),
        "one_byte.mkv": (b"\x1a", "^unreadable: "),
        "begun.mp4": (video[:moov], "^unreadable: moov atom not found"),
        "head.mp4": (video[:200], "^no video stream"),
        "still.mp4": (still, "^unreadable: not a video file that holds its own pictures"),
        "picture%03d.mp4": (still, "^unreadable: not a video file that holds its own pictures"),
        "picture001.mp4": (still, "^unreadable: not a video file that holds its own pictures"),
        "packed.mp4": (archive.getvalue(), "^unreadable: "),
        "pressed.mp4": (gzip.compress(video), "^unreadable: "),
        "program.mp4": (b"\x7fELF\x02\x01\x01" + bytes(2000), "^unreadable: "),
        "paper.mp4": (b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" * 20, "^unreadable: "),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    return {name: reason for name, (_, reason) in contents.items()}


def _lay_made(folder: Path, other: Path) -> dict[str, str]:
    """Files that ffmpeg made and that are no footage, or were spoilt afterwards."""
    sound = ("-f", "lavfi", "-i", "sine=duration=0.3")
    picture = folder / "cover.png"
    assert cv2.imwrite(str(picture), np.zeros((64, 64, 3), np.uint8))
    ffmpeg(*sound, folder / "sound.mp4")
    ffmpeg(*sound, "-f", "wav", folder / "wave.avi")
    cover = ("-c:v", "copy", "-disposition:v:0", "attached_pic", "-f", "mp4")
    ffmpeg(*sound, "-i", picture, *cover, folder / "cover.m4v")
    picture.unlink()
    ffmpeg("-i", other, "-frames:v", "9", "-c:v", "mjpeg", folder / "short.avi")
    ffmpeg("-i", other, "-frames:v", "1", folder / "one_frame.gif")
    strip = ("-f", "lavfi", "-i", "color=size=4096x16:rate=25:duration=1")
    ffmpeg(*strip, "-c:v", "ffv1", folder / "strip.mkv")
    raw = folder / "raw.avi"
    ffmpeg("-i", other, "-frames:v", "2", "-c:v", "rawvideo", "-pix_fmt", "bgr24", raw)
    (folder / "huge.avi").write_bytes(_claiming(raw.read_bytes(), 60000, 60000))
    (folder / "huge.y4m").write_bytes(b"YUV4MPEG2 W60000 H60000 F25:1 C420\nFRAME\n" + bytes(5000))
    place = raw.read_bytes().index(b"strf") + 24
    (folder / "codec.avi").write_bytes(raw.read_bytes()[:place] + b"ZZZZ" + raw.read_bytes()[place + 4 :])
    raw.unlink()
    ffmpeg("-i", other, "-c:v", "mpeg4", "-q:v", "3", folder / "cut.mkv")
    content = (folder / "cut.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(content[: len(content) // 4])
    ffmpeg("-i", other, "-c:v", "copy", folder / "reference.mov")
    (folder / "reference.mov").write_bytes(_pointing_elsewhere((folder / "reference.mov").read_bytes(), other))
    none = "^no video stream"
    return {
        "sound.mp4": none,
        "wave.avi": "^(no video stream|unreadable: not a video file that holds its own)",
        "cover.m4v": none,
        "short.avi": "^too short: 9 frames, a clip needs 16$",
        "one_frame.gif": "^too short: 1 frames, a clip needs 16$",
        "strip.mkv": r"^a picture of 4096x16: one side is over 32 times the other$",
        "huge.avi": "60000x60000",
        "huge.y4m": "60000x60000",
        "codec.avi": "^unreadable: ",
        "cut.mkv": "^damaged: ends early, after ",
        "reference.mov": "^unreadable: its pictures lie in another file$",
    }


def _lay_odd(folder: Path) -> dict[str, str]:
    """Things in the file system that are no files."""
    os.mkfifo(folder / "pipe.mp4")
    (folder / "endless.mp4").symlink_to("/dev/zero")
    (folder / "gone.mp4").symlink_to("nowhere.mp4")
    (folder / "circle.mp4").symlink_to("circle.mp4")
    reasons = {"pipe.mp4": "^unreadable: not a regular file$", "endless.mp4": "^unreadable: not a regular file$"}
    return reasons | {"gone.mp4": "^unreadable: No such file", "circle.mp4": "^unreadable: Too many levels of symbolic"}


def _content(clips: Path, pattern: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in clips.glob(pattern)}


def test_bad_files_are_named_and_the_good_ones_clips_stay_as_they_were(
    good: Path, tmp_path: Path, door: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.run(SECTION, good, tmp_path / "alone", workers=1)
    raw, other = tmp_path / "raw", (good / GOOD[0]).resolve()
    for name in GOOD:
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes((good / name).read_bytes())
    port = door.getsockname()[1]
    places = {"other": str(other), "address": f"http://127.0.0.1:{port}/x.ts", "port": str(port)}
    expected = _lay_bad(raw / "bad", other) | _lay_made(raw / "bad", other) | _lay_odd(raw / "bad")
    for name, text in POINTERS.items():
        for key, place in places.items():
            text = text.replace("{" + key + "}", place)
        (raw / "bad" / name).write_text(text)
        expected[name] = "^unreadable: "
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    summary = stage.run(SECTION, raw, tmp_path / "mixed", workers=2)

    rows = manifest.read(tmp_path / "mixed")
    reasons = {row.source.removeprefix("bad/"): row.reason for row in rows if row.source.startswith("bad/")}
    assert len(expected) >= 30 and reasons.keys() == expected.keys()
    for name, reason in reasons.items():
        assert re.search(expected[name], reason), f"{name}: {reason}"
        assert str(tmp_path) not in reason and " @ " not in reason
    assert len(summary.failed) == len(expected)
    assert _content(tmp_path / "mixed", "shards/*") == _content(tmp_path / "alone", "shards/*") != {}
    kept = [row for row in rows if not row.source.startswith("bad/")]
    assert str(kept) == str(manifest.read(tmp_path / "alone"))
    with pytest.raises(BlockingIOError):
        door.accept()
    assert not list((tmp_path / "here").iterdir()) and len(list((raw / "bad").iterdir())) == len(expected)


NAMES = [
    b"-y.mp4",
    b"-i passwd -y.mp4",
    b"with space.mp4",
    b'it\'s "quoted" `touch owned`.mp4',
    b"new\nline.mp4",
    b"a; touch owned;.mp4",
    b"$(touch owned).mp4",
    b"${HOME} & touch owned | x > owned.mp4",
    b"p%03d %s %n.mp4",
    b"http:127.0.0.1:x.mp4",
    b"concat:a|b.mp4",
    b"pipe:0.mp4",
    b"[0] {x} *? ~ # ! ^ \\.mp4",
    b"tab\tand bell\x07 and escape\x1b[31m.mp4",
    b"latin \xe9\xff.mp4",
    "composed \u00e9.mp4".encode(),
    "decomposed e\u0301.mp4".encode(),
    "日本語 🎬 \u202e.mp4".encode(),
    b"x" * 251 + b".mp4",
    b"   .mp4",
]


def test_any_name_works_and_none_reaches_a_shell(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (good / GOOD[0]).read_bytes()
    folder = tmp_path / "raw" / "-f lavfi; $(touch owned)"
    folder.mkdir(parents=True)
    for name in NAMES:
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(content)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    stage.run(
        params(stabilizer="none", max_failed_share=0.0, test_share=0.0), tmp_path / "raw", tmp_path / "clips", workers=2
    )
    rows = manifest.read(tmp_path / "clips")
    assert len({row.source for row in rows}) == len(NAMES) and all(row.kept and not row.reason for row in rows)
    assert {row.label for row in rows} == {folder.name} and len(rows) == 4 * len(NAMES)
    assert not list((tmp_path / "here").iterdir()) and len(list(folder.iterdir())) == len(NAMES)
    assert not list(tmp_path.rglob("owned"))
