import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.guard import MARK, end_marked
from flows.processes import run_lines


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def gone_within(seconds: float, pids: list[int]) -> bool:
    until = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_lines_come_one_by_one_with_stderr_in_place_and_the_exit_code(tmp_path: Path) -> None:
    lines: list[str] = []
    code = run_lines(shell("echo a; echo b >&2; printf c; exit 7"), tmp_path, os.environ, 10, lines.append)
    assert (lines, code) == (["a", "b", "c"], 7)


def test_bytes_that_are_not_text_do_not_stop_the_reading(tmp_path: Path) -> None:
    lines: list[str] = []
    assert run_lines(shell(r"printf 'x\377y\n'; echo z"), tmp_path, os.environ, 10, lines.append) == 0
    assert lines == ["x\ufffdy", "z"]


def test_folder_and_environment_are_the_ones_given(tmp_path: Path) -> None:
    lines: list[str] = []
    run_lines(shell("pwd; echo $WORD"), tmp_path, {"PATH": os.environ["PATH"], "WORD": "w"}, 10, lines.append)
    assert lines == [str(tmp_path.resolve()), "w"]


def test_an_exception_ends_the_whole_group_grandchildren_too(tmp_path: Path) -> None:
    pids: list[int] = []

    def stop(line: str) -> None:
        pids.append(int(line))
        if len(pids) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_lines(shell("sleep 300 & echo $!; echo $$; wait"), tmp_path, os.environ, 60, stop)
    assert gone_within(1, pids)


def test_what_a_finished_command_left_running_is_ended(tmp_path: Path) -> None:
    lines: list[str] = []
    assert run_lines(shell("sleep 300 >/dev/null 2>&1 & echo $!"), tmp_path, os.environ, 60, lines.append) == 0
    assert gone_within(1, [int(lines[0])])


def test_a_group_gets_time_to_end_by_itself(tmp_path: Path) -> None:
    """The leader dies at once; what is below it still finishes its work on SIGTERM."""
    saved = tmp_path / "saved"
    child = f"trap 'sleep 0.5; touch {saved}; exit' TERM; echo ready; while true; do sleep 0.05; done"

    def stop(line: str) -> None:
        assert line == "ready"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_lines(shell(f'sh -c "{child}" & wait'), tmp_path, os.environ, 60, stop)
    assert saved.exists()


def test_a_command_that_takes_too_long_is_ended_and_named(tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(TimeoutError, match=r"sleep 300.*ran for longer than 0\.005 minutes"):
        run_lines(shell("echo $$; sleep 300; true"), tmp_path, os.environ, 0.3, lines.append)
    assert gone_within(1, [int(lines[0])])


def test_marked_processes_end_and_others_stay() -> None:
    sleep = ["sleep", "300"]
    marked = subprocess.Popen(sleep, env=os.environ | {MARK: "one"})
    stubborn = subprocess.Popen(
        shell("trap '' TERM; echo ready; while true; do sleep 0.05; done"),
        env=os.environ | {MARK: "one"},
        stdout=subprocess.PIPE,
    )
    other = subprocess.Popen(sleep, env=os.environ | {MARK: "two"})
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    try:
        end_marked("one", grace_s=0.3)
        assert marked.wait(1) == -signal.SIGTERM
        assert stubborn.wait(1) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (marked, stubborn, other):
            process.kill()
            process.wait()
        stubborn.stdout.close()


def test_the_guard_ends_everything_when_its_process_is_killed(tmp_path: Path) -> None:
    code = """
import subprocess, time
from flows.processes import start_guard
start_guard()
start_guard()
one = subprocess.Popen(["sleep", "300"], start_new_session=True)
two = subprocess.Popen(["sh", "-c", "sleep 300 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
print(one.pid, two.pid, two.stdout.readline().strip(), flush=True)
time.sleep(300)
"""
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    guards = [child.pid for child in psutil.Process(owner.pid).children() if "flows.guard" in child.cmdline()]
    assert len(guards) == 1
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert gone_within(10, [*pids, *guards])
