from pathlib import Path

import cv2
import numpy as np
import pytest

from vgan.pictures import GAP, tile, write_png


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (4, 2), (5, 3), (3, 5)])
def test_tiles_hold_every_video_at_its_place_and_white_elsewhere(count: int, columns: int) -> None:
    videos = np.random.default_rng(0).integers(0, 255, (count, 3, 4, 6, 3), dtype=np.uint8)
    grid = tile(videos, columns)
    rows = (count + columns - 1) // columns
    assert grid.shape == (3, rows * (4 + GAP) - GAP, columns * (6 + GAP) - GAP, 3)
    rest = grid.copy()
    for index, video in enumerate(videos):
        y, x = index // columns * (4 + GAP), index % columns * (6 + GAP)
        assert np.array_equal(grid[:, y : y + 4, x : x + 6], video)
        rest[:, y : y + 4, x : x + 6] = 255
    assert (rest == 255).all()


def test_png_holds_the_pixels_in_red_green_blue(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path = tmp_path / "new" / "picture.png"
    write_png(path, picture)
    read = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert read is not None and np.array_equal(read, picture)
    first = path.read_bytes()
    write_png(path, picture)
    assert path.read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]
