"""The ledger as a file for an auditor."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime

from resnet_ops.messages import plain
from resnet_ops_registry.database.ledger import Entry

__all__ = ["as_csv", "as_jsonl"]

COLUMNS = (
    "seq",
    "time",
    "actor",
    "action",
    "outcome",
    "workspace",
    "model",
    "version",
    "target",
    "from_version",
)
MORE = ("policy", "reasons", "statements", "files", "hash")
_MOVING = {code: f"\\u{code:04x}" for code in range(127, 160)}
"""What JSON leaves of the signs that move a terminal, as it writes the others."""


def as_jsonl(entries: Iterable[Entry]) -> Iterator[str]:
    """One JSON object a line, all of the entry: number, time, event, and the hashes of the chain."""
    for entry in entries:
        yield json.dumps(asdict(entry), sort_keys=True, ensure_ascii=False).translate(_MOVING) + "\n"


def as_csv(entries: Iterable[Entry]) -> Iterator[str]:
    """A header and one row for each entry, for a spreadsheet; what it would take for a formula is quoted."""
    yield _line((*COLUMNS, *MORE))
    for entry in entries:
        event, detail = entry.event, entry.event.detail
        when = datetime.fromtimestamp(entry.time / 1000, UTC).isoformat(timespec="milliseconds")
        yield _line(
            (
                entry.seq,
                when,
                *(getattr(event, name) for name in COLUMNS[2:]),
                detail.get("policy"),
                "; ".join(map(str, detail.get("reasons", []))),
                " ".join(map(str, detail.get("statements", []))),
                detail.get("files"),
                entry.hash,
            )
        )


def _line(values: Iterable[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(["" if value is None else _harmless(str(value)) for value in values])
    return buffer.getvalue()


def _harmless(text: str) -> str:
    return plain(f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text)
