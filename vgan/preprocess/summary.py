"""What a preprocessing run came to, for people."""

from collections import Counter
from dataclasses import dataclass, field

from vgan.preprocess.stills import StillCounts
from vgan.progress import duration

__all__ = ["Summary"]

_NAMED = 10  # failures written out


@dataclass(frozen=True)
class Summary:
    """Counts of a run; `str()` gives the text to print."""

    videos: int
    new: int  # videos worked on; the others were done before
    failed: list[tuple[str, str]]  # source and reason of videos that gave nothing
    damaged: list[tuple[str, str]]  # source and reason of videos that were read in part
    train: int  # clips
    test: int
    dropped: Counter[str]  # candidates not kept, by reason
    seconds: float
    notes: list[str] = field(default_factory=list)
    stills: StillCounts | None = None

    @property
    def clips_kept(self) -> int:
        """Clips for training and for testing."""
        return self.train + self.test

    def __str__(self) -> str:
        """One fact a line."""
        lines = [
            f"{self.videos} videos ({self.new} new or changed, {len(self.failed)} not usable) in "
            f"{duration(self.seconds)}",
            f"{self.clips_kept} clips: {self.train} to train on, {self.test} to test with",
        ]
        lines += [f"  {count} dropped: {reason}" for reason, count in self.dropped.most_common()]
        lines += [f"not usable: {source}: {reason}" for source, reason in self.failed[:_NAMED]]
        if len(self.failed) > _NAMED:
            lines.append(f"not usable: {len(self.failed) - _NAMED} more, see clips.parquet")
        lines += [f"used in part: {source}: {reason}" for source, reason in self.damaged[:_NAMED]]
        if self.stills is not None:
            lines += self._of_stills(self.stills)
        return "\n".join(lines + self.notes)

    @staticmethod
    def _of_stills(stills: StillCounts) -> list[str]:
        lines = [
            f"{stills.kept} of {stills.pictures} pictures ({stills.new} worked on): {stills.train} to train on, "
            f"{stills.test} to test with"
        ]
        lines += [f"not usable: {source}: {reason}" for source, reason in stills.examples]
        if stills.failed > len(stills.examples):
            lines.append(f"not usable: {stills.failed - len(stills.examples)} pictures more, see stills/clips.parquet")
        return lines
