"""Small data sets laid out as the originals are. Importers do not look into videos, so a few bytes stand for one."""

from collections.abc import Mapping
from pathlib import Path

from vgan.importers.run import Request, import_footage
from vgan.preprocess.wishes import SPLITS, Wish, parse_table

__all__ = ["bring_in", "files", "lay_out", "lines", "skipped"]


def lay_out(folder: Path, contents: Mapping[str, str | bytes]) -> Path:
    """Write files below `folder`; an empty text stands for a video, whose bytes are its name."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else (content or f"video {name}").encode())
    return folder


def bring_in(kind: str, src: Path, into: Path, **options: object) -> str:
    """Import and return the report as text."""
    return str(import_footage(Request(kind, src, into, **options)))  # type: ignore[arg-type]


def files(into: Path) -> dict[str, bytes]:
    """The footage below `into`: no tables, nothing hidden."""
    found = {path.relative_to(into).as_posix(): path for path in into.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != SPLITS and not name.startswith(".")}


def lines(into: Path) -> dict[str, Wish]:
    """What splits.csv says."""
    return dict(parse_table(into / SPLITS))


def skipped(into: Path, kind: str) -> list[tuple[str, ...]]:
    """Names, kinds and reasons of what was passed over."""
    import csv

    with (into / ".import" / f"{kind}-skipped.csv").open(encoding="utf-8", newline="") as file:
        return [tuple(line) for line in csv.reader(file)][1:]
