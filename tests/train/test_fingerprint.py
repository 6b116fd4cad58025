import json
from pathlib import Path

import pytest

from tests.train.conftest import PARAMS
from vgan.train import fingerprint
from vgan.train.fingerprint import code_digest, fingerprint_of

_FREE = {
    "steps": 99,
    "device": "auto",
    "log_every": 7,
    "sample_every": 7,
    "checkpoint_every": 7,
    "max_minutes": 3.0,
}


def test_how_long_and_how_often_leave_it_alone() -> None:
    assert fingerprint_of(PARAMS.model_copy(update=_FREE), "c") == fingerprint_of(PARAMS, "c")


@pytest.mark.parametrize("name", sorted(set(type(PARAMS).model_fields) - _FREE.keys()))
def test_every_other_param_changes_it(name: str) -> None:
    was = PARAMS.model_dump()[name]
    value, shown = (not was, json.dumps(not was)) if isinstance(was, bool) else (12345, "12345")
    before, after = fingerprint_of(PARAMS, "c"), fingerprint_of(PARAMS.model_copy(update={name: value}), "c")
    assert before.digest != after.digest
    assert f"train.{name} was" in after.difference(before.parts) and f"is {shown}" in after.difference(before.parts)


def test_clips_and_code_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint_of(PARAMS, "c")
    other = fingerprint_of(PARAMS, "d")
    assert other.digest != before.digest and other.difference(before.parts) == "the clips changed"
    monkeypatch.setattr(fingerprint, "code_digest", lambda: "x")
    assert fingerprint_of(PARAMS, "c").difference(before.parts) == "the code changed"


def test_a_part_that_is_new() -> None:
    before = fingerprint_of(PARAMS, "c")
    parts = {name: part for name, part in before.parts.items() if name != "train.seed"}
    assert before.difference(parts) == "train.seed was absent and is 3"


def test_code_digest_follows_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("models/a.py", "train/fingerprint.py", "clips/batches.py", "clips/store.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(fingerprint, "__file__", str(tmp_path / "train" / "fingerprint.py"))
    digests = [code_digest()]
    (tmp_path / "clips/store.py").write_text("changed")
    assert code_digest() == digests[0]
    for name in ("models/a.py", "train/fingerprint.py", "clips/batches.py"):
        (tmp_path / name).write_text("changed")
        digests.append(code_digest())
    (tmp_path / "models/a.py").rename(tmp_path / "models/b.py")
    digests.append(code_digest())
    assert len(set(digests)) == 5
