import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.lock import project_lock
from vgan.errors import VganError

HOLD = """
import sys
from pathlib import Path
from flows.lock import project_lock
with project_lock(Path(sys.argv[1]), 0, print):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(root: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_waits_names_the_first_and_goes_on_when_it_ends(tmp_path: Path) -> None:
    first = holder(tmp_path)
    said: list[str] = []

    def say(sentence: str) -> None:
        said.append(sentence)
        assert first.stdin is not None
        first.stdin.write("\n")
        first.stdin.flush()

    with project_lock(tmp_path, 1, say):
        assert json.loads((tmp_path / ".vgan" / "pipeline.json").read_text())["pid"] == os.getpid()
    assert len(said) == 1
    assert f"waiting for another pipeline in this project (process {first.pid}, running since 20" in said[0]
    first.communicate()
    assert not (tmp_path / ".vgan" / "pipeline.json").exists()


def test_patience_ends_with_a_sentence(tmp_path: Path) -> None:
    first = holder(tmp_path)
    with (
        pytest.raises(VganError, match=rf"waited 0 minutes for .*process {first.pid}"),
        project_lock(tmp_path, 0, lambda _: None),
    ):
        pytest.fail("two held it at once")
    first.communicate("\n")


def test_a_killed_holder_frees_it(tmp_path: Path) -> None:
    first = holder(tmp_path)
    first.kill()
    first.communicate()
    entered = []
    with project_lock(tmp_path, 0, lambda _: None):
        entered.append(True)
    assert entered == [True]
