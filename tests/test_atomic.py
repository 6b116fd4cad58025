import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vgan import atomic


def test_content_arrives_whole_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    atomic.write_bytes(path, b"first")
    atomic.write_text(path, "zweite ✓")
    assert path.read_bytes() == "zweite ✓".encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_an_exception_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write_bytes(path, b"old")

    def fail_half_way() -> None:
        with atomic.open_atomic(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.glob(".file*")) == []


def test_a_kill_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write_bytes(path, b"old")
    code = f"""
import time
from pathlib import Path
from vgan.atomic import open_atomic
with open_atomic(Path({str(path)!r})) as file:
    file.write(b"half"); file.flush(); print("writing", flush=True); time.sleep(60)
"""
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.glob(".file.*.partial"))) == 1
    atomic.remove_partial(tmp_path)
    assert [entry.name for entry in tmp_path.glob("*file*")] == ["file"]
    assert list(tmp_path.glob(".file*")) == []


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    code = """
import sys
from pathlib import Path
from vgan.atomic import write_bytes
for _ in range(50): write_bytes(Path(sys.argv[1]), sys.argv[2].encode() * 100_000)
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            content = path.read_bytes()
            seen.add((len(content), content[:1] == content[-1:]))
        time.sleep(0.001)
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen == {(100_000, True)}
