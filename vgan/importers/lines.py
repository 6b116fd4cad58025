"""An import's lines in splits.csv, merged with those of others and of people.

Beside splits.csv, in `.import/`, lies a copy of the lines that an import wrote. A line that still reads as it was
written is the import's to change; any other is somebody's own and stays.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from vgan.importers.entries import one_line
from vgan.preprocess.wishes import IMPORTED, SPLITS, Wish, parse_table, write_table

__all__ = ["Merged", "merge_lines", "skipped_path", "undivided"]


@dataclass(frozen=True)
class Merged:
    """Lines of splits.csv that are not as this import would have them."""

    kept: list[str]  # paths whose line is somebody's own
    earlier: list[str]  # paths of the same kind's earlier imports that this one did not bring


def skipped_path(into: Path, kind: str) -> Path:
    """The table of what an import passed over, and why."""
    return into / IMPORTED / f"{kind}-skipped.csv"


def merge_lines(into: Path, kind: str, wishes: Mapping[str, Wish]) -> Merged:
    """Bring the lines of `wishes` into `into`/splits.csv; lines of others and of earlier imports stay.

    A kill in between leaves both files such that the next import knows its own lines.

    Raises:
        VganError: splits.csv is there and is not valid.
    """
    table, mine = into / SPLITS, into / IMPORTED / f"{kind}-lines.csv"
    before = dict(parse_table(table)) if table.exists() else {}
    written: dict[str, set[Wish]] = defaultdict(set)
    for path, wish in parse_table(mine) if mine.exists() else ():
        written[path].add(wish)
    wishes = {path: replace(wish, label=one_line(wish.label), group=one_line(wish.group)) for path, wish in
              wishes.items() if wish != Wish()}  # fmt: skip
    if not wishes and not written:
        return Merged([], [])
    kept = {path for path, wish in before.items() if path in wishes and wish not in {wishes[path], *written[path]}}
    own = {path: wish for path, wish in wishes.items() if path not in kept}
    earlier = {path: wish for path, wish in before.items() if path not in wishes and wish in written.get(path, ())}
    older = ((path, wish) for path in sorted(written) for wish in sorted(written[path], key=repr))
    write_table(mine, chain(older, _ordered(own)))
    others = ((path, wish) for path, wish in before.items() if path not in own and path not in earlier)
    write_table(table, chain(others, _ordered(own | earlier)))
    write_table(mine, _ordered(own | earlier))
    return Merged(sorted(kept), sorted(earlier))


def _ordered(wishes: Mapping[str, Wish]) -> Iterable[tuple[str, Wish]]:
    return sorted(wishes.items(), key=lambda item: item[0])


def undivided(wishes: Mapping[str, Wish]) -> tuple[dict[str, Wish], int]:
    """The wishes with every group that the official split divides made two; and how many were.

    A group is all of one split in the manifest. Official lists come first: they decide, so the group's name gives way.
    """
    sides: dict[str, set[str]] = defaultdict(set)
    for wish in wishes.values():
        if wish.group and wish.split:
            sides[wish.group].add(wish.split)
    divided = {group for group, splits in sides.items() if len(splits) > 1}
    parted = {
        path: replace(wish, group=f"{wish.group}/{wish.split}") if wish.group in divided else wish
        for path, wish in wishes.items()
    }
    return parted, len(divided)
