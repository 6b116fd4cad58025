"""Clips written to shards come back as they were, through our reader and through webdataset's."""

import gc
import io
import os
import resource
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vgan.clips import manifest
from vgan.clips import store as store_module
from vgan.clips.manifest import ClipRow
from vgan.clips.shards import CLIPS_PER_SHARD, ShardWriter
from vgan.clips.store import ClipStore
from vgan.errors import VganError

SHAPE = (16, 16, 16, 3)


def lay_clips(folder: Path, counts: dict[str, int], seed: int = 0) -> NDArray[np.uint8]:
    """Write a clips folder with `counts[key]` random clips per video; returns them in the manifest's order."""
    rng = np.random.default_rng(seed)
    rows, pixels = [], []
    for key, count in sorted(counts.items()):
        with ShardWriter(folder, key) as writer:
            for start in range(count):
                clip = rng.integers(0, 256, SHAPE, np.uint8)
                shard, offset = writer.add(f"{key}-{start:06d}", clip, {"start": start})
                split = "test" if start % 3 == 2 else "train"
                about: dict[str, Any] = {
                    "label": key[0],
                    "group": key,
                    "split": split,
                    "fps": 25.0 if key == "a" else 10.0,
                }
                rows.append(
                    ClipRow(
                        id=f"{key}-{start:06d}", source=key, start=start, shard=shard, offset=offset, kept=True, **about
                    )
                )
                pixels.append(clip)
    rows.append(ClipRow(id="bad", source="bad.mp4", reason="empty file (0 bytes)"))
    manifest.write(folder, rows)
    return np.stack(pixels)


def test_gather_returns_what_was_written(tmp_path: Path) -> None:
    pixels = lay_clips(tmp_path, {"a": CLIPS_PER_SHARD + 3, "b": 2})
    store = ClipStore(tmp_path)
    assert len(store) == len(pixels)
    order = np.random.default_rng(1).permutation(len(pixels))
    np.testing.assert_array_equal(store.gather(order), pixels[order])
    assert store.gather(order[:0]).shape == (0, *SHAPE)
    assert (store.frames, store.size, store.fps) == (16, 16, 25.0)
    assert store.labels[-1] == "b" and store.sources[0] == "a" and store.groups[-1] == "b"
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == [
        "a-00000.tar",
        "a-00001.tar",
        "b-00000.tar",
    ]


def test_splits_part_the_clips(tmp_path: Path) -> None:
    lay_clips(tmp_path, {"a": 7})
    store = ClipStore(tmp_path)
    assert store.indices("test").tolist() == [2, 5]
    assert sorted([*store.indices("train"), *store.indices("test")]) == list(range(7))
    with pytest.raises(ValueError, match="split"):
        store.indices("val")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_webdataset_reads_the_shards(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    pixels = lay_clips(tmp_path, {"a": 3})
    data = webdataset.WebDataset(str(tmp_path / "shards/a-00000.tar"), shardshuffle=False).decode()
    samples = list(data)
    del data
    gc.collect()  # the library leaves its file open: let that be warned of here
    assert [sample["__key__"] for sample in samples] == ["a-000000", "a-000001", "a-000002"]
    assert [sample["json"] for sample in samples] == [{"start": start} for start in range(3)]
    np.testing.assert_array_equal(np.stack([sample["npy"] for sample in samples]), pixels)


def test_shards_are_plain_tar_of_plain_npy(tmp_path: Path) -> None:
    pixels = lay_clips(tmp_path, {"a": 1})
    row = manifest.read(tmp_path)[0]
    with tarfile.open(tmp_path / row.shard) as tar:
        member = tar.getmembers()[0]
        assert (member.mtime, member.uid, member.gid, member.uname, member.mode) == (0, 0, 0, "", 0o644)
        assert row.offset == member.offset_data + 128
        content = tar.extractfile(member)
        assert content is not None
        np.testing.assert_array_equal(np.load(io.BytesIO(content.read())), pixels[0])


def test_same_clips_same_bytes_and_digest(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        lay_clips(tmp_path / name, {"a": 3}, seed)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).rglob("*.*")} for n in ("one", "two"))
    assert one == two
    assert ClipStore(tmp_path / "one").digest == ClipStore(tmp_path / "two").digest
    rows = manifest.read(tmp_path / "two")
    manifest.write(tmp_path / "two", rows[1:])
    assert ClipStore(tmp_path / "one").digest != ClipStore(tmp_path / "two").digest


def _write(folder: Path, clips: list[Any]) -> None:
    with ShardWriter(folder, "a") as writer:
        for start, clip in enumerate(clips):
            writer.add(f"a-{start}", clip, {})


def test_failed_writer_leaves_no_shard(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a uint8 clip"):
        _write(tmp_path, [np.zeros(SHAPE, np.uint8), np.zeros(SHAPE)])
    assert list(tmp_path.rglob("*.tar")) == []


def test_missing_or_damaged_clips_are_told(tmp_path: Path) -> None:
    with pytest.raises(VganError, match="run `vgan preprocess`"):
        ClipStore(tmp_path)
    lay_clips(tmp_path, {"a": 2})
    shard = tmp_path / "shards/a-00000.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:15000])
    with pytest.raises(VganError, match=r"cut short|damaged"):
        ClipStore(tmp_path)
    shard.write_bytes(whole[:20000])
    with pytest.raises(VganError, match="cut short at 20000 bytes"):
        ClipStore(tmp_path)
    shard.write_bytes(bytes(len(whole)))
    with pytest.raises(VganError, match="damaged"):
        ClipStore(tmp_path)
    shard.unlink()
    with pytest.raises(VganError, match="missing"):
        ClipStore(tmp_path)
    manifest.write(tmp_path, [ClipRow(id="bad", source="bad.mp4", reason="empty file (0 bytes)")])
    with pytest.raises(VganError, match="none of 1 candidates was kept"):
        ClipStore(tmp_path)
    (tmp_path / manifest.MANIFEST).write_bytes(b"PAR1")
    with pytest.raises(VganError, match="damaged"):
        ClipStore(tmp_path)


def test_a_manifest_whose_names_are_no_text_is_told(tmp_path: Path) -> None:
    manifest.write(tmp_path, [])
    path = tmp_path / manifest.MANIFEST
    path.write_bytes(path.read_bytes().replace(b"reprojection_error", b"reprojection_\xff\xffror"))
    with pytest.raises(VganError, match=r"clips\.parquet"):
        manifest.read(tmp_path)


def test_manifest_round_trip_is_ordered(tmp_path: Path) -> None:
    rows = [
        ClipRow(id="b", source="b", start=2, psnr_after=31.5),
        ClipRow(id="a", source="b", start=-1, reason="too short"),
    ]
    manifest.write(tmp_path, rows)
    first, second = manifest.read(tmp_path)
    assert (first.id, first.reason, second.psnr_after) == ("a", "too short", 31.5)
    assert np.isnan(first.psnr_after)


def test_a_shard_that_changes_while_in_use_is_told(tmp_path: Path) -> None:
    """Also one that is mapped already: reading beyond its end would end the process."""
    lay_clips(tmp_path, {"a": 3, "b": 1})
    store = ClipStore(tmp_path)
    store.gather(np.array([2]))
    shard = tmp_path / "shards/a-00000.tar"
    whole = shard.read_bytes()
    os.truncate(shard, len(whole) // 2)
    with pytest.raises(VganError, match=r"a-00000\.tar can no longer be read .it is cut short.: run `vgan preprocess`"):
        store.gather(np.array([2]))
    shard.write_bytes(bytes(len(whole)))
    with pytest.raises(VganError, match="it is damaged"):
        store.gather(np.array([0]))
    (tmp_path / "shards/b-00000.tar").unlink()
    with pytest.raises(VganError, match=r"b-00000\.tar can no longer be read .*No such file"):
        store.gather(np.array([3]))


def test_more_shards_than_may_be_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = lay_clips(tmp_path, {"a": 2, "b": 1, "c": 1})
    monkeypatch.setattr(store_module, "_room_for", lambda _: 1)
    store = ClipStore(tmp_path)
    for _ in range(2):
        np.testing.assert_array_equal(store.gather(np.array([3, 0, 2])), clips[[3, 0, 2]])


@pytest.mark.parametrize(
    ("limits", "shards", "asked", "room"),
    [
        ((1024, 20000), 1000, (1512, 20000), 1000),
        ((1024, 20000), 90000, (20000, 20000), 19488),
        ((1024, -1), 90000, (33280, -1), 32768),
        ((1024, 1024), 1000, (1024, 1024), 512),
        ((256, 256), 1000, (256, 256), 64),
        ((1024, 20000), 100, None, 100),
        ((-1, -1), 1000, None, 1000),
    ],
)
def test_as_many_handles_are_asked_for_as_shards_need_and_are_allowed(
    limits: tuple[int, int],
    shards: int,
    asked: tuple[int, int] | None,
    room: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda _: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: now.append(wanted))
    assert store_module._room_for(shards) == room
    assert now[1:] == ([] if asked is None else [asked])
