"""SHA-256 of every file of a clips folder, in `SHA256SUMS`, which `sha256sum -c` reads too."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vgan.atomic import write_text
from vgan.errors import VganError

__all__ = ["SUMS", "damaged", "file_sha256", "read_sums", "write_sums"]

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_BLOCK = 1 << 20


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Write the digests of files named relative to `folder`, if they are not what stands there already."""
    content = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    path = folder / SUMS
    if not path.is_file() or path.read_bytes() != content.encode():
        write_text(path, content)


def read_sums(folder: Path) -> dict[str, str]:
    """What SHA256SUMS says, by name relative to `folder`.

    Raises:
        VganError: there is none, or a line is not as `write_sums` writes it.
    """
    path = folder / SUMS
    advice = "run `vgan preprocess`, which writes it anew"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise VganError(f"expected {path}, found none: {advice}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise VganError(f"{path} cannot be read ({error}): {advice}") from None
    found = [_LINE.fullmatch(line) for line in lines]
    sums = {match[2]: match[1] for match in found if match is not None}
    if len(sums) != len(lines):
        raise VganError(f"{path} is damaged: {advice}")
    return sums


def file_sha256(path: Path, passed: Callable[[int], None] = lambda count: None) -> str:
    """SHA-256 of a file; `passed` is told of every so many bytes read."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            passed(len(block))
    return digest.hexdigest()


def damaged(folder: Path, names: Iterable[str] | None = None) -> list[str]:
    """A sentence for each file that is not as it was written; nothing of it is on the way of a batch.

    Args:
        folder: a clips folder.
        names: of the files to look at, relative to `folder`, such as a `ClipStore`'s shards; None looks at all.

    Raises:
        VganError: there is no SHA256SUMS, or it is damaged.
    """
    sums = read_sums(folder)

    def look(name: str) -> str:
        try:
            fits = file_sha256(folder / name) == sums.get(name)
        except OSError as error:
            return f"{folder / name} cannot be read ({error.strerror})"
        return "" if fits else f"{folder / name} is damaged: it is not what {SUMS} says"

    with ThreadPoolExecutor() as pool:
        return [said for said in pool.map(look, sums if names is None else names) if said]
