"""Digests: always those of the content as it is, and read again only where a file may have changed."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from vgan.preprocess import digests as module
from vgan.preprocess.digests import digests, index_path
from vgan.preprocess.sources import Source

NAMES = ("a.mp4", "b.mp4", "c\udcff.mp4")


def sha(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


@pytest.fixture
def raw(tmp_path: Path) -> list[Source]:
    sources = [Source(tmp_path / "raw" / name, name, "") for name in NAMES]
    (tmp_path / "raw").mkdir()
    for number, source in enumerate(sources):
        source.path.write_text(f"video {number}")
    return sources


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands ten seconds after the files were written."""
    now = time.time_ns() + 10**10
    monkeypatch.setattr("vgan.preprocess.digests.time.time_ns", lambda: now)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read."""
    names: list[str] = []
    read = module._read

    def counted(path: Path) -> object:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr("vgan.preprocess.digests._read", counted)
    return names


def test_digests_are_of_the_content(raw: list[Source], tmp_path: Path) -> None:
    gone = Source(tmp_path / "raw/gone.mp4", "gone.mp4", "")
    gone.path.symlink_to(tmp_path / "nowhere")
    assert digests([*raw, gone], tmp_path / "index", workers=2) == [*(sha(f"video {k}") for k in range(3)), ""]


@pytest.mark.usefixtures("later")
def test_only_what_changed_is_read_again(raw: list[Source], tmp_path: Path, reads: list[str]) -> None:
    index = index_path(tmp_path / "clips")
    first = digests(raw, index, workers=2)
    assert sorted(reads) == sorted(NAMES)
    reads.clear()
    content = index.read_bytes()
    assert digests(raw, index, workers=2) == first and reads == [] and index.read_bytes() == content
    kept = raw[1].path.stat()
    raw[1].path.write_text("VIDEO 1")
    os.utime(raw[1].path, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # same size, inode and time of modification
    assert digests(raw, index, workers=2) == [first[0], sha("VIDEO 1"), first[2]] and reads == ["b.mp4"]
    reads.clear()
    assert digests(raw[:1], index, workers=2) == first[:1] and reads == []
    assert digests(raw, index, workers=2)[2] == first[2] and sorted(reads) == sorted(NAMES[1:])  # it had forgotten them


def test_a_file_just_written_is_read_again(raw: list[Source], tmp_path: Path, reads: list[str]) -> None:
    """It could change once more within the same tick of the clock, and its times would not tell."""
    for _ in range(2):
        assert digests(raw, tmp_path / "index", workers=2) == [sha(f"video {k}") for k in range(3)]
    assert len(reads) == 6


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("damage", [b"", b"ARROW1", None, b"bit"])
def test_a_damaged_index_costs_reading_only(
    raw: list[Source], tmp_path: Path, reads: list[str], damage: bytes | None
) -> None:
    index = tmp_path / "index"
    expected = digests(raw, index, workers=2)
    reads.clear()
    content = index.read_bytes()
    place = content.index(expected[0].encode())  # with one bit wrong it would be another video's
    flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    index.write_bytes({None: content[: len(content) // 2], b"bit": flipped}.get(damage, damage or b""))
    assert digests(raw, index, workers=2) == expected
    assert sorted(reads) == sorted(NAMES) and index.read_bytes() == content


@pytest.mark.usefixtures("later")
def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    raw: list[Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    stamp = module._stamp
    calls: list[Path] = []

    def moving(path: Path) -> object:
        calls.append(path)
        found = stamp(path)
        return found and (*found[:3], found[3] + len(calls), found[4])

    monkeypatch.setattr("vgan.preprocess.digests._stamp", moving)
    digests(raw, tmp_path / "index", workers=1)
    monkeypatch.setattr("vgan.preprocess.digests._stamp", stamp)
    digests(raw, tmp_path / "index", workers=1)
    assert sorted(reads) == sorted(NAMES * 2)


@pytest.mark.usefixtures("later")
def test_much_to_read_is_shown_in_bytes(
    raw: list[Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digests(raw, tmp_path / "index", workers=1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("vgan.preprocess.digests._SHOWN_FROM", 0)
    (tmp_path / "index").unlink()
    digests(raw, tmp_path / "index", workers=1)
    said = capsys.readouterr().err
    assert said.startswith("checksums") and "21 B of 21 B" in said and "3/3 videos" in said
