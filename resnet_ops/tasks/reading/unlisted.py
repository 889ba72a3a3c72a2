"""Images of a folder that no label names."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from resnet_ops.data.listing.folders import find

__all__ = ["note_unlisted"]


def note_unlisted(folder: Path, files: Iterable[str]) -> Iterator[str]:
    """A note where there are any. files: that labels name, relative to the folder."""
    known = {(folder / file).resolve() for file in files}
    others = [path for path in find(folder).images if path.resolve() not in known]
    if others:
        yield f"{len(others):,} images are in no label and are left out, such as {others[0]}"
