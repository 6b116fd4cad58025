"""LSUN: its databases and folders of stills."""

from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest

from tests.importers.trees import bring_in, files, lay_out, lines, skipped
from vgan.errors import VganError
from vgan.preprocess.wishes import Wish, read_splits

WEBP, JPEG, PNG = (
    cv2.imencode(suffix, np.full((4, 4, 3), 90, np.uint8))[1].tobytes() for suffix in (".webp", ".jpg", ".png")
)


def _database(path: Path, pictures: dict[bytes, bytes]) -> Path:
    path.mkdir(parents=True)
    with lmdb.open(str(path), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for key, value in pictures.items():
            transaction.put(key, value)
    return path


def test_databases_give_stills_by_category_and_part(tmp_path: Path) -> None:
    _database(
        tmp_path / "lsun/dining_room_train_lmdb", {b"ab12": WEBP, b"../../up": JPEG, b"\xff\x00": PNG, b"x": b"?"}
    )
    _database(tmp_path / "lsun/dining_room_val_lmdb", {b"ab12": JPEG})
    _database(tmp_path / "lsun/test_lmdb", {b"t1": WEBP})
    report = bring_in("lsun", tmp_path / "lsun", tmp_path / "raw")
    assert files(tmp_path / "raw") == {
        "dining_room/train/ab12.webp": WEBP,
        "dining_room/train/_._.._up.jpg": JPEG,
        "dining_room/train/_xff_.png": PNG,
        "dining_room/test/ab12.jpg": JPEG,
        "test/t1.webp": WEBP,
    }
    assert lines(tmp_path / "raw") == {  # a line a folder, not one a picture
        "dining_room/train/": Wish("dining_room", "", "train"),
        "dining_room/test/": Wish("dining_room", "", "test"),
        "test/": Wish("", "", "test"),
    }
    wishes = read_splits(tmp_path / "raw", files(tmp_path / "raw"))
    assert wishes["dining_room/train/ab12.webp"] == Wish("dining_room", "", "train")
    assert skipped(tmp_path / "raw", "lsun") == [
        (f"{tmp_path}/lsun/dining_room_train_lmdb: x", "unusable", "it is neither a WebP, JPEG nor PNG picture")
    ]
    assert "5 files" in report and "(0 new, 5 there already)" in bring_in("lsun", tmp_path / "lsun", tmp_path / "raw")
    bring_in("lsun", tmp_path / "lsun/dining_room_val_lmdb", tmp_path / "one")
    assert files(tmp_path / "one") == {"dining_room/test/ab12.jpg": JPEG}


def test_folders_of_stills(tmp_path: Path) -> None:
    src = lay_out(tmp_path / "lsun", {
        "bedroom_train/a/b/c/abc1.webp": WEBP, "bedroom/val/abd.jpg": JPEG, "kitchen/k.PNG": PNG, "kitchen/k.txt": "n",
    })  # fmt: skip
    bring_in("lsun", src, tmp_path / "raw")
    assert files(tmp_path / "raw") == {
        "bedroom/train/abc1.webp": WEBP, "bedroom/test/abd.jpg": JPEG, "kitchen/k.PNG": PNG,
    }  # fmt: skip
    assert lines(tmp_path / "raw") == {
        "bedroom/test/": Wish("bedroom", "", "test"), "bedroom/train/": Wish("bedroom", "", "train"),
    }  # fmt: skip


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    lay_out(tmp_path / "a_lmdb", {"data.mdb": b"nonsense" * 2000})
    with pytest.raises(VganError, match=r"database .* cannot be opened"):
        bring_in("lsun", tmp_path / "a_lmdb", tmp_path / "raw")
    with pytest.raises(VganError, match="found neither"):
        bring_in("lsun", lay_out(tmp_path / "b", {"x.mp4": ""}), tmp_path / "raw")
