"""What is kept of each video beside its shards: the record `videos/<key>.arrow`.

An Arrow IPC stream of one row per candidate clip, with what is true of the whole video in the schema's metadata, and
behind it the stream's SHA-256, so that a damaged record is never believed. It is written last: where it lies, the
shards are whole. Videos that gave nothing have one too, with the reason, so that they are not tried again until they,
the parameters or the code change.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vgan.atomic import write_bytes
from vgan.clips import manifest
from vgan.clips.manifest import ClipRow
from vgan.clips.shards import ShardFile, shard_name

__all__ = [
    "SCHEMA",
    "Record",
    "RowBuffer",
    "glimpses_path",
    "load_record",
    "read_record",
    "record_path",
    "write_record",
]

# The manifest's columns that a video's own worker knows, the shard as its number, and the shot.
_NOT_HERE = {"id", "source", "label", "group", "split", "shard"}
SCHEMA = pa.schema(
    [
        *(field for field in manifest.SCHEMA if field.name not in _NOT_HERE),
        pa.field("shot", pa.int32(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),  # -1 where not kept
    ]
)
_META = b"vgan"
_DIGEST_BYTES = 32
_BATCH = 1024  # rows held as Python objects at a time


@dataclass(frozen=True)
class Record:
    """What a video gave: a row per candidate clip (splits not yet chosen), and what went wrong."""

    key: str
    source: str  # as in the manifest
    label: str
    table: pa.Table  # of SCHEMA, in the order of start
    reason: str  # why it could not be used, or not to its end; empty if it could
    lasting: bool = True  # whether the same would come out another time; False: the next run tries again
    shards: list[ShardFile] = field(default_factory=list)
    glimpses: list[int] = field(default_factory=list)  # starts of the dropped windows that the picture shows, in rows
    glimpses_sha256: str = ""  # of that picture; empty where there is none
    sha256: str = field(default="", compare=False, repr=False)  # of the file, where it was read from one

    def files(self) -> dict[str, str]:
        """SHA-256 of each file that is this video's beside the record, by name below the clips folder."""
        shards = {shard.name: shard.sha256 for shard in self.shards}
        return shards | ({f"videos/{self.key}.jpg": self.glimpses_sha256} if self.glimpses else {})

    @property
    def failed(self) -> bool:
        """Whether the video gave no candidate at all."""
        return bool(self.table.num_rows == 0)

    @property
    def kept(self) -> int:
        """Number of clips."""
        return int(pc.sum(self.table["kept"], min_count=0).as_py())

    def clips_table(self, group: str = "") -> pa.Table:
        """The rows as the manifest has them, splits empty."""
        rows = self.table.num_rows
        number = self.table["shard"].combine_chunks()
        names = pa.array([*(shard_name(self.key, n) for n in range(len(self.shards))), ""])
        places = pc.if_else(pc.less(number, 0), len(self.shards), number)
        start = pc.utf8_lpad(pc.cast(self.table["start"], pa.string()), 6, "0")
        known = {
            "id": pc.binary_join_element_wise(pa.scalar(self.key), start, "-"),
            "source": pa.repeat(self.source, rows),
            "label": pa.repeat(self.label, rows),
            "group": pa.repeat(group, rows),
            "split": pa.repeat("", rows),
            "shard": names.take(places),
        }
        columns = [known[name] if name in known else self.table[name] for name in manifest.SCHEMA.names]
        return pa.table(columns, schema=manifest.SCHEMA)

    @property
    def rows(self) -> list[ClipRow]:
        """The rows as objects, for where they are few."""
        return [ClipRow(**row) for row in self.clips_table().to_pylist()]


class RowBuffer:
    """Collects the rows of a video's record, compactly: two hours at stride 2 are 90,000 of them."""

    def __init__(self) -> None:
        self._batches: list[pa.RecordBatch] = []
        self._columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, **values: object) -> None:
        """Append a row: a value for each column of `SCHEMA`."""
        if values.keys() != self._columns.keys():
            raise ValueError(f"expected the columns {SCHEMA.names}, got {list(values)}")
        for name, value in values.items():
            self._columns[name].append(value)
        self._count += 1
        if self._count % _BATCH == 0:
            self._flush()

    def table(self) -> pa.Table:
        """All rows."""
        self._flush()
        return pa.Table.from_batches(self._batches, schema=SCHEMA)

    def _flush(self) -> None:
        if self._columns["start"]:
            arrays = [pa.array(self._columns[column.name], column.type) for column in SCHEMA]
            self._batches.append(pa.record_batch(arrays, schema=SCHEMA))
            self._columns = {name: [] for name in SCHEMA.names}


def record_path(clips: Path, key: str) -> Path:
    """Where a video's record lies."""
    return clips / "videos" / f"{key}.arrow"


def glimpses_path(clips: Path, key: str) -> Path:
    """Where the picture of some of a video's dropped windows lies."""
    return clips / "videos" / f"{key}.jpg"


def write_record(clips: Path, record: Record) -> None:
    """Write a record, whole or not at all; the same record gives the same bytes."""
    about = {name: value for name, value in vars(record).items() if name not in ("table", "shards", "sha256")}
    about["shards"] = [asdict(shard) for shard in record.shards]
    schema = SCHEMA.with_metadata({_META: json.dumps(about, sort_keys=True)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        for batch in record.table.combine_chunks().to_batches():
            writer.write_batch(batch)
    content = sink.getvalue().to_pybytes()
    write_bytes(record_path(clips, record.key), content + hashlib.sha256(content).digest())


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or of another version.
    """
    content = path.read_bytes()
    stream, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(stream).digest() != digest:
        raise ValueError("its checksum does not fit")
    table = pa.ipc.open_stream(stream).read_all()
    about: dict[str, Any] = json.loads((table.schema.metadata or {}).get(_META, b"{}"))
    table = table.replace_schema_metadata(None)
    if table.schema != SCHEMA or not about:
        raise ValueError("it has other columns than this version's")
    try:
        about["shards"] = [ShardFile(**shard) for shard in about["shards"]]
        return Record(table=table, sha256=hashlib.sha256(content).hexdigest(), **about)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it is another version's ({error})") from None


def load_record(clips: Path, key: str) -> Record | None:
    """What was recorded of a video; None if there is nothing, or a file of it is gone or a shard of another size."""
    try:
        record = read_record(record_path(clips, key))
        whole = all((clips / shard.name).stat().st_size == shard.size for shard in record.shards)
        whole = whole and (not record.glimpses or glimpses_path(clips, key).is_file())
    except (OSError, ValueError):
        return None
    return record if whole and record.key == key else None
