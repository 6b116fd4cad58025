"""What is said of a file before its frames are read."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.footage_factory import ffmpeg, filmed, scene, shake
from vgan.video import (
    UnusableVideo,
    probe,
    read_frames,
    write_video,
)

# Smooth, as yuv420p halves the colours' size.
FRAMES = filmed(cv2.GaussianBlur(scene(0), (0, 0), 3), shake(12, 0))[:, :64, :96]


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile other.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".gif"])
def test_playlists_are_no_videos(tmp_path: Path, text: str, suffix: str) -> None:
    write_video(tmp_path / "other.mp4", FRAMES, 25)
    path = tmp_path / f"list{suffix}"
    path.write_text(text)
    with pytest.raises(UnusableVideo, match="unreadable"):
        list(read_frames(path, probe(path)))


def test_unusable_files_say_why(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", tmp_path / "sound.mp4")
    reasons = {}
    for name in ("empty", "noise", "sound", "gone"):
        with pytest.raises(UnusableVideo) as caught:
            probe(tmp_path / f"{name}.mp4")
        reasons[name] = caught.value.reason
    assert reasons["empty"] == "empty file (0 bytes)"
    assert reasons["noise"].startswith("unreadable: ") and str(tmp_path) not in reasons["noise"]
    assert reasons["sound"] == "no video stream (audio only?)"
    assert reasons["gone"] == "unreadable: No such file or directory"
