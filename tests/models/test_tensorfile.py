from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from vgan.models import tensorfile

_TENSORS = {
    "b": torch.arange(6, dtype=torch.float32).reshape(2, 3).T,  # not contiguous
    "a": torch.tensor(7),
    "c": torch.tensor([1, 255], dtype=torch.uint8),
    "d": torch.zeros(0, 3, dtype=torch.float64),
}
_HEADER = {"kind": "test", "place": {"taken": 3}, "rate": 0.1}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "f"
    tensorfile.write(path, _TENSORS, _HEADER)
    tensors, header = tensorfile.read(path)
    assert header == tensorfile.read_header(path) == _HEADER
    assert tensors.keys() == _TENSORS.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == _TENSORS[name].dtype and torch.equal(tensor, _TENSORS[name])


def test_same_content_same_bytes(tmp_path: Path) -> None:
    tensorfile.write(tmp_path / "one", _TENSORS, _HEADER)
    backwards = dict(reversed(_TENSORS.items()))
    tensorfile.write(tmp_path / "two", backwards, dict(reversed(_HEADER.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_any_changed_byte_or_lost_end_is_seen(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("damage") / "f"
    tensorfile.write(path, _TENSORS, _HEADER)
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged = bytes(whole[:place])
    else:
        whole[place] ^= data.draw(st.integers(1, 255))
        damaged = bytes(whole)
    path.write_bytes(damaged)
    try:
        tensors, header = tensorfile.read(path)
    except tensorfile.DamagedFileError:
        return
    # What the digest does not cover is layout alone (padding, JSON white space): the content must be the same.
    assert header == _HEADER
    assert all(torch.equal(tensor, _TENSORS[name]) for name, tensor in tensors.items())


def test_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(save({"a": torch.zeros(2)}))
    with pytest.raises(tensorfile.DamagedFileError, match="no entry 'vgan'"):
        tensorfile.read(path)
    for entry, said in (("{", "not JSON"), ("[1]", "no digest"), ('{"sha256": 1}', "no digest")):
        path.write_bytes(save({"a": torch.zeros(2)}, metadata={"vgan": entry}))
        with pytest.raises(tensorfile.DamagedFileError, match=said):
            tensorfile.read_header(path)
    path.write_text("hello")
    with pytest.raises(tensorfile.DamagedFileError, match="no whole safetensors file"):
        tensorfile.read(path)
    with pytest.raises(OSError, match="absent"):
        tensorfile.read(tmp_path / "absent")
