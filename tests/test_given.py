from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.evaluate.clips import moving_blobs, write_clips
from vgan.errors import VganError
from vgan.given import from_files, from_store
from vgan.models.weights import GeneratorInfo
from vgan.pictures import write_png
from vgan.video import write_video


def _info(context: int, size: int = 32) -> GeneratorInfo:
    return GeneratorInfo("content_motion", 2, 0, 16, size, 25.0, 1, "none", context)


def _picture(path: Path, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), np.uint8)
    picture = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    write_png(path, picture)
    return picture


def test_pictures_alone_stand_still(tmp_path: Path) -> None:
    wide, tall = _picture(tmp_path / "wide.png", 64, 128), _picture(tmp_path / "tall.png", 96, 32, 1)
    clips, pictures = from_files([tmp_path / "wide.png", tmp_path / "tall.png"], [], _info(4))
    assert pictures is None and clips.shape == (2, 4, 32, 32, 3)
    assert all((clips[:, t] == clips[:, 0]).all() for t in range(4))
    middle = wide[:, 32:96].reshape(32, 2, 32, 2, 3).mean((1, 3))  # half the size, the middle of the longer side
    assert np.abs(clips[0, 0].numpy() - middle).max() <= 1
    assert (clips[1, 0].numpy() == tall[32:64]).all()


def test_pictures_smaller_than_the_clips_are_enlarged(tmp_path: Path) -> None:
    write_png(tmp_path / "small.png", np.full((8, 10, 3), (10, 200, 90), np.uint8))
    clips, _ = from_files([tmp_path / "small.png"], [], _info(1))
    assert clips.shape == (1, 1, 32, 32, 3)
    assert (clips == clips.new_tensor([10, 200, 90])).all()


def test_clips_alone_give_their_first_frames(tmp_path: Path) -> None:
    frames = moving_blobs(1, 0, frames=9, size=64)[0]
    write_video(tmp_path / "a.mp4", frames, 25.0)
    clips, pictures = from_files([], [tmp_path / "a.mp4"], _info(5))
    assert pictures is None and clips.shape == (1, 5, 32, 32, 3)
    expected = frames[:5].reshape(5, 32, 2, 32, 2, 3).mean((2, 4))
    errors = np.abs(clips[0].numpy()[:, None] - expected).mean((2, 3, 4))
    assert errors.diagonal().max() < 4


def test_pictures_and_clips_go_together_the_fewer_counted_round(tmp_path: Path) -> None:
    for number in range(3):
        _picture(tmp_path / f"{number}.png", 32, 32, number)
    write_video(tmp_path / "a.mp4", moving_blobs(1, 0)[0], 25.0)
    clips, pictures = from_files([tmp_path / f"{n}.png" for n in range(3)], [tmp_path / "a.mp4"], _info(3))
    assert pictures is not None and pictures.shape == (3, 32, 32, 3) and clips.shape == (3, 3, 32, 32, 3)
    assert (clips == clips[:1]).all() and not (pictures == pictures[:1]).all()


def test_a_folder_stands_for_its_pictures_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for name, seed in (("b.png", 1), ("a.png", 0), (".hidden", 2)):
        _picture(folder / name, 32, 32, seed)
    (folder / "inner").mkdir()
    clips, _ = from_files([folder], [], _info(1))
    single, _ = from_files([folder / "a.png", folder / "b.png"], [], _info(1))
    assert (clips == single).all()
    with pytest.raises(VganError, match="inner, found no file"):
        from_files([folder / "inner"], [], _info(1))


def test_what_cannot_be_gone_on_from_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("no picture")
    write_video(tmp_path / "a.mp4", moving_blobs(1, 0)[0], 25.0)
    with pytest.raises(VganError, match=r"expected a picture at .*words.png, but: unreadable"):
        from_files([tmp_path / "words.png"], [], _info(1))
    with pytest.raises(VganError, match=r"expected a video at .*none.mp4, but: unreadable"):
        from_files([], [tmp_path / "none.mp4"], _info(1))
    with pytest.raises(VganError, match=r"a video of at least 17 frames at .*a.mp4, got 16"):
        from_files([], [tmp_path / "a.mp4"], _info(17))
    _picture(tmp_path / "good.png", 32, 32)
    with pytest.raises(VganError, match="got both: leave one out"):
        from_files([tmp_path / "good.png"], [tmp_path / "a.mp4"], _info(1))


def test_the_store_gives_beginnings_of_held_out_clips(tmp_path: Path) -> None:
    train, test = moving_blobs(9, 0), moving_blobs(8, 1)
    write_clips(tmp_path / "clips", train, test)
    clips, pictures = from_store(tmp_path / "clips", _info(4), 5, seed=0)
    assert pictures is None and clips.shape == (5, 4, 32, 32, 3)
    places = [next(i for i, other in enumerate(test) if (clip.numpy() == other[:4]).all()) for clip in clips]
    assert len(set(places)) == 5
    more, _ = from_store(tmp_path / "clips", _info(4), 99, seed=0)
    assert len(more) == 8 and (more[:5] == clips).all()
    other, _ = from_store(tmp_path / "clips", _info(4), 5, seed=1)
    assert not (other == clips).all()
    write_clips(tmp_path / "none held out", train, test[:0])
    assert len(from_store(tmp_path / "none held out", _info(4), 99, seed=0).clips) == 9
    with pytest.raises(VganError, match="16 frames of 64 pixels, found 16 of 32"):
        from_store(tmp_path / "clips", _info(4, size=64), 5, seed=0)
