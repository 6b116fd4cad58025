"""What a training is: change it and an old checkpoint no longer continues it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from vgan.config import TrainParams

__all__ = ["Fingerprint", "code_digest", "fingerprint_of"]

# These say how long, where and how often, not what is learnt; so a finished training goes on with more `steps`.
_NOT_IN_IT = {"steps", "device", "log_every", "sample_every", "checkpoint_every", "max_minutes"}


@dataclass(frozen=True)
class Fingerprint:
    """The parts by name (`train.channels`, `clips`, `code`), each as text."""

    parts: dict[str, str]

    @property
    def digest(self) -> str:
        """sha256 over all parts, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.parts, sort_keys=True).encode()).hexdigest()

    def difference(self, other: dict[str, str]) -> str:
        """Which parts `other` has otherwise: 'train.channels was 16 and is 32; the code has changed'."""
        told = []
        for name in sorted(self.parts.keys() | other.keys()):
            was, now = other.get(name, "absent"), self.parts.get(name, "absent")
            if was != now:
                told.append(f"the {name} changed" if name in ("clips", "code") else f"{name} was {was} and is {now}")
        return "; ".join(told)


def fingerprint_of(params: TrainParams, clips_digest: str) -> Fingerprint:
    """Fingerprint of a training with these params on those clips by the code that is installed."""
    named = {f"train.{name}": json.dumps(value) for name, value in params.model_dump(exclude=_NOT_IN_IT).items()}
    return Fingerprint({**named, "clips": clips_digest, "code": code_digest()})


def code_digest() -> str:
    """sha256 over the sources that decide what a step computes: vgan/models, vgan/train and the batches' order."""
    package = Path(__file__).resolve().parent.parent
    sources = [*package.glob("models/*.py"), *package.glob("train/*.py"), package / "clips" / "batches.py"]
    digest = hashlib.sha256()
    for path in sorted(sources):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()
