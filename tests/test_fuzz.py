"""A few fixed cases of tests/fuzz.py; thousands are run by hand: `python -m tests.fuzz`."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.fuzz import fuzz_manifests


def _nothing(_: int, __: str) -> None:
    """Cases say nothing here."""


def test_spoilt_videos_end_in_a_reason_or_in_clips() -> None:
    # In a process of its own: what it measures of its decoders is measured of all that a process has started.
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz", "--count", "40", "--what", "videos"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    title, *lines = done.stdout.splitlines()
    assert title.startswith("40 videos in ") and title.endswith("no failure")
    assert sum(int(line.split()[0]) for line in lines) == 40 and len(lines) >= 4


def test_spoilt_manifests_are_read_or_refused(tmp_path: Path) -> None:
    results = fuzz_manifests(range(200), 0, tmp_path / "manifests", _nothing)
    assert sum(results.values()) == 200
    assert any(result.endswith("read") for result in results) and any(result.endswith("refused") for result in results)
