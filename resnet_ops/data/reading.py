"""Image files, read in parallel; all that cannot be read are named at once, and what is odd is counted."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from resnet_ops.data.decoding import AHEAD, Facts, decode
from resnet_ops.data.listing.listings import Listing, list_images
from resnet_ops.data.odd_images import bits_needed, notes_on_images
from resnet_ops.data.opening import quiet_decoders
from resnet_ops.data.params import DataParams
from resnet_ops.data.raw import RawData
from resnet_ops.data.spool import spool
from resnet_ops.errors import DataError
from resnet_ops.messages import Progress
from resnet_ops.threads import mapped

__all__ = ["read_listed", "read_listing"]


def read_listed(params: DataParams, progress: Progress, scratch: Path | None) -> RawData:
    """Read every image that `list_images` finds; see `read_listing`."""
    return read_listing(list_images(params), params, progress, scratch)


def read_listing(listing: Listing, params: DataParams, progress: Progress, scratch: Path | None) -> RawData:
    """Read every image of a listing; class names are in alphabetical order.

    Raises DataError that names every image that cannot be read.
    """
    names = [os.path.relpath(each.path, listing.root) for each in listing.images]
    bits = 16 if params.grey_bits == "auto" else params.grey_bits
    images, facts = _read(listing, names, params, bits, progress, scratch)
    needed = bits_needed(facts)
    if params.grey_bits == "auto" and needed < bits and params.window is None:  # known only now
        bits = needed
        images, facts = _read(listing, names, params, bits, progress, scratch)
    classes = tuple(sorted({listed.class_name for listed in listing.images}))
    label_of = {name: label for label, name in enumerate(classes)}
    anywhere = tuple(params.split.as_dict())
    return RawData(
        images=images,
        labels=np.array([label_of[listed.class_name] for listed in listing.images], np.int64),
        paths=names,
        sizes=[each.size for each in facts],
        classes=classes,
        allowed=[listed.allowed or anywhere for listed in listing.images]
        if any(listed.allowed for listed in listing.images)
        else None,
        extra={name: [listed.extra[name] for listed in listing.images] for name in listing.images[0].extra},
        notes=(*listing.notes, *notes_on_images(names, facts, params, bits)),
        grey_bits=bits if any(each.highest_grey is not None for each in facts) else None,
    )


def _read(
    listing: Listing,
    names: list[str],
    params: DataParams,
    grey_bits: int,
    progress: Progress,
    scratch: Path | None,
) -> tuple[np.ndarray, list[Facts]]:
    facts: list[Facts] = []

    def read() -> Iterator[np.ndarray]:
        broken: list[str] = []
        decoded = mapped(lambda listed: decode(listed.path, params, grey_bits), listing.images, AHEAD)
        for done, (name, result) in enumerate(zip(names, decoded, strict=True), 1):
            if isinstance(result, str):
                broken.append(f"{name} ({result})")
            else:
                pixels, fact = result
                facts.append(fact)
                yield pixels
            progress(done, len(names))
        if broken:
            shown = "\n  ".join(broken)
            raise DataError(
                f"{listing.root}: {len(broken)} of {len(names)} images cannot be read; replace or remove them:\n"
                f"  {shown}"
            )

    with quiet_decoders():
        return spool(
            read(), (params.image_size, params.image_size, params.channels), scratch, params.depth
        ), facts
