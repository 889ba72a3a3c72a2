"""What `resnet-ops init` says of a data set and of what it proposes."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from resnet_ops.console import console
from resnet_ops.data.listing.given_splits import is_split_name
from resnet_ops.tasks.task import Detection, Segmentation
from resnet_ops_pipelines.new_project.members import Fit
from resnet_ops_pipelines.new_project.proposal import Proposal
from resnet_ops_pipelines.new_project.survey import Survey

__all__ = ["is_parted", "tell", "tell_faults", "tell_joined"]

MOST_FAULTS = 10
"""That are shown."""


def tell(found: Survey, fit: Fit, proposal: Proposal) -> None:
    """Print it as a table."""
    table = Table(box=None, show_header=False)
    for what, text in _lines(found, fit, proposal):
        table.add_row(what, text)
    console.print(table)


def _lines(found: Survey, fit: Fit, proposal: Proposal) -> Iterator[tuple[str, str]]:
    data, (small, middle, large) = found.data, found.sizes
    totals = sorted(found.totals.items(), key=lambda item: -item[1])
    shown = [f"{name} {count:,}" for name, count in totals]
    sizes = " / ".join(f"{width}x{height}" for width, height in dict.fromkeys((small, middle, large)))
    formats = ", ".join(f"{count:,} {ending}" for ending, count in found.formats.items())
    yield "images", f"{sum(found.totals.values()):,}" + (f" ({formats})" if formats else "")
    grey = (
        f"grey of {data.grey_bits} bits, kept up to the network (depth: 16)" if data.depth == 16 else "grey"
    )
    yield "pixels", f"{sizes}, {grey if data.channels == 1 else 'colour'}"
    if data.segmentation is not None:
        yield from _masks(found, data.segmentation)
    elif data.detection is not None:
        yield from _boxes(found, data.detection)
    else:
        yield "classes", ", ".join(shown if len(shown) <= 12 else [*shown[:6], "...", *shown[-3:]])
        yield "balance", f"largest to smallest {found.ratio:.1f}"
    if found.groups:
        yield "groups", f"{sum(found.groups.values()):,} by column {data.group}"
    yield "equal images", str(found.repeated)
    for note in found.notes:
        yield "note", note
    yield "splits", ", ".join(f"{split} {found.images(split):,}" for split in found.counts)
    beside = f", beside it grey {data.background}" if data.fit == "pad" else ""
    yield "size", f"{fit.image_size} pixels, {data.fit}{beside}"
    recipe = proposal.recipe
    yield (
        "recipe",
        f"{recipe.epochs} epochs of {recipe.batch_size} images a step, "
        + ("some mirrored" if recipe.flip else "none mirrored: left and right seem to differ"),
    )
    if proposal.recipe.imbalance is not None:
        yield "rare classes", "drawn by the root of their size, with logit adjustment (docs/training.md)"
    for name, minutes in proposal.minutes.items():
        yield (
            "member",
            f"{name}: {minutes:.1f} minutes on {fit.engine.device}, {fit.engine.threads} thread(s)",
        )
    yield "training", f"{sum(proposal.minutes.values()):.1f} minutes in all"
    for each in fit.left_out:
        yield "not chosen", f"{each}: more than --minutes allows"
    yield "for less time", proposal.less
    for metric, least in proposal.least.items():
        yield "policy", f"lower end of {metric} from {least:g}"


def _boxes(found: Survey, settings: Detection) -> Iterator[tuple[str, str]]:
    yield "task", f"detection: boxes of {settings.labels} on the images of {settings.images}"
    yield "objects", ", ".join(f"{name} {count:,}" for name, count in found.objects.items())
    yield (
        "images by",
        "the rarest class in each: " + ", ".join(f"{name} {count:,}" for name, count in found.totals.items()),
    )


def _masks(found: Survey, settings: Segmentation) -> Iterator[tuple[str, str]]:
    edges = f", from {settings.threshold} on" if settings.threshold is not None else ""
    ignored = f", {settings.ignore} is asked of nobody" if settings.ignore is not None else ""
    yield "task", f"segmentation: masks *{settings.masks} beside their images{edges}{ignored}"
    for name, share in found.pixels.items():
        value = settings.classes[name]
        shown = value if isinstance(value, int) else list(value)
        yield "class", f"{name}: {shown} in the masks, {100 * share:.3g}% of the pixels"


def tell_faults(faults: Sequence[str], root: str) -> None:
    """Print the first faults of labels, and what becomes of them."""
    if not faults:
        return
    for line in faults[:MOST_FAULTS]:
        console.print(f"fault: {line}", markup=False, highlight=False)
    more = f" of {len(faults):,}" if len(faults) > MOST_FAULTS else ""
    console.print(
        f"{min(len(faults), MOST_FAULTS)}{more} faults in the labels below {root}. Boxes that reach out of their image "
        "are cut, whatever else is at fault is left out (data.detection.faults: clip). Correct them, or see them all: "
        "resnet-ops boxes check",
        markup=False,
    )


def is_parted(images: Sequence[Path], root: Path) -> bool:
    """Whether images lie in several folders that are called like splits."""
    above = {part for path in images for part in Path(os.path.relpath(path.parent, root)).parts}
    return sum(map(is_split_name, above)) > 1


def tell_joined(why: str) -> None:
    """Print that splits are not kept which folders or lists seem to give to images with masks or boxes."""
    console.print(
        f"The splits that folders or lists say are not kept; all images are put together and split anew. {why}",
        markup=False,
    )
