"""What the members of the catalogue weigh, counted from the networks themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from resnet_ops.families.build import build_network
from resnet_ops.families.catalogue import CATALOGUE, Entry

__all__ = ["Row", "family_table", "table_as_markdown"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    name: str
    parameters: int
    flops: int
    """Of one image, a multiply-add counted as two."""
    image_size: int
    features: int
    """Length of the embedding."""
    paper: str
    accuracy: float | None
    accuracy_source: str


@cache
def family_table() -> tuple[Row, ...]:
    """Every member of the catalogue. Large networks are built without memory for their weights."""
    return tuple(_row(entry) for entry in CATALOGUE)


def _row(entry: Entry) -> Row:
    # a thousand thin layers are computed faster than meta tensors pass through them
    with torch.device("cpu" if entry.image_size <= 32 else "meta"):
        network = build_network(entry.member, 3, entry.classes).eval()
        image = torch.empty(1, 3, entry.image_size, entry.image_size)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(image)
    return Row(
        name=entry.name,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        flops=counter.get_total_flops(),
        image_size=entry.image_size,
        features=network.head.in_features,
        paper=entry.paper,
        accuracy=entry.accuracy,
        accuracy_source=entry.accuracy_source,
    )


def table_as_markdown(rows: Iterable[Row]) -> str:
    """The table as `docs/families.md` holds it."""
    lines = [
        "| member | parameters | MFLOP an image | input | embedding | top-1 published | paper |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        accuracy = f"{row.accuracy:g} % ({row.accuracy_source})" if row.accuracy is not None else "-"
        size = f"3x{row.image_size}x{row.image_size}"
        lines.append(
            f"| `{row.name}` | {row.parameters:,} | {row.flops / 1e6:,.1f} | {size} | {row.features} "
            f"| {accuracy} | {row.paper} |"
        )
    return "\n".join(lines) + "\n"
