"""Copies and links, and what DVC makes of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.importers.trees import bring_in, files, lay_out
from vgan.errors import VganError

DVC = "[core]\n    no_scm = true\n"


def test_links_lead_to_the_originals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    src = lay_out(tmp_path / "src", {"a/x.mp4": "", "y.mp4": ""})
    monkeypatch.chdir(tmp_path)
    bring_in("folder", Path("src"), Path("data/raw"), link=True)
    into = tmp_path / "data/raw"
    assert [os.readlink(into / name) for name in ("a/x.mp4", "y.mp4")] == [str(src / "a/x.mp4"), str(src / "y.mp4")]
    assert files(into) == {"a/x.mp4": b"video a/x.mp4", "y.mp4": b"video y.mp4"}
    assert "(0 new, 2 there already)" in bring_in("folder", src, into)  # a copy is not made beside a link
    assert (into / "y.mp4").is_symlink()


def test_copies_are_files_of_their_own(tmp_path: Path) -> None:
    src = lay_out(tmp_path / "src", {"x.mp4": b"0123456789" * 300_000})
    os.chmod(src / "x.mp4", 0o400)
    os.utime(src / "x.mp4", ns=(10**18, 10**18))
    bring_in("folder", src, tmp_path / "raw")
    copy = tmp_path / "raw/x.mp4"
    assert copy.read_bytes() == b"0123456789" * 300_000 and copy.stat().st_nlink == 1
    assert copy.stat().st_mtime_ns == 10**18 and copy.stat().st_mode & 0o200  # for the user to delete and to change


def test_copying_works_where_the_kernel_does_not_do_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def some(source: int, target: int, count: int, at: int, to: int) -> int:
        if to:
            raise OSError(22, "Invalid argument")
        return os.pwrite(target, os.pread(source, 3, at), to)

    monkeypatch.setattr(os, "copy_file_range", some, raising=False)
    bring_in("folder", lay_out(tmp_path / "src", {"x.mp4": "abcdefgh"}), tmp_path / "raw")
    assert files(tmp_path / "raw") == {"x.mp4": b"abcdefgh"}


def test_links_are_refused_where_dvc_would_take_the_originals_over(tmp_path: Path) -> None:
    src = lay_out(tmp_path / "src", {"x.mp4": ""})
    lay_out(tmp_path, {".dvc/config": DVC + '[cache]\n    type = "hardlink,symlink"\n'})
    with pytest.raises(VganError, match="makes your originals read-only: import copies"):
        bring_in("folder", src, tmp_path / "data/raw", link=True)
    assert not (tmp_path / "data/raw").exists()


@pytest.mark.parametrize("types", ["", (ROOT / ".dvc/config").read_text()[len("[core]\n") :]])
def test_dvc_leaves_linked_originals_alone(tmp_path: Path, types: str) -> None:
    """With DVC's defaults and with the project's own settings, hard links among them."""
    src = lay_out(tmp_path / "src", {"x.mp4": ""})
    lay_out(tmp_path, {".dvc/config": DVC + types.replace("autostage = true", "")})
    bring_in("folder", src, tmp_path / "data/raw", link=True)
    before = (src / "x.mp4").stat()
    command = [sys.executable, "-W", "ignore", "-m", "dvc", "add", "-q", "data/raw"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    after = (src / "x.mp4").stat()
    assert (after.st_ino, after.st_mode, after.st_nlink) == (before.st_ino, before.st_mode, before.st_nlink)
    assert (src / "x.mp4").read_bytes() == b"video x.mp4"
    assert "(0 new, 1 there already)" in bring_in("folder", src, tmp_path / "data/raw")
