"""Any tree of videos and pictures: laid as it is, so a file's label is the folder that it lies in.

What lies in no folder below the source is labelled with the source's own name, in splits.csv.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from vgan.errors import VganError
from vgan.importers.entries import Entry, Passed, Places, Plan
from vgan.preprocess.sources import STILLS, VIDEOS, as_text, find_sources
from vgan.preprocess.wishes import Wish, read_splits

__all__ = ["plan"]


def plan(places: Places) -> Plan:
    """Every video and picture below the folder; what a splits.csv there says of it comes along.

    Raises:
        VganError: there is neither, or a splits.csv that is not valid.
    """
    sources = find_sources(places.src, VIDEOS | STILLS)
    if not sources:
        raise VganError(f"expected videos or pictures in {places.src}, found neither")
    wishes = read_splits(places.src, (source.name for source in sources))

    own = Wish(label=as_text(Path(os.path.abspath(places.src)).name))  # of what lies in no folder below

    def items() -> Iterator[Entry | Passed]:
        for source in sources:
            relative = source.path.relative_to(places.src).as_posix()
            wish = wishes.get(source.name, Wish())
            yield Entry(relative, source.path, wish if source.label else wish.over(own))

    return Plan(len(sources), "files", items())
