"""Any tree of videos: laid as it is, so a video's label is the folder that it lies in."""

from collections.abc import Iterator

from vgan.errors import VganError
from vgan.importers.entries import Entry, Passed, Places, Plan
from vgan.preprocess.sources import find_sources
from vgan.preprocess.wishes import Wish, read_splits

__all__ = ["plan"]


def plan(places: Places) -> Plan:
    """Every video below the folder; what a splits.csv there says of it comes along.

    Raises:
        VganError: there is no video, or a splits.csv that is not valid.
    """
    sources = find_sources(places.src)
    if not sources:
        raise VganError(f"expected videos in {places.src}, found none")
    wishes = read_splits(places.src, (source.name for source in sources))

    def items() -> Iterator[Entry | Passed]:
        for source in sources:
            relative = source.path.relative_to(places.src).as_posix()
            yield Entry(relative, source.path, wishes.get(source.name, Wish()))

    return Plan(len(sources), "videos", items())
