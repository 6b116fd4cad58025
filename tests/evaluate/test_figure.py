import numpy as np

from vgan.evaluate.figure import beside
from vgan.pictures import GAP


def test_rows_are_clips_and_columns_are_frames_from_first_to_last() -> None:
    rng = np.random.default_rng(0)
    real, generated = rng.integers(0, 256, (2, 3, 9, 64, 64, 3), dtype=np.uint8)
    picture = beside(real, generated, 5)
    side = 5 * (64 + GAP) - GAP
    top, middle = picture.shape[0] - 3 * (64 + GAP) + GAP, picture.shape[1] - 2 * side
    assert picture.dtype == np.uint8 and middle > GAP and top > 0
    for clips, left in ((real, 0), (generated, side + middle)):
        for row in range(3):
            for column, frame in enumerate((0, 2, 4, 6, 8)):
                y, x = top + row * (64 + GAP), left + column * (64 + GAP)
                assert np.array_equal(picture[y : y + 64, x : x + 64], clips[row, frame])
    assert (picture[top:, side : side + middle] == 255).all()
    assert (picture[:top, :side] < 128).any() and (picture[:top, side + middle :] < 128).any()  # the words


def test_small_frames_are_enlarged_pixel_by_pixel() -> None:
    clips = np.random.default_rng(1).integers(0, 256, (1, 4, 16, 16, 3), dtype=np.uint8)
    picture = beside(clips, clips, 1)
    assert np.array_equal(picture[-64:, :64][::4, ::4], clips[0, 0])
    assert np.array_equal(picture[-64:, :64][3::4, 3::4], clips[0, 0])
