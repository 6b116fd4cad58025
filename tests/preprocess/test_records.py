"""Records: what goes in comes out, and nothing damaged is believed."""

from pathlib import Path

import pyarrow as pa
import pytest

from vgan.clips import manifest
from vgan.clips.shards import ShardFile
from vgan.preprocess.records import SCHEMA, Record, RowBuffer, load_record, read_record, record_path, write_record

KEY = "0123456789abcdef"
FIGURES = [field.name for field in SCHEMA if pa.types.is_float64(field.type)]


def record(rows: int = 5, **changes: object) -> Record:
    """A record whose every second row is kept, in shards of two."""
    buffer = RowBuffer()
    for row in range(rows):
        kept = row % 2 == 0
        buffer.add(
            start=row * 3, shot=row // 2, kept=kept, reason="" if kept else "too few matches",
            shard=row // 4 if kept else -1, offset=row * 1000 + 640 if kept else -1,
            phash=f"{row:016x}" if kept else "", scene="beach" if kept else "",
            **dict.fromkeys(FIGURES, row / 7),
        )  # fmt: skip
    shards = [ShardFile(f"shards/{KEY}-{number:05d}.tar", 3, "ab" * 32) for number in range((rows + 3) // 4)]
    about: dict[str, object] = {
        "key": KEY, "source": "a/b.mp4", "label": "a", "table": buffer.table(), "reason": "", "shards": shards
    }  # fmt: skip
    return Record(**(about | changes))  # type: ignore[arg-type]


def lay(clips: Path, one: Record) -> None:
    """The record and shards as large as it says."""
    write_record(clips, one)
    for shard in one.shards:
        (clips / shard.name).parent.mkdir(exist_ok=True)
        (clips / shard.name).write_bytes(b"tar")


@pytest.mark.parametrize("rows", [0, 1, 5, 3000])
def test_a_record_comes_back_as_it_was(tmp_path: Path, rows: int) -> None:
    one = record(rows, reason="damaged after 9 frames: bad block", lasting=False)
    lay(tmp_path, one)
    assert load_record(tmp_path, KEY) == one
    content = record_path(tmp_path, KEY).read_bytes()
    write_record(tmp_path, read_record(record_path(tmp_path, KEY)))
    assert record_path(tmp_path, KEY).read_bytes() == content
    assert one.table.num_rows == rows and one.failed == (rows == 0) and one.kept == (rows + 1) // 2


def test_rows_are_the_manifests(tmp_path: Path) -> None:
    rows = record().rows
    assert [row.id for row in rows] == [f"{KEY}-{start:06d}" for start in (0, 3, 6, 9, 12)]
    assert [row.shard for row in rows] == [
        f"shards/{KEY}-00000.tar", "", f"shards/{KEY}-00000.tar", "", f"shards/{KEY}-00001.tar"
    ]  # fmt: skip
    assert [row.offset for row in rows] == [640, -1, 2640, -1, 4640]
    assert {(row.source, row.label, row.group, row.split) for row in rows} == {("a/b.mp4", "a", "", "")}
    assert [row.psnr_after for row in rows] == [n / 7 for n in range(5)]
    assert record().clips_table("anna").schema == manifest.SCHEMA
    assert record().clips_table("anna")["group"].to_pylist() == ["anna"] * 5


def test_a_start_of_seven_digits_is_not_cut(tmp_path: Path) -> None:
    buffer = RowBuffer()
    numbers = dict.fromkeys(FIGURES, 0.0)
    buffer.add(start=1_234_567, shot=0, kept=False, reason="x", shard=-1, offset=-1, phash="", scene="", **numbers)
    assert record(table=buffer.table()).rows[0].id == f"{KEY}-1234567"


def test_a_row_without_a_column_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the columns"):
        RowBuffer().add(start=1)


def test_nothing_damaged_is_believed(tmp_path: Path) -> None:
    one = record()
    lay(tmp_path, one)
    path = record_path(tmp_path, KEY)
    whole = path.read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert load_record(tmp_path, KEY) is None
        with pytest.raises(ValueError, match="checksum"):
            read_record(path)
    for part in (b"", whole[:20], whole[:-1]):
        path.write_bytes(part)
        assert load_record(tmp_path, KEY) is None
    path.write_bytes(whole)
    assert load_record(tmp_path, KEY) == one
    assert load_record(tmp_path, "f" * 16) is None
    write_record(tmp_path, record(key="e" * 16))
    record_path(tmp_path, "e" * 16).rename(record_path(tmp_path, "d" * 16))
    assert load_record(tmp_path, "d" * 16) is None  # another video's
    shard = tmp_path / one.shards[0].name
    shard.write_bytes(b"ta")
    assert load_record(tmp_path, KEY) is None
    shard.unlink()
    assert load_record(tmp_path, KEY) is None


def test_a_record_of_another_version_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, record())
    monkeypatch.setattr("vgan.preprocess.records.Record", lambda **about: Record(**about, colour=3))  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="another version's"):
        read_record(record_path(tmp_path, KEY))
    assert load_record(tmp_path, KEY) is None
