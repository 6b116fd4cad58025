"""What splits.csv may say, where it may lie, and that a table written is the table read."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgan.errors import VganError
from vgan.preprocess.sources import find_sources
from vgan.preprocess.wishes import Wish, parse_table, read_splits, write_table


def _lay(raw: Path, *names: str) -> None:
    for name in names:
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def _read(raw: Path) -> dict[str, Wish]:
    return read_splits(raw, [source.name for source in find_sources(raw)])


def test_splits_are_read(tmp_path: Path) -> None:
    _lay(tmp_path, "a/x.mp4", "a/y.mp4", "z.mp4")
    (tmp_path / "splits.csv").write_text(
        "\ufeffpath, group ,split,label,start_s,end_s\r\na/x.mp4,anna,test,waving,1.5,9\n./a/y.mp4,anna,,,0,\n",
        encoding="utf-8",
    )
    assert _read(tmp_path) == {
        "a/x.mp4": Wish("waving", "anna", "test", 1.5, 9.0),
        "a/y.mp4": Wish("", "anna", "", 0.0, None),
    }


def test_splits_are_not_needed_and_columns_neither(tmp_path: Path) -> None:
    _lay(tmp_path, "a,b.mp4")
    assert _read(tmp_path) == {}
    (tmp_path / "splits.csv").write_text('split,path\ntrain,"a,b.mp4"\n')
    assert _read(tmp_path) == {"a,b.mp4": Wish(split="train")}


def test_each_folder_may_have_its_own_with_paths_from_there(tmp_path: Path) -> None:
    _lay(tmp_path, "x.mp4", "ucf/a/x.mp4", "ucf/a/y.mp4", ".old/splits.csv")
    (tmp_path / "splits.csv").write_text("path,split\nx.mp4,test\nucf/a/y.mp4,train\n")
    (tmp_path / "ucf/splits.csv").write_text("path,split\na/x.mp4,train\n")
    assert {name: wish.split for name, wish in _read(tmp_path).items()} == {
        "x.mp4": "test", "ucf/a/x.mp4": "train", "ucf/a/y.mp4": "train",
    }  # fmt: skip
    (tmp_path / "ucf/a/splits.csv").write_text("path,split\ny.mp4,test\n")
    with pytest.raises(VganError) as told:
        _read(tmp_path)
    assert str(told.value) == (
        f"{tmp_path}/ucf/a/splits.csv, line 2: 'ucf/a/y.mp4' was named before, in {tmp_path}/splits.csv, line 3: keep "
        "one of them"
    )


def test_a_folders_line_stands_for_all_below_and_gives_way_to_nearer_ones(tmp_path: Path) -> None:
    _lay(tmp_path, "a/x.mp4", "a/b/y.mp4", "a/b/z.mp4", "ab/w.mp4")
    (tmp_path / "splits.csv").write_text("path,label,split\na/,dance,train\na/b/,,test\na/b/z.mp4,song,\n")
    assert _read(tmp_path) == {
        "a/x.mp4": Wish("dance", "", "train"),
        "a/b/y.mp4": Wish("dance", "", "test"),
        "a/b/z.mp4": Wish("song", "", "test"),
    }
    (tmp_path / "splits.csv").write_text("path,split\n/,test\n")
    with pytest.raises(VganError, match=r"line 2: expected a video below .*, got '/'"):
        _read(tmp_path)
    (tmp_path / "splits.csv").write_text("path,split\n./,test\n")
    assert len(_read(tmp_path)) == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,split\nx.mp4,train\ngone.mp4,test\n", "line 3: expected a video below .*, got 'gone.mp4'"),
        ("path,split\n../x.mp4,test\n", r"line 2: expected a video below .*, got '\.\./x.mp4'"),
        ("path,split\ngone/,test\n", "line 2: expected a video below .*, got 'gone/'"),
        ("path,split\nx.mp4,val\n", "line 2: expected the split train, test or nothing, got 'val'"),
        ("path,split\nx.mp4,test\nx.mp4,test\n", "line 3: 'x.mp4' was named before, in .*line 2"),
        ("path,start_s\nx.mp4,soon\n", "line 2: expected seconds from 0 in start_s, got 'soon'"),
        ("path,end_s\nx.mp4,inf\n", "line 2: expected seconds from 0 in end_s, got 'inf'"),
        ("path,start_s\nx.mp4,-1\n", "line 2: expected seconds from 0 in start_s, got '-1'"),
        ("path,start_s,end_s\nx.mp4,3,3\n", "line 2: expected end_s after start_s, got 3 after 3"),
        ("path,end_s\nx.mp4,0\n", "line 2: expected end_s after start_s, got 0 after 0"),
        ("file,split\nx.mp4,test\n", "expected the columns path, label, group, split, start_s, end_s"),
        ("path,person\nx.mp4,anna\n", "expected the columns path"),
        ("path,split,split\nx.mp4,train,test\n", "expected the columns path"),
        ("", "expected the columns path"),
        ("path,split\nx.mp4,test,anna\n", "line 2: more values than columns"),
    ],
)
def test_bad_splits_are_told_with_their_line(tmp_path: Path, text: str, told: str) -> None:
    _lay(tmp_path, "x.mp4")
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(VganError, match=told):
        _read(tmp_path)


def test_splits_that_are_no_text_are_told(tmp_path: Path) -> None:
    _lay(tmp_path, "x.mp4")
    for content in (b"path\n\xff\xfe\n", b'path\n"' + b"x" * 200_000):
        (tmp_path / "splits.csv").write_bytes(content)
        with pytest.raises(VganError, match="UTF-8"):
            _read(tmp_path)


def test_a_video_that_was_imported_may_be_removed_again(tmp_path: Path) -> None:
    _lay(tmp_path, "x.mp4")
    own = {"x.mp4": Wish("a"), "gone.mp4": Wish("a", "g", "train", 1.0, 2.0)}
    write_table(tmp_path / "splits.csv", own.items())
    with pytest.raises(VganError, match=r"got 'gone\.mp4'"):
        _read(tmp_path)
    write_table(tmp_path / ".import/ucf101-lines.csv", own.items())
    assert _read(tmp_path) == {"x.mp4": Wish("a")}
    text = (tmp_path / "splits.csv").read_text()
    (tmp_path / "splits.csv").write_text(text.replace("gone.mp4,a,g,train", "gone.mp4,a,g,test"))
    with pytest.raises(VganError, match=r"got 'gone\.mp4'"):  # somebody's own now
        _read(tmp_path)


texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), max_size=8)
wishes = st.builds(
    Wish, texts, texts, st.sampled_from(["", "train", "test"]), st.none() | st.floats(0, 5), st.none() | st.floats(6, 9)
)


@given(table=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), wishes, max_size=5))
def test_a_table_written_is_the_table_read(table: dict[str, Wish], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("table") / "splits.csv"
    write_table(path, table.items())
    read = dict(parse_table(path))
    assert read.keys() == table.keys()
    for name, wish in table.items():
        again = read[name]
        assert (again.label, again.group, again.split) == (wish.label, wish.group, wish.split)
        for old, new in ((wish.start_s, again.start_s), (wish.end_s, again.end_s)):
            assert (old is None) == (new is None) and math.isclose(old or 0, new or 0, rel_tol=1e-9, abs_tol=1e-9)
