"""What the members of the catalogue weigh, as `counting` counted it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from resnet_ops.families.catalogue import CATALOGUE

__all__ = ["Row", "family_table", "table_as_markdown"]

COUNTS = Path(__file__).with_name("counts.json")


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


def family_table() -> tuple[Row, ...]:
    """Every member of the catalogue."""
    counts = json.loads(COUNTS.read_text(encoding="utf-8"))
    return tuple(
        Row(
            name=entry.name,
            image_size=entry.image_size,
            paper=entry.paper,
            accuracy=entry.accuracy,
            accuracy_source=entry.accuracy_source,
            **counts[entry.name],
        )
        for entry in CATALOGUE
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
