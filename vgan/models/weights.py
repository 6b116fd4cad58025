"""A generator in one file that says what it is, so that it is rebuilt without params.yaml."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vgan.errors import VganError
from vgan.models import tensorfile
from vgan.models.generator import Generator, build_generator

__all__ = ["GeneratorInfo", "load_generator", "save_generator"]

_KIND = "vgan generator 1"


@dataclass(frozen=True)
class GeneratorInfo:
    """What a generator is and where it comes from."""

    generator: str  # one of GENERATORS
    channels: int
    latent_dim: int
    frames: int  # of a whole clip, given ones included
    size: int
    fps: float  # of the clips it learnt from
    step: int  # training steps it has seen
    clips_digest: str  # of the clips it learnt from
    context: int = 0  # frames of a clip that "content_motion" is given


def save_generator(path: Path, generator: Generator, info: GeneratorInfo) -> None:
    """Write `generator` to `path` as one safetensors file; the same weights give the same bytes."""
    tensorfile.write(path, generator.state_dict(), {"kind": _KIND, "info": asdict(info)})


def load_generator(path: Path) -> tuple[Generator, GeneratorInfo]:
    """The generator in `path`, on the CPU, in float32 and eval mode, and what it is.

    Raises:
        VganError: the file is missing, damaged, of another kind or of another architecture.
    """
    advice = "train again with `vgan train`"
    try:
        tensors, header = tensorfile.read(path)
    except FileNotFoundError:
        raise VganError(f"expected a trained generator at {path}, found none: train one with `vgan train`") from None
    except (OSError, tensorfile.DamagedFileError) as error:
        raise VganError(f"expected a trained generator at {path}, but {error}: {advice}, or restore the file") from None
    if header.get("kind") != _KIND:
        raise VganError(
            f"expected a generator (kind {_KIND!r}) at {path}, got kind {header.get('kind')!r}: "
            "give the path of a generator.safetensors that this version wrote"
        )
    info = _info(path, header)
    try:
        generator = build_generator(
            info.generator,
            channels=info.channels,
            latent_dim=info.latent_dim,
            frames=info.frames,
            size=info.size,
            context=info.context,
        )
    except ValueError as error:
        raise VganError(f"{path} is of another architecture: {error}; {advice}") from None
    expected = {name: list(tensor.shape) for name, tensor in generator.state_dict().items()}
    got = {name: list(tensor.shape) for name, tensor in tensors.items()}
    if expected != got:
        raise VganError(f"{path} is of another architecture: {_first_difference(expected, got)}; {advice}")
    generator.load_state_dict(tensors)
    return generator.float().eval(), info


def _info(path: Path, header: dict[str, Any]) -> GeneratorInfo:
    described = header.get("info")
    names = [field.name for field in fields(GeneratorInfo)]
    if not isinstance(described, dict) or sorted(described) != sorted(names):
        raise VganError(f"{path}: expected a header that tells {', '.join(names)}, got {described!r}: train again")
    return GeneratorInfo(**described)


def _first_difference(expected: dict[str, list[int]], got: dict[str, list[int]]) -> str:
    for name in sorted(expected.keys() | got.keys()):
        if expected.get(name) != got.get(name):
            return f"expected {name} to be {expected.get(name, 'absent')}, got {got.get(name, 'nothing')}"
    return "nothing differs"
