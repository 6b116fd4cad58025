"""One video to shards and record."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.footage_factory import ffmpeg, filmed, params, scene, shake
from tests.test_architecture import closure, name_of
from vgan import video
from vgan.clips import manifest
from vgan.clips.store import ClipStore
from vgan.preprocess import convert as convert_module
from vgan.preprocess.convert import convert, video_key
from vgan.preprocess.records import load_record, record_path
from vgan.preprocess.sources import Source
from vgan.preprocess.windows import candidates
from vgan.video import UnusableVideo, write_video

KEY = "0123456789abcdef"


def _source(tmp_path: Path, count: int = 40, name: str = "a/clip.mp4") -> Source:
    path = tmp_path / "raw" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, filmed(scene(0), shake(count, 0)), 10)
    return Source(path=path, name=name, label="a")


def test_kept_clips_lie_where_the_rows_say(tmp_path: Path) -> None:
    result = convert(_source(tmp_path), KEY, params(), tmp_path / "clips")
    assert [row.start for row in result.rows] == [0, 8, 16, 24] and not result.failed and result.reason == ""
    assert {(row.label, row.source, row.fps, row.shard) for row in result.rows} == {
        ("a", "a/clip.mp4", 10.0, f"shards/{KEY}-00000.tar")
    }
    assert [row.id for row in result.rows] == [f"{KEY}-{start:06d}" for start in (0, 8, 16, 24)]
    manifest.write(tmp_path / "clips", result.rows)
    store = ClipStore(tmp_path / "clips")
    clip = store.gather(np.array([1]))[0]
    frames = list(video.read_frames(tmp_path / "raw/a/clip.mp4", video.probe(tmp_path / "raw/a/clip.mp4")))
    plain = next(candidates(np.stack(frames[8:24]), params(stabilizer="none"))).pixels
    assert plain is not None
    np.testing.assert_array_equal(clip[0], plain[0])


def test_videos_are_brought_to_the_rate_asked_for(tmp_path: Path) -> None:
    source = _source(tmp_path, 80)  # 8 s
    slow = convert(source, KEY, params(fps=5), tmp_path / "slow")
    native = convert(source, KEY, params(stride=16), tmp_path / "native")
    assert [row.start for row in slow.rows] == [0, 8, 16, 24] and {row.fps for row in slow.rows} == {5.0}
    assert [row.start for row in native.rows] == [0, 16, 32, 48, 64] and {row.fps for row in native.rows} == {10.0}
    assert video_key(source, "1234", params(fps=5)) != video_key(source, "1234", params())


def test_only_the_seconds_asked_for_are_used(tmp_path: Path) -> None:
    whole = _source(tmp_path, 80)  # 8 s
    part = replace(whole, start_s=2.0, end_s=4.4)
    section = params(stabilizer="none")
    result = convert(part, KEY, section, tmp_path / "clips")
    assert [row.start for row in result.rows] == [0, 8]  # 24 frames
    manifest.write(tmp_path / "clips", result.rows)
    everything = convert(whole, KEY, params(stabilizer="none", stride=4), tmp_path / "all")
    manifest.write(tmp_path / "all", everything.rows)
    same = [row.start for row in everything.rows].index(20)
    clip = ClipStore(tmp_path / "clips").gather(np.array([0]))
    np.testing.assert_array_equal(clip, ClipStore(tmp_path / "all").gather(np.array([same])))
    late = convert(replace(whole, start_s=9.0), KEY, section, tmp_path / "late")
    assert late.failed and late.reason == "splits.csv takes it from 9 s on, it has 8 s"
    short = convert(replace(whole, start_s=7.0), KEY, section, tmp_path / "short")
    assert short.reason == "too short: 10 frames, a clip needs 16"


def test_record_gives_back_what_was_found(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    source = _source(tmp_path)
    result = convert(source, KEY, params(), clips)
    assert str(load_record(clips, KEY)) == str(result)  # NaN is not equal to itself
    content = record_path(clips, KEY).read_bytes()
    convert(source, KEY, params(), clips)
    assert record_path(clips, KEY).read_bytes() == content
    shard = clips / result.rows[0].shard
    shard.write_bytes(shard.read_bytes()[:-512])
    assert load_record(clips, KEY) is None
    shard.unlink()
    assert load_record(clips, KEY) is None
    record_path(clips, KEY).write_text("{")
    assert load_record(clips, KEY) is None
    assert load_record(clips, "f" * 16) is None


def test_unusable_videos_are_recorded_with_their_reason(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    short = convert(_source(tmp_path, 15), KEY, params(), clips)
    assert short.failed and short.reason == "too short: 15 frames, a clip needs 16"
    path = tmp_path / "raw/cuts.mp4"
    shots = [filmed(scene(k), shake(12, k, shift=0.2, turn=0.001)) for k in range(3)]
    write_video(path, np.concatenate(shots), 10)
    cut = convert(Source(path, "cuts.mp4", ""), "b" * 16, params(), clips)
    assert cut.failed and cut.reason == "no shot of 16 frames"
    path.write_bytes(b"")
    empty = convert(Source(path, "cuts.mp4", ""), "c" * 16, params(), clips)
    assert empty.reason == "empty file (0 bytes)"
    assert load_record(clips, "c" * 16) == empty and not list(clips.rglob("*.tar"))


@pytest.mark.parametrize(("height", "width"), [(4, 4), (10, 40), (11, 200)])
def test_pictures_of_a_few_pixels_do_not_stop_it(tmp_path: Path, height: int, width: int) -> None:
    path = tmp_path / "tiny.mp4"
    frames = np.random.default_rng(0).integers(0, 255, (24, height // 2 * 2, width, 3), np.uint8)
    write_video(path, frames, 10)
    result = convert(Source(path, "tiny.mp4", ""), KEY, params(), tmp_path / "clips")
    assert result.rows or result.reason


def test_what_opencv_refuses_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> object:
        raise cv2.error("(-215:Assertion failed)\n in function 'warp'")

    monkeypatch.setattr("vgan.preprocess.convert.candidates", refused)
    result = convert(_source(tmp_path), KEY, params(), tmp_path / "clips")
    assert result.failed and result.reason.startswith("OpenCV cannot work on it: (-215:Assertion failed)")
    assert load_record(tmp_path / "clips", KEY) == result


def test_clips_before_the_damage_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = video.read_frames

    def damaged(*args: object, **kwargs: object) -> object:
        yield from list(read(*args, **kwargs))[:30]  # type: ignore[arg-type]
        raise UnusableVideo("damaged after 30 frames: bad block")

    monkeypatch.setattr(video, "read_frames", damaged)
    result = convert(_source(tmp_path), KEY, params(), tmp_path / "clips")
    assert [row.start for row in result.rows] == [0, 8] and all(row.kept for row in result.rows)
    assert result.reason == "damaged after 30 frames: bad block" and not result.failed
    assert str(load_record(tmp_path / "clips", KEY)) == str(result)


def test_a_decoder_that_hangs_is_tried_again_another_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hanging(*_: object, **__: object) -> object:
        raise UnusableVideo("timed out: no frame within 20 s", lasting=False)

    source = _source(tmp_path)
    monkeypatch.setattr(video, "probe", hanging)
    result = convert(source, KEY, params(), tmp_path / "clips")
    assert result.failed and not result.lasting
    assert load_record(tmp_path / "clips", KEY) == result


def test_key_stands_for_all_that_shapes_the_clips(tmp_path: Path) -> None:
    source = Source(tmp_path / "x.mp4", "x.mp4", "")
    key = video_key(source, "1234", params())
    assert len(key) == 16 and int(key, 16) >= 0
    assert (
        video_key(source, "1234", params(test_share=0.9, test_by="video", max_failed_share=1.0, timeout_s=1.0)) == key
    )
    others = [
        video_key(source, "1235", params()),
        video_key(Source(tmp_path / "y.mp4", "y.mp4", ""), "1234", params()),
        video_key(Source(tmp_path / "x.mp4", "x.mp4", "a"), "1234", params()),
        video_key(Source(tmp_path / "x.mp4", "x.mp4", "", 1.0), "1234", params()),
        video_key(Source(tmp_path / "x.mp4", "x.mp4", "", 0.0, 1.0), "1234", params()),
        video_key(source, "1234", params(stride=9)),
        video_key(source, "1234", params(stabilizer="none")),
        video_key(source, "1234", params(max_filled_share=0.4)),
    ]
    assert len({key, *others}) == 9


def test_only_code_that_sees_no_pixels_is_left_out_of_the_key() -> None:
    room = ROOT / "vgan/preprocess"
    seeing = {name_of(path) for path in closure(room / "convert.py")}
    for name in convert_module._NO_PIXELS:
        assert (room / f"{name}.py").exists() and f"vgan/preprocess/{name}.py" not in seeing


def test_sound_beside_the_picture_does_no_harm(tmp_path: Path) -> None:
    source = _source(tmp_path)
    both = tmp_path / "raw/both.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-i", source.path, "-c:v", "copy", both)
    result = convert(Source(both, "both.mp4", ""), KEY, params(), tmp_path / "clips")
    assert len(result.rows) == 4


def test_a_video_that_vanishes_is_tried_again_another_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _source(tmp_path)
    probe = video.probe

    def then_gone(path: Path, **options: float) -> video.VideoInfo:
        info = probe(path, **options)
        path.unlink()
        return info

    monkeypatch.setattr(video, "probe", then_gone)
    result = convert(source, KEY, params(), tmp_path / "clips")
    assert result.failed and result.reason == "unreadable: No such file or directory" and not result.lasting
