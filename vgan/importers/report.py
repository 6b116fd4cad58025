"""What an import came to, for people."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vgan.preprocess.wishes import SPLITS, Wish
from vgan.progress import duration

__all__ = ["Report"]

_NAMED = 10  # reasons and files written out
_KINDS = {
    "unusable": "not usable",
    "absent": "listed but not there",
    "left out": "left out",
    "incomplete": "imported with less than there should be",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """Counts of an import; `str()` gives the text to print."""

    kind: str
    into: Path
    new: int  # files laid by this import
    present: int  # there already
    size: int  # bytes of both
    passed: Counter[tuple[str, str]]  # by kind and reason
    examples: Mapping[tuple[str, str], str]  # the first of each
    wishes: Mapping[str, Wish]
    divided: int  # groups that the official lists have on both sides
    kept: list[str]  # paths whose line in splits.csv is somebody's own
    earlier: list[str]  # paths that an earlier import brought and this one did not
    skipped: Path  # the table of all that were passed over
    seconds: float

    def __str__(self) -> str:
        """One fact a line."""
        lines = [
            f"{self.kind}: {self.new + self.present} files in {self.into} ({self.new} new, {self.present} there "
            f"already), {self.size / 1e6:.1f} MB, in {duration(self.seconds)}"
        ]
        splits = Counter(wish.split for wish in self.wishes.values())
        if splits["train"] or splits["test"]:
            labels = {wish.label for wish in self.wishes.values() if wish.label}
            lines.append(
                f"{splits['train']} lines of {self.into / SPLITS} say train, "
                f"{splits['test']} test; {len(labels)} labels"
            )
        if self.divided:
            lines.append(f"{self.divided} groups are on both sides of the official split and were made two each")
        if self.kept:
            lines.append(f"{len(self.kept)} lines of {SPLITS} are not of this import and stay: {_named(self.kept)}")
        if self.earlier:
            lines.append(
                f"{len(self.earlier)} files of an earlier import are not in this one and stay, with their lines, until "
                f"you delete them: {_named(self.earlier)}"
            )
        for kind, title in _KINDS.items():
            reasons = Counter({reason: count for (one, reason), count in self.passed.items() if one == kind})
            for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:_NAMED]:
                example = self.examples[kind, reason]
                lines.append(f"{title}: {count} · {reason} ({example}{', …' if count > 1 else ''})")
            if len(reasons) > _NAMED:
                lines.append(f"{title}: {len(reasons) - _NAMED} more reasons")
        if self.passed:
            lines.append(f"each of them with its reason: {self.skipped}")
        return "\n".join(lines)


def _named(paths: list[str]) -> str:
    return ", ".join(paths[:_NAMED]) + (", …" if len(paths) > _NAMED else "")
