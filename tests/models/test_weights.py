from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from vgan.errors import VganError
from vgan.models import tensorfile
from vgan.models.generator import build_generator, generate
from vgan.models.initialisation import initialise
from vgan.models.weights import GeneratorInfo, load_generator, save_generator

_INFO = GeneratorInfo(
    generator="two_stream", channels=4, latent_dim=6, frames=16, size=16, fps=29.97, step=12, clips_digest="ab" * 32
)


def _saved(folder: Path, info: GeneratorInfo = _INFO) -> Path:
    network = build_generator(info.generator, channels=4, latent_dim=6, frames=16, size=16)
    initialise(network, torch.Generator().manual_seed(0))
    network.train()(torch.randn(8, 6, generator=torch.Generator().manual_seed(1)))  # moves the batch-norm statistics
    save_generator(folder / "generator.safetensors", network, info)
    return folder / "generator.safetensors"


@pytest.mark.parametrize("kind", ["two_stream", "one_stream"])
def test_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    info = replace(_INFO, generator=kind)
    path = _saved(tmp_path, info)
    network, told = load_generator(path)
    assert told == info and not network.training
    stored = tensorfile.read(path)[0]
    assert all(torch.equal(tensor, stored[name]) for name, tensor in network.state_dict().items())
    videos = torch.cat(list(generate(network, 3, 0, 2)))
    assert videos.float().std() > 0
    again = tmp_path / "again"
    save_generator(again, network, told)
    assert again.read_bytes() == path.read_bytes()


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(VganError, match="found none: train one with `vgan train`"):
        load_generator(tmp_path / "generator.safetensors")


def test_damaged(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(VganError, match="no whole safetensors file"):
        load_generator(path)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(VganError, match="does not match its digest"):
        load_generator(path)


def test_other_kind(tmp_path: Path) -> None:
    path = tmp_path / "f"
    tensorfile.write(path, {}, {"kind": "vgan checkpoint 1"})
    with pytest.raises(VganError, match="got kind 'vgan checkpoint 1'"):
        load_generator(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"generator": "three_stream"},
            "expected one of two_stream, one_stream, future, content_motion, got 'three_stream'",
        ),
        ({"generator": "one_stream"}, "another architecture: expected motion_head.bias to be .3., got .4."),
        ({"channels": 8}, "another architecture: expected motion.0.bias to be .64., got .32."),
        ({"size": 32}, "another architecture: expected motion.0.weight to be"),
    ],
)
def test_other_architecture(change: dict[str, object], said: str, tmp_path: Path) -> None:
    path = _saved(tmp_path)
    tensors, header = tensorfile.read(path)
    tensorfile.write(path, tensors, {**header, "info": {**asdict(_INFO), **change}})
    with pytest.raises(VganError, match=said):
        load_generator(path)


def test_header_without_info(tmp_path: Path) -> None:
    path = _saved(tmp_path)
    tensors, header = tensorfile.read(path)
    for info in ({**asdict(_INFO), "more": 1}, None):
        tensorfile.write(path, tensors, {**header, "info": info})
        with pytest.raises(VganError, match="expected a header that tells generator, channels"):
            load_generator(path)
