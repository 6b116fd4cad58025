"""The import as a whole: going on after a kill, what may not be touched, what is refused."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import ROOT
from tests.importers.trees import bring_in, files, lay_out, lines, skipped
from vgan.errors import VganError
from vgan.importers import laying
from vgan.preprocess.wishes import Wish, write_table

CODE = """
import sys, time
from pathlib import Path
from vgan.importers import laying
from vgan.importers.run import Request, import_footage
copy = laying._copy
def slowly(content, size, target):
    time.sleep(0.01)
    copy(content, size, target)
laying._copy = slowly
import_footage(Request("ucf101", Path(sys.argv[1]), Path(sys.argv[2])))
"""


def _data_set(folder: Path, count: int = 200) -> Path:
    names = [f"A/v_A_g{n // 4:02}_c{n % 4:02}.avi" for n in range(count)]
    lists = {"trainlist01.txt": "".join(f"{name} 1\n" for name in names[8:]), "testlist01.txt": "\n".join(names[:8])}
    return lay_out(folder, lists | {f"UCF-101/{name}": os.urandom(9000 + n) for n, name in enumerate(names)})


def _everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_import_that_was_killed_ends_as_if_undisturbed(tmp_path: Path) -> None:
    src, into = _data_set(tmp_path / "src"), tmp_path / "raw"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(src), str(into)], env=environment, stderr=subprocess.DEVNULL
    )
    limit = time.monotonic() + 60
    while len(list(into.glob("A/*.avi"))) < 20 and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = len(list(into.glob("A/*.avi")))
    assert 20 <= there < 200 and not (into / "splits.csv").exists()
    (into / "A/.x.avi.123.partial").write_bytes(b"half")
    times = {path: path.stat().st_ino for path in into.glob("A/*.avi")}
    report = bring_in("ucf101", src, into)
    assert f"({200 - there} new, {there} there already)" in report
    assert all(path.stat().st_ino == inode for path, inode in times.items())
    bring_in("ucf101", src, tmp_path / "other")
    assert _everything(into) == _everything(tmp_path / "other")
    assert files(into) == {
        path.relative_to(src / "UCF-101").as_posix(): path.read_bytes() for path in src.rglob("*.avi")
    }


def test_lines_of_people_and_of_other_imports_stay(tmp_path: Path) -> None:
    src, into = _data_set(tmp_path / "src", 12), tmp_path / "raw"
    lay_out(into, {"own/x.mp4": "", "splits.csv": "path,split\nown/x.mp4,test\nA/v_A_g00_c00.avi,train\n"})
    report = bring_in("ucf101", src, into)
    after = lines(into)
    assert list(after)[:2] == ["own/x.mp4", "A/v_A_g00_c00.avi"] and len(after) == 13
    assert after["own/x.mp4"] == Wish(split="test") and after["A/v_A_g00_c00.avi"] == Wish(split="train")
    assert after["A/v_A_g00_c01.avi"] == Wish("A", "A_g00", "test")
    assert "1 lines of splits.csv are not of this import and stay: A/v_A_g00_c00.avi" in report
    text = (into / "splits.csv").read_text()
    (into / "splits.csv").write_text(text.replace("A/v_A_g01_c00.avi,A,A_g01,test", "A/v_A_g01_c00.avi,A,mine,test"))
    bring_in("ucf101", src, into)
    assert lines(into)["A/v_A_g01_c00.avi"].group == "mine"


def test_a_kill_between_the_tables_leaves_no_line_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vgan.importers import lines as module

    src = _data_set(tmp_path / "src", 12)
    for part, other in (("train", "test"), ("test", "train")):
        lay_out(src, {f"{part}list02.txt": (src / f"{other}list01.txt").read_text()})
    bring_in("ucf101", src, tmp_path / "whole", split=2)
    for calls in range(3):
        into = tmp_path / f"raw{calls}"
        bring_in("ucf101", src, into)
        left = calls

        def die(*arguments: object) -> None:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            write_table(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(module, "write_table", die)
        with pytest.raises(KeyboardInterrupt):
            bring_in("ucf101", src, into, split=2)
        monkeypatch.undo()
        bring_in("ucf101", src, into, split=2)
        assert _everything(into) == _everything(tmp_path / "whole")


def test_a_bad_splits_csv_is_told_before_anything_is_laid(tmp_path: Path) -> None:
    src, into = _data_set(tmp_path / "src", 12), tmp_path / "raw"
    lay_out(into, {"splits.csv": "path,split\nx,never\n"})
    with pytest.raises(VganError, match=r"splits\.csv, line 2: expected the split"):
        bring_in("ucf101", src, into)
    assert files(into) == {}


def test_files_that_cannot_be_laid_are_told_and_the_rest_is(tmp_path: Path) -> None:
    src = lay_out(tmp_path / "src", {"a/good.mp4": "", "a/taken.mp4": "new", "a/empty.mp4": b"", "b/under.mp4": ""})
    (src / "a/gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    os.mkfifo(src / "a/pipe.mp4")
    into = lay_out(tmp_path / "raw", {"a/taken.mp4": "old", "b": "a file"})
    with pytest.raises(VganError, match=r"5 of 6 files were passed over, more than --max-skipped-share 0\.5 allows"):
        bring_in("folder", src, into)
    report = bring_in("folder", src, into, max_skipped_share=0.9)
    assert files(into) == {"a/good.mp4": b"video a/good.mp4", "a/taken.mp4": b"old", "b": b"a file"}
    told = {name: reason for name, _, reason in skipped(into, "folder")}
    assert told["a/empty.mp4"] == "empty file (0 bytes)" and "another file lies at" in told["a/taken.mp4"]
    assert told["a/pipe.mp4"].endswith("no regular file") and told["a/gone.mp4"].endswith("no such file")
    assert told["b/under.mp4"].startswith("cannot be copied") and "not usable: 1 · empty file" in report


def test_a_copy_of_other_content_but_equal_size_is_noticed(tmp_path: Path) -> None:
    src = lay_out(tmp_path / "src", {"a.mp4": "one", "b.mp4": "two"})
    into = lay_out(tmp_path / "raw", {"a.mp4": "one", "b.mp4": "six"})
    report = bring_in("folder", src, into)
    assert "(0 new, 1 there already)" in report and "another file lies at" in report


def test_absent_videos_count_only_where_a_share_is_asked_for(tmp_path: Path) -> None:
    src, into = _data_set(tmp_path / "src", 12), tmp_path / "raw"
    for n in range(3, 12):
        (src / f"UCF-101/A/v_A_g{n // 4:02}_c{n % 4:02}.avi").unlink()
    assert "listed but not there: 9" in bring_in("ucf101", src, into)
    bring_in("ucf101", src, into, max_skipped_share=0.75)
    with pytest.raises(VganError, match="9 of 12 files were passed over"):
        bring_in("ucf101", src, into, max_skipped_share=0.7)
    assert len(lines(into)) == 3
    lay_out(src, {"UCF-101/A/other.avi": ""})
    for n in range(3):
        (src / f"UCF-101/A/v_A_g00_c{n:02}.avi").unlink()
    with pytest.raises(VganError, match=r"nothing of .* could be imported"):
        bring_in("ucf101", src, tmp_path / "none")


@pytest.mark.parametrize(
    ("kind", "src", "into", "options", "told"),
    [
        ("ucf", "src", "raw", {}, "got 'ucf'"),
        ("ucf11", "src", "raw", {}, r"did you mean ucf101\?"),
        ("folder", "gone", "raw", {}, "there is nothing of that name"),
        ("folder", "src/a.mp4", "raw", {}, "expected a folder, got the file"),
        ("folder", "src", "src/a.mp4", {}, "to import into, got the file"),
        ("folder", "src", "src/raw", {}, "one lies in the other"),
        ("folder", "src/deep", "src", {}, "one lies in the other"),
        ("folder", "src", "raw", {"split": 1}, "folder has none"),
        ("lsun", "src", "raw", {"lists": Path("x")}, "lsun has none"),
        ("ucf101", "src", "raw", {"lists": Path("/nowhere")}, "expected lists at /nowhere"),
    ],
)
def test_requests_that_make_no_sense(
    tmp_path: Path, kind: str, src: str, into: str, options: dict[str, object], told: str
) -> None:
    lay_out(tmp_path / "src", {"a.mp4": "", "deep/b.mp4": ""})
    with pytest.raises(VganError, match=told):
        bring_in(kind, tmp_path / src, tmp_path / into, **options)
    assert not (tmp_path / "raw").exists()


def test_a_second_import_does_not_write_beside_the_first(tmp_path: Path) -> None:
    src = lay_out(tmp_path / "src", {"a.mp4": ""})
    with FileLock(tmp_path / ".raw.import.lock"), pytest.raises(VganError, match=r"another import into .* is at work"):
        bring_in("folder", src, tmp_path / "raw")


def test_a_full_disk_ends_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(laying, "_copy", full)
    src = lay_out(tmp_path / "src", {f"{n}.mp4": "" for n in range(9)})
    with pytest.raises(OSError, match="No space left"):
        bring_in("folder", src, tmp_path / "raw")
    monkeypatch.undo()
    assert "9 new" in bring_in("folder", src, tmp_path / "raw")
