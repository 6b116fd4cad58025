"""`vgan import`: read a data set, lay its videos, note what is known of them, and tell what was passed over."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from filelock import FileLock, Timeout

from vgan.atomic import open_atomic, remove_partial
from vgan.errors import VganError
from vgan.importers import folder, hmdb51, kinetics400, lsun, sports1m, ucf101, webdataset
from vgan.importers.entries import Entry, FolderLine, Passed, Places, Plan
from vgan.importers.laying import Laid, check_links, lay
from vgan.importers.lines import Merged, merge_lines, skipped_path, undivided
from vgan.importers.report import Report
from vgan.preprocess.sources import as_text
from vgan.preprocess.wishes import SPLITS, Wish, csv_line, parse_table
from vgan.progress import Progress

__all__ = ["KINDS", "Request", "import_footage"]

_READERS = {
    "folder": folder.plan,
    "hmdb51": hmdb51.plan,
    "kinetics400": kinetics400.plan,
    "lsun": lsun.plan,
    "sports1m": sports1m.plan,
    "ucf101": ucf101.plan,
    "webdataset": webdataset.plan,
}
KINDS = tuple(_READERS)
_WITH_LISTS = ("hmdb51", "kinetics400", "sports1m", "ucf101")
_WITH_SPLIT = ("hmdb51", "ucf101")
_UNUSABLE_SHARE = 0.5  # what may be unusable where nothing is asked for


@dataclass(frozen=True)
class Request:
    """What to import, from where, and how."""

    kind: str
    src: Path
    into: Path
    link: bool = False
    split: int | None = None  # 1 to 3
    lists: Path | None = None
    max_skipped_share: float | None = None


@dataclass
class _Tally:
    """What came of the items so far."""

    new: int = 0
    present: int = 0
    size: int = 0
    passed: Counter[tuple[str, str]] = field(default_factory=Counter)  # kind and reason
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    wishes: dict[str, Wish] = field(default_factory=dict)

    def laid(self, one: Laid) -> None:
        """Count a file that lies where it should."""
        self.new += one.new
        self.present += not one.new
        self.size += one.size
        self.wishes[as_text(one.entry.name)] = one.entry.wish

    def pass_over(self, one: Passed) -> None:
        """Count something that does not."""
        key = (one.kind, one.reason)
        self.passed[key] += 1
        self.examples.setdefault(key, as_text(one.name))


def import_footage(request: Request) -> Report:
    """Lay the data set's videos (stills, for lsun) below `request.into` and merge its lines into splits.csv there.

    What lies there already is left alone, so an import that was killed goes on, and ends as if undisturbed.

    Raises:
        VganError: the request cannot be met, nothing could be laid, or more was passed over than it allows. What was
            laid stays, and is listed in splits.csv.
    """
    _check(request)
    started = time.monotonic()
    with _alone(request.into):
        if request.link:
            check_links(request.into)
        if (request.into / SPLITS).exists():
            dict(parse_table(request.into / SPLITS))  # told before hours of copying rather than after
        plan = _READERS[request.kind](Places(request.src, request.lists, request.split or 1))
        if request.into.is_dir():
            remove_partial(request.into)
        tally = _go_through(plan, request)
        wishes, divided = undivided(tally.wishes)
        merged = merge_lines(request.into, request.kind, wishes) if tally.new + tally.present else Merged([], [])
    report = Report(
        kind=request.kind,
        into=request.into,
        new=tally.new,
        present=tally.present,
        size=tally.size,
        passed=tally.passed,
        examples=tally.examples,
        wishes=wishes,
        divided=divided,
        kept=merged.kept,
        earlier=merged.earlier,
        skipped=skipped_path(request.into, request.kind),
        seconds=time.monotonic() - started,
    )
    _check_share(report, request)
    return report


def _check(request: Request) -> None:
    kind, src, into = request.kind, request.src, request.into
    if kind not in _READERS:
        near = get_close_matches(kind, KINDS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise VganError(f"expected one of the kinds {', '.join(KINDS)}, got {kind!r}{hint}")
    if not src.exists():
        raise VganError(f"expected footage at {src}, there is nothing of that name")
    if not src.is_dir() and kind not in ("lsun", "webdataset"):
        raise VganError(f"expected a folder, got the file {src}: name the folder that it lies in")
    if into.exists() and not into.is_dir():
        raise VganError(f"expected a folder to import into, got the file {into}")
    inside, outside = into.resolve(), src.resolve()
    if inside.is_relative_to(outside) or outside.is_relative_to(inside):
        raise VganError(
            f"expected {src} and {into} apart, but one lies in the other: move the footage elsewhere first, or leave "
            "it: `vgan preprocess` takes whatever lies in data/raw"
        )
    if request.split is not None and kind not in _WITH_SPLIT:
        raise VganError(f"--split chooses among the official splits of {' and '.join(_WITH_SPLIT)}, {kind} has none")
    if request.lists is not None and kind not in _WITH_LISTS:
        raise VganError(f"--lists names the lists of {', '.join(_WITH_LISTS)}; {kind} has none")
    if request.lists is not None and not request.lists.exists():
        raise VganError(f"expected lists at {request.lists}, there is nothing of that name")


@contextmanager
def _alone(into: Path) -> Iterator[None]:
    """Hold the target's lock, which lies beside it, so that no second import writes there."""
    into.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(into.parent / f".{into.name}.import.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise VganError(f"another import into {into} is at work: wait for its end, then start again") from None
    try:
        yield
    finally:
        lock.release()


def _go_through(plan: Plan, request: Request) -> _Tally:
    """Lay what the plan gives; what is passed over is written to a table as it comes."""
    tally = _Tally()
    path = skipped_path(request.into, request.kind)
    with Progress(f"import {request.kind}", plan.total, plan.unit) as progress, open_atomic(path) as file:
        file.write(csv_line(("name", "kind", "reason")))
        for one in lay(plan.items, request.into, link=request.link):
            if isinstance(one, FolderLine):
                tally.wishes[as_text(one.name)] = one.wish
                continue
            item: Entry | Passed = one if isinstance(one, Passed) else one.entry
            if isinstance(one, Laid) and not one.reason:
                tally.laid(one)
            else:
                item = one if isinstance(one, Passed) else Passed(one.entry.name, one.reason, advance=item.advance)
                tally.pass_over(item)
                file.write(csv_line((as_text(item.name), item.kind, item.reason)))
            progress.advance(item.advance, note=f"{tally.new + tally.present} laid")
    if not tally.passed:
        path.unlink()
        with suppress(OSError):  # other imports' files may lie there
            path.parent.rmdir()
    return tally


def _check_share(report: Report, request: Request) -> None:
    """Raise VganError where the import as a whole is of no use."""
    counts: Counter[str] = Counter()
    for (kind, _), count in report.passed.items():
        counts[kind] += count
    laid = report.new + report.present
    if laid == 0:
        raise VganError(f"nothing of {request.src} could be imported\n{report}")
    limit, skipped = request.max_skipped_share, counts["unusable"]
    if limit is not None:
        skipped += counts["absent"]
    share, allowed = skipped / (laid + skipped), _UNUSABLE_SHARE if limit is None else limit
    if share > allowed:
        raise VganError(
            f"{skipped} of {laid + skipped} files were passed over, more than --max-skipped-share {allowed:g} allows; "
            f"those that were laid stay\n{report}"
        )
