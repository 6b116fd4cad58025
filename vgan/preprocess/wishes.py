"""splits.csv: what is known of videos beyond the folder they lie in.

A table of comma-separated UTF-8 text with a header; the column `path` and any of the others. It may lie in any folder
below data/raw, and its paths are relative to its own folder. A path that ends with a slash names a folder and stands
for every file below it; a file's own line wins over it, column by column.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from vgan import atomic
from vgan.errors import VganError
from vgan.preprocess.sources import Source, as_text, tables

__all__ = ["COLUMNS", "IMPORTED", "SPLITS", "Wish", "applied", "csv_line", "parse_table", "read_splits", "write_table"]

SPLITS = "splits.csv"
COLUMNS = ("path", "label", "group", "split", "start_s", "end_s")
IMPORTED = ".import"  # folder beside it in which `vgan import` keeps which lines are its own


@dataclass(frozen=True)
class Wish:
    """What splits.csv says of a video; empty where it says nothing."""

    label: str = ""
    group: str = ""
    split: str = ""  # train, test or empty
    start_s: float | None = None  # seconds of the video that are used
    end_s: float | None = None
    place: str = field(default="", compare=False)  # the file and line that say so

    def over(self, other: "Wish") -> "Wish":
        """This wish, with what it leaves open taken from `other`."""
        return Wish(
            label=self.label or other.label,
            group=self.group or other.group,
            split=self.split or other.split,
            start_s=other.start_s if self.start_s is None else self.start_s,
            end_s=other.end_s if self.end_s is None else self.end_s,
            place=self.place or other.place,
        )


def read_splits(raw: Path, names: Iterable[str]) -> dict[str, Wish]:
    """What all splits.csv below `raw` wish, by the name of the video below `raw`; names without a wish are left out.

    Args:
        raw: the folder of footage.
        names: of all files there, posix paths below `raw`.

    Raises:
        VganError: a column is missing or unknown, a value is none of those allowed, a path names no file, or a file
            is named twice.
    """
    found = [(table.parent.relative_to(raw), table) for table in tables(raw, SPLITS)]
    if not found:
        return {}
    known = set(names)
    own: dict[str, Wish] = {}
    folders: dict[str, Wish] = {}
    for folder, table in found:
        missing: list[tuple[str, Wish]] = []
        for path, wish in parse_table(table):
            name = _resolved(as_text(folder.as_posix()), path, known)
            is_folder = path.strip().endswith("/")
            if name not in known and not (is_folder and _is_below(name) and (raw / name).is_dir()):
                missing.append((path, wish))
                continue
            wishes = folders if is_folder else own
            if name in wishes:
                raise VganError(f"{wish.place}: {name!r} was named before, in {wishes[name].place}: keep one of them")
            wishes[name] = wish
        _check_missing(missing, table, raw)
    return _spread(own, folders, known)


def _resolved(folder: str, path: str, known: set[str]) -> str:
    """The path of a line as a name below raw; spaces around it count only where a file's name has them."""
    exact = (PurePosixPath(folder) / path).as_posix()
    return exact if exact in known else (PurePosixPath(folder) / path.strip()).as_posix()


def _is_below(name: str) -> bool:
    return not name.startswith("/") and ".." not in PurePosixPath(name).parts


def _check_missing(missing: list[tuple[str, Wish]], table: Path, raw: Path) -> None:
    """Raise VganError for the first line that names no video, unless `vgan import` wrote it: a video may be removed."""
    if not missing:
        return
    written: set[tuple[str, Wish]] = set()
    for lines in sorted((table.parent / IMPORTED).glob("*-lines.csv")):
        written.update(parse_table(lines))
    for path, wish in missing:
        if (path, wish) not in written:
            raise VganError(f"{wish.place}: expected a video below {raw}, got {path.strip()!r}")


def _spread(own: Mapping[str, Wish], folders: Mapping[str, Wish], names: set[str]) -> dict[str, Wish]:
    """Every file's wish: its own line, then those of the folders that it lies in, the nearest first."""
    if not folders:
        return dict(own)
    wishes = {}
    for name in names:
        wish = own.get(name)
        for folder in PurePosixPath(name).parents:
            above = folders.get(folder.as_posix())
            if above is not None:
                wish = above if wish is None else wish.over(above)
        if wish is not None:
            wishes[name] = wish
    return wishes


def applied(sources: Iterable[Source], wishes: Mapping[str, Wish]) -> list[Source]:
    """The sources with the labels and times that splits.csv gives them."""
    return [
        replace(source, label=wish.label or source.label, start_s=wish.start_s or 0.0, end_s=wish.end_s)
        if (wish := wishes.get(source.name)) is not None
        else source
        for source in sources
    ]


def parse_table(path: Path) -> Iterator[tuple[str, Wish]]:
    """The lines of a splits.csv: the path as written, and the wish.

    Raises:
        VganError: it cannot be read, a column is missing or unknown, or a value is none of those allowed.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="more", restval="")
            columns = [column.strip() for column in reader.fieldnames or []]
            reader.fieldnames = columns
            if "path" not in columns or not set(columns) <= set(COLUMNS) or len(set(columns)) < len(columns):
                raise VganError(f"{path}: expected the columns {', '.join(COLUMNS)} (path at least), got {columns}")
            for line in reader:
                place = f"{path}, line {reader.line_num}"
                if "more" in line:
                    raise VganError(f"{place}: more values than columns; quote a path that holds a comma")
                yield line["path"], _wish(line, place)
    except (UnicodeDecodeError, csv.Error) as error:
        raise VganError(f"{path} cannot be read as comma-separated UTF-8 text: {error}") from None
    except OSError as error:
        raise VganError(f"{path} cannot be read: {error.strerror}") from None


def _wish(line: Mapping[str, str], place: str) -> Wish:
    wish = Wish(
        label=line.get("label", "").strip(),
        group=line.get("group", "").strip(),
        split=line.get("split", "").strip(),
        start_s=_seconds(line, "start_s", place),
        end_s=_seconds(line, "end_s", place),
        place=place,
    )
    if wish.split not in ("", "train", "test"):
        raise VganError(f"{place}: expected the split train, test or nothing, got {wish.split!r}")
    if wish.end_s is not None and wish.end_s <= (wish.start_s or 0.0):
        raise VganError(f"{place}: expected end_s after start_s, got {wish.end_s:g} after {wish.start_s or 0.0:g}")
    return wish


def _seconds(line: Mapping[str, str], column: str, place: str) -> float | None:
    text = line.get(column, "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise VganError(f"{place}: expected seconds from 0 in {column}, got {text!r}")
    return seconds


def write_table(path: Path, lines: Iterable[tuple[str, Wish]]) -> None:
    """Write a splits.csv, whole or not at all."""
    with atomic.open_atomic(path) as file:
        file.write(csv_line(COLUMNS))
        for name, wish in lines:
            times = ("" if seconds is None else f"{seconds:.10g}" for seconds in (wish.start_s, wish.end_s))
            file.write(csv_line((name, wish.label, wish.group, wish.split, *times)))


def csv_line(values: Sequence[str]) -> bytes:
    """One line of a table in UTF-8, any value quoted that needs it."""
    text = io.StringIO()
    csv.writer(text).writerow(values)  # its own end is \r\n, so that it quotes either
    return text.getvalue().removesuffix("\r\n").encode() + b"\n"
