"""A few fixed cases of tests/fuzz.py; thousands are run by hand: `python -m tests.fuzz`."""

from pathlib import Path

from tests.fuzz import fuzz_manifests, fuzz_videos


def _nothing(_: int, __: str) -> None:
    """Cases say nothing here."""


def test_spoilt_videos_end_in_a_reason_or_in_clips(tmp_path: Path) -> None:
    reasons = fuzz_videos(range(40), 0, tmp_path / "videos", _nothing)
    assert sum(reasons.values()) == 40 and len(reasons) >= 4


def test_spoilt_manifests_are_read_or_refused(tmp_path: Path) -> None:
    results = fuzz_manifests(range(200), 0, tmp_path / "manifests", _nothing)
    assert sum(results.values()) == 200
    assert any(result.endswith("read") for result in results) and any(result.endswith("refused") for result in results)
