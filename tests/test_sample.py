from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.evaluate.clips import moving_blobs, write_clips
from tests.evaluate.generators import CONTEXT, lively_generator
from vgan.config import SampleParams
from vgan.errors import VganError
from vgan.models.generator import TwoStreamGenerator, draw_noise, generate
from vgan.models.weights import GeneratorInfo, save_generator
from vgan.pictures import tile, write_png
from vgan.sample import run
from vgan.video import probe, read_frames, write_video

_PARAMS = SampleParams(seed=5, count=5, streams=2)
_FPS = 12.5
_STREAMS = [
    f"streams/video-{i:03d}-{name}" for i in (0, 1) for name in ("background.png", "foreground.mp4", "mask.mp4")
]
_FILES = ["grid.gif", "grid.png", *_STREAMS, *(f"video-{i:03d}.mp4" for i in range(5))]


def _saved(path: Path, kind: str) -> Path:
    info = GeneratorInfo(
        generator=kind, channels=2, latent_dim=5, frames=16, size=32, fps=_FPS, step=1, clips_digest="none"
    )
    save_generator(path, lively_generator(kind), info)
    return path


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _saved(tmp_path_factory.mktemp("models") / "generator.safetensors", "two_stream")


@pytest.fixture(scope="module")
def samples(generator: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sampled") / "samples"
    assert _run(_PARAMS, generator, folder) == [folder / name for name in _FILES]
    return folder


@pytest.fixture(scope="module")
def videos() -> NDArray[np.uint8]:
    """What the generator makes from the seed, uint8 5 x 16 x 32 x 32 x 3."""
    return np.concatenate([b.numpy() for b in generate(lively_generator("two_stream"), 5, _PARAMS.seed, 5)])


def _run(params: SampleParams, generator: Path, out: Path) -> list[Path]:
    return run(params, generator, out, clips=out.with_name("no-clips"))


def _decoded(path: Path) -> NDArray[np.uint8]:
    return np.stack(list(read_frames(path, probe(path))))


def _luma(pixels: NDArray[Any]) -> NDArray[Any]:
    """ITU-R BT.601's grey of red, green and blue: what a video keeps at full size, while colours are halved."""
    luma: NDArray[Any] = pixels @ np.array([0.299, 0.587, 0.114])
    return luma


def _distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean difference in grey levels."""
    return float(np.abs(_luma(a) - _luma(b)).mean())


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_videos_are_the_generators_at_its_size_length_and_rate(samples: Path, videos: NDArray[np.uint8]) -> None:
    for index, video in enumerate(videos):
        path = samples / f"video-{index:03d}.mp4"
        decoded = _decoded(path)
        assert decoded.shape == video.shape == (16, 32, 32, 3)
        assert probe(path).fps == _FPS
        errors = [_distance(decoded, other) for other in videos]
        assert errors[index] < 4 and np.argmin(errors) == index
        assert [int(np.argmin([_distance(frame, f) for f in video])) for frame in decoded] == list(range(16))


def test_grid_shows_all_videos_moving_and_their_middle_frames_still(samples: Path, videos: NDArray[np.uint8]) -> None:
    grid = tile(videos, 3)  # five are laid out three by two
    still = cv2.imread(str(samples / "grid.png"), cv2.IMREAD_COLOR_RGB)
    assert still is not None and np.array_equal(still, grid[8])
    moving = _decoded(samples / "grid.gif")
    assert moving.shape == grid.shape
    assert probe(samples / "grid.gif").fps == _FPS
    assert _distance(moving, grid) < 12  # 256 colours
    assert [int(np.argmin([_distance(frame, f) for f in grid])) for frame in moving] == list(range(16))


def test_streams_are_those_that_make_up_the_video(samples: Path, videos: NDArray[np.uint8]) -> None:
    network = lively_generator("two_stream")
    assert isinstance(network, TwoStreamGenerator)
    noise = draw_noise(2, 5, torch.Generator().manual_seed(_PARAMS.seed))
    with torch.no_grad():
        streams = network.streams(noise)
    for index in range(2):
        name = f"streams/video-{index:03d}"
        foreground, mask = (_decoded(samples / f"{name}-{stream}.mp4") for stream in ("foreground", "mask"))
        background = cv2.imread(str(samples / f"{name}-background.png"), cv2.IMREAD_COLOR_RGB)
        assert background is not None and background.shape == (32, 32, 3)
        expected = streams.background[index, :, 0].permute(1, 2, 0).add(1).mul(127.5).numpy()
        assert np.abs(background - expected).max() <= 0.5 + 1e-3
        expected = streams.mask[index, 0].mul(255).numpy()
        assert np.abs(mask.mean(-1) - expected).mean() < 4
        share = mask / 255
        composed = share * foreground + (1 - share) * background
        assert _distance(composed, videos[index]) < 4


def test_same_seed_same_bytes_other_seed_other_videos(generator: Path, samples: Path, tmp_path: Path) -> None:
    _run(_PARAMS, generator, tmp_path / "again")
    assert _bytes(tmp_path / "again") == _bytes(samples)
    _run(_PARAMS.model_copy(update={"seed": 6}), generator, tmp_path / "other")
    assert _bytes(tmp_path / "other")["video-000.mp4"] != _bytes(samples)["video-000.mp4"]


def test_fewer_videos_leave_none_of_the_earlier_ones_and_no_rubbish(
    generator: Path, samples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "samples"
    _run(_PARAMS, generator, out)
    (out / "stray.txt").write_text("from an earlier version")
    (tmp_path / ".samples.partial" / "streams").mkdir(parents=True)  # what a killed run left
    (tmp_path / ".samples.partial" / "video-099.mp4").write_bytes(b"half")
    files = _run(SampleParams(seed=5, count=2, streams=0), generator, out)
    assert [path.name for path in files] == ["grid.gif", "grid.png", "video-000.mp4", "video-001.mp4"]
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]
    before, after = _bytes(samples), _bytes(out)
    assert after["video-001.mp4"] == before["video-001.mp4"]  # the first videos do not depend on their number


def test_a_failed_run_leaves_the_old_samples(generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "samples"
    _run(SampleParams(seed=5, count=1, streams=0), generator, out)
    before = _bytes(out)

    def full(*_: object) -> None:
        raise VganError("no room")

    monkeypatch.setattr("vgan.sample.write_animation", full)
    with pytest.raises(VganError, match="no room"):
        _run(_PARAMS, generator, out)
    assert _bytes(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]


def test_one_stream_says_that_it_has_no_streams(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = _run(_PARAMS, _saved(tmp_path / "g", "one_stream"), tmp_path / "samples")
    assert len(files) == 5 + 2 and not (tmp_path / "samples" / "streams").exists()
    assert "one-stream generator has no foreground, mask and background" in capsys.readouterr().err


def _conditional(path: Path, kind: str, latent_dim: int = 5) -> Path:
    network = lively_generator(kind, latent_dim=latent_dim)
    save_generator(path, network, GeneratorInfo(kind, 2, latent_dim, 16, 32, _FPS, 1, "none", network.context))
    return path


def test_a_conditional_generator_goes_on_from_held_out_clips(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips", moving_blobs(4, 0), moving_blobs(3, 1))
    path = _conditional(tmp_path / "g", "content_motion")
    files = run(_PARAMS, path, tmp_path / "samples", clips=tmp_path / "clips")
    given = [f"given/video-{i:03d}.png" for i in range(5)]
    assert [file.relative_to(tmp_path / "samples").as_posix() for file in files] == sorted([*_FILES, *given])
    strip = cv2.imread(str(tmp_path / "samples/given/video-003.png"), cv2.IMREAD_COLOR_RGB)  # counted round
    again = cv2.imread(str(tmp_path / "samples/given/video-000.png"), cv2.IMREAD_COLOR_RGB)
    assert strip is not None and again is not None and np.array_equal(strip, again)
    frames = np.stack([strip[:, 34 * t : 34 * t + 32] for t in range(CONTEXT)])
    assert any(np.array_equal(frames, clip[:CONTEXT]) for clip in moving_blobs(3, 1))
    videos = [_decoded(tmp_path / f"samples/video-{i:03d}.mp4") for i in (0, 3)]
    assert all(_distance(video[:CONTEXT], frames) < 4 for video in videos)
    assert _distance(*(video[CONTEXT:] for video in videos)) > 4  # another noise, another future


def test_pictures_and_clips_of_the_user(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [np.full((40, 60, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(2)]
    images = [tmp_path / f"{i}.png" for i in range(2)]
    for image, picture in zip(images, pictures, strict=True):
        write_png(image, picture)
    write_video(tmp_path / "clip.mp4", moving_blobs(1, 0)[0], 25.0)
    generator, out = _conditional(tmp_path / "g", "content_motion"), tmp_path / "samples"
    run(_PARAMS, generator, out, clips=tmp_path / "none", images=images, videos=[tmp_path / "clip.mp4"])
    background = cv2.imread(str(out / "streams/video-001-background.png"), cv2.IMREAD_COLOR_RGB)
    assert background is not None and np.array_equal(background, pictures[1][:32, :32])
    for index in range(2):  # it begins with the picture: the clip gives its motion only
        video = _decoded(out / f"video-{index:03d}.mp4")
        assert len(video) == 16 and np.abs(video[:CONTEXT].astype(int) - pictures[index][0, 0]).mean() < 4
        strip = cv2.imread(str(out / f"given/video-{index:03d}.png"), cv2.IMREAD_COLOR_RGB)
        assert strip is not None and strip.shape == (32, (1 + CONTEXT) * 34 - 2, 3)
    run(_PARAMS, generator, out, clips=tmp_path / "none", videos=[tmp_path / "clip.mp4"])
    assert _distance(_decoded(out / "video-000.mp4")[:CONTEXT], moving_blobs(1, 0)[0, :CONTEXT]) < 6


def test_without_noise_there_is_one_video_of_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_png(tmp_path / "a.png", moving_blobs(1, 0)[0, 0])
    generator = _conditional(tmp_path / "g", "future", latent_dim=0)
    files = run(_PARAMS, generator, tmp_path / "samples", clips=tmp_path / "none", images=[tmp_path / "a.png"])
    names = {path.name for path in files}
    assert {"video-000.mp4", "video-000-mask.mp4", "video-000.png"} <= names and "video-001.mp4" not in names
    assert "1 instead of 5" in capsys.readouterr().err


def test_noise_alone_takes_no_pictures(generator: Path, tmp_path: Path) -> None:
    with pytest.raises(VganError, match="two_stream, which makes videos from noise"):
        run(_PARAMS, generator, tmp_path / "samples", clips=tmp_path / "none", images=[tmp_path / "a.png"])
    assert list(tmp_path.iterdir()) == []


def test_missing_generator_is_a_sentence_and_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(VganError, match="expected a trained generator"):
        _run(_PARAMS, tmp_path / "none", tmp_path / "samples")
    assert list(tmp_path.iterdir()) == []
