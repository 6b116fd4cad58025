"""Whatever happens to a clips folder is told, and mended to the same bytes."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.footage_factory import filmed, params, scene, shake, with_passer
from vgan.clips import manifest
from vgan.clips.checksums import damaged
from vgan.errors import VganError
from vgan.pictures import write_png
from vgan.preprocess import stage
from vgan.preprocess.records import read_record
from vgan.preprocess.verify import _row_problems, find_problems, repair
from vgan.video import write_video


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good videos and a bad one in raw, and their clips."""
    folder = tmp_path_factory.mktemp("project")
    for number, name in enumerate(("a/one.mp4", "a/two.mp4", "b/three.mp4")):
        (folder / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / "raw" / name, with_passer(filmed(scene(number), shake(40, number, shift=1.0))), 25)
    (folder / "raw/empty.mp4").touch()
    write_png(folder / "raw/a/still.png", scene(9))
    stage.run(params(), folder / "raw", folder / "clips", workers=1)
    return folder


@pytest.fixture
def clips(project: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(project / "clips", tmp_path / "clips"))


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def first(clips: Path, pattern: str) -> Path:
    return min(clips.glob(pattern))


def flip(path: Path, place: float) -> None:
    """Turn one bit of a file, at a share of its length."""
    whole = bytearray(path.read_bytes())
    whole[int(place * (len(whole) - 1))] ^= 16
    path.write_bytes(whole)


def other_split(clips: Path) -> None:
    """A manifest that is whole in itself, but of which one column was changed."""
    table = manifest.read_table(clips)
    starts = pa.array([start + (start == 8) for start in table["start"].to_pylist()])
    table = table.set_column(table.schema.get_field_index("start"), table.schema.field("start"), starts)
    manifest.write_tables(clips, [table])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pixel": (lambda c: flip(first(c, "shards/*"), 0.5), "its checksum is not the one in its video's record"),
    "tar header": (lambda c: flip(first(c, "shards/*"), 0.0), "its checksum is not the one in its video's record"),
    "record": (lambda c: flip(first(c, "videos/*.arrow"), 0.4), "is damaged: its checksum does not fit"),
    "record's end": (lambda c: flip(first(c, "videos/*.arrow"), 1.0), "is damaged: its checksum does not fit"),
    "manifest": (lambda c: flip(c / "clips.parquet", 0.3), "clips.parquet is damaged"),
    "manifest's footer": (lambda c: flip(c / "clips.parquet", 0.9), "clips.parquet is damaged"),
    "manifest of others": (other_split, "clips.parquet differs from the record of a/one.mp4 in 1 rows"),
    "sums": (lambda c: flip(c / "SHA256SUMS", 0.005), "SHA256SUMS is damaged"),
    "shard gone": (lambda c: first(c, "shards/*").unlink(), "is missing"),
    "record gone": (lambda c: first(c, "videos/*.arrow").unlink(), "is missing"),
    "manifest gone": (lambda c: (c / "clips.parquet").unlink(), "clips.parquet is missing"),
    "sums gone": (lambda c: (c / "SHA256SUMS").unlink(), "SHA256SUMS, found none"),
    "shard cut": (lambda c: first(c, "shards/*").write_bytes(first(c, "shards/*").read_bytes()[:9000]), "is damaged"),
    "shard emptied": (lambda c: first(c, "shards/*").write_bytes(b""), "is damaged"),
    "record cut": (lambda c: first(c, "videos/*.arrow").write_bytes(b"x"), "is damaged"),
    "stray shard": (lambda c: (c / "shards/ffffffffffffffff-00000.tar").touch(), "does not belong there"),
    "stray file": (lambda c: (c / "notes.txt").write_text("mine"), "notes.txt does not belong there"),
    "still": (
        lambda c: flip(first(c, "stills/shards/*"), 0.5),
        "is damaged: its checksum is not the one in SHA",
    ),
    "still's record": (lambda c: first(c, "stills/videos/*").unlink(), "is missing"),
    "folder gone": (lambda c: shutil.rmtree(c / "videos"), "is missing"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told_and_mended_to_the_same_bytes(project: Path, clips: Path, name: str) -> None:
    damage, told = DAMAGE[name]
    damage(clips)
    hurt = content(clips)
    problems = find_problems(clips, workers=2)
    assert any(told in problem.text for problem in problems), problems
    assert content(clips) == hurt  # looking changes nothing
    summary = repair(problems, params(), project / "raw", clips, workers=1)
    assert content(clips) == content(project / "clips")
    assert find_problems(clips, workers=2) == []
    broken = {problem.key for problem in problems if problem.key} & {p.stem for p in project.glob("clips/videos/*")}
    assert summary.new == len(broken) <= (4 if name == "folder gone" else 1)


def test_a_whole_folder_has_no_problem_and_sha256sum_agrees(clips: Path) -> None:
    assert find_problems(clips, workers=2) == []
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=clips, check=True)
    listed = {line.split("  ")[1] for line in (clips / "SHA256SUMS").read_text().splitlines()}
    assert listed == content(clips).keys() - {"SHA256SUMS"}


def test_one_flipped_bit_anywhere_is_found(clips: Path) -> None:
    for path in sorted(clips.rglob("*.*")):
        whole = path.read_bytes()
        for place in (0.0, 0.21, 0.5, 0.77, 1.0):
            flip(path, place)
            assert find_problems(clips, workers=2), (path, place)
        path.write_bytes(whole)
    assert find_problems(clips, workers=2) == []


def test_repair_makes_nothing_but_what_is_broken(project: Path, clips: Path, tmp_path: Path) -> None:
    raw = shutil.copytree(project / "raw", tmp_path / "raw")
    flip(first(clips, "shards/*"), 0.5)
    problems = find_problems(clips, workers=1)
    (raw / "a/four.mp4").write_bytes(b"new")
    with pytest.raises(VganError, match=r"1 videos of .* not among those .* run `vgan preprocess`"):
        repair(problems, params(), raw, clips, workers=1)
    with pytest.raises(VganError, match="4 videos of "):
        repair(problems, params(stride=4), project / "raw", clips, workers=1)
    with pytest.raises(VganError, match="expected videos in"):
        repair(problems, params(), tmp_path / "nowhere", clips, workers=1)
    assert find_problems(clips, workers=1) == problems


def test_training_can_ask_for_its_shards(clips: Path) -> None:
    assert damaged(clips) == []
    flip(first(clips, "shards/*"), 0.5)
    name = first(clips, "shards/*").relative_to(clips).as_posix()
    assert damaged(clips, [name]) == [f"{clips / name} is damaged: it is not what SHA256SUMS says"] == damaged(clips)
    assert damaged(clips, ["clips.parquet"]) == []
    (clips / name).unlink()
    assert damaged(clips, [name]) == [f"{clips / name} cannot be read (No such file or directory)"]
    (clips / "SHA256SUMS").write_text("nonsense\n")
    with pytest.raises(VganError, match="SHA256SUMS is damaged"):
        damaged(clips)
    with pytest.raises(VganError, match="expected clips in"):
        find_problems(clips / "nowhere", workers=1)


def test_a_shard_that_cannot_be_opened_is_told(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [read_record(path) for path in sorted(clips.glob("videos/*.arrow"))]
    record = next(record for record in records if record.shards)
    digests = record.files()
    assert list(_row_problems(clips, record, digests)) == []
    open_file = Path.open

    def refused(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.suffix == ".tar":
            raise PermissionError(13, "Permission denied")
        return open_file(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refused)
    told = [problem.text for problem in _row_problems(clips, record, digests)]
    assert told == [f"{shard.name} cannot be read: Permission denied" for shard in record.shards]
