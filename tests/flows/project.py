"""A small DVC project of two stages, for tests of what orchestrates it."""

import atexit
import json
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

DVC = [sys.executable, "-m", "dvc"]

_STAGES = """\
stages:
  second:
    desc: what comes last, written first
    cmd: {second}
    deps:
      - out/first.txt
    outs:
      - out/second.txt
    meta:
      prefect: {{retries: 1, timeout_minutes: 5}}
  first:
    cmd: {first}
    deps:
      - raw
    outs:
      - out/first.txt
    meta:
      prefect: {{retries: 2, timeout_minutes: 0.5}}
"""

FIRST = "mkdir -p out && echo working && cat raw/* > out/first.txt"
SECOND = "cp out/first.txt out/second.txt"


def make_project(root: Path, *, first: str = FIRST, second: str = SECOND) -> Path:
    """A git and DVC project at `root`: raw (tracked) → first → second."""
    shutil.copytree(_template(), root, dirs_exist_ok=True)
    write_stages(root, first=first, second=second)
    return root


@cache
def _template() -> Path:
    """The project without stages; DVC takes seconds to make one, copying it takes none."""
    root = Path(tempfile.mkdtemp(prefix="vgan-test-project-"))
    atexit.register(shutil.rmtree, root)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    dvc(root, "init", "-q")
    dvc(root, "config", "core.check_update", "false")
    (root / "raw").mkdir()
    (root / "raw" / "a.txt").write_text("a\n")
    dvc(root, "add", "-q", "raw")
    return root


def write_stages(root: Path, *, first: str = FIRST, second: str = SECOND) -> None:
    (root / "dvc.yaml").write_text(_STAGES.format(first=json.dumps(first), second=json.dumps(second)))


def dvc(root: Path, *arguments: str) -> str:
    """What DVC prints; it must succeed."""
    answer = subprocess.run([*DVC, *arguments], cwd=root, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout
