"""The ledger: every decision, in order, each row holding the hash of the one before."""

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from resnet_ops.errors import EvidenceError
from resnet_ops.files import canonical_json
from resnet_ops_registry.database import tables

__all__ = ["Entry", "Event", "append", "entry_after", "head", "list_entries", "readable_entries", "verify"]

GENESIS = "0" * 64


@dataclass(frozen=True)
class Event:
    """What happened: who did what to which version, how it was judged, and on what grounds (`detail`).

    `observed`: it went through although the rules do not hold, because the policy observes.
    """

    actor: str
    action: str
    outcome: Literal["allowed", "observed", "refused", "recorded"]
    workspace: str = "default"
    model: str | None = None
    version: int | None = None
    target: str | None = None
    from_version: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A row: its number from 1 on, its time in milliseconds since 1970, the event, and the chain's hashes."""

    seq: int
    time: int
    event: Event
    previous: str
    hash: str

    @property
    def head(self) -> tables.Head:
        """What the next entry follows."""
        return self.seq, self.hash


_INSERT = insert(tables.ledger)
_MOVE_HEAD = update(tables.ledger_head).where(tables.ledger_head.c.id == 1)


def append(connection: Connection, event: Event, head: tables.Head | None = None) -> Entry:
    """Write an event in the connection's transaction, after waiting for other writers.

    head: the last entry, as this transaction found it when it locked the ledger or as it wrote it since.
    """
    last, previous = head or tables.lock(connection)
    seq, now = last + 1, time.time_ns() // 1_000_000
    text = canonical_json({"seq": seq, "time": now, **asdict(event)}).decode()
    digest = _hash(previous, text)
    row = {"seq": seq, "entry": text, "previous": previous, "hash": digest}
    connection.execute(_INSERT, {**row, "workspace": event.workspace, "model": event.model})
    connection.execute(_MOVE_HEAD, {"seq": seq, "hash": digest})
    return Entry(seq, now, event, previous, digest)


def list_entries(connection: Connection, model: str | None = None, limit: int | None = None) -> list[Entry]:
    """The latest entries, oldest first; of one model where it is named."""
    query = select(tables.ledger).order_by(tables.ledger.c.seq.desc()).limit(limit)
    if model is not None:
        query = query.where(tables.ledger.c.model == model)
    return [_entry(row) for row in reversed(connection.execute(query).all())]


def readable_entries(connection: Connection) -> list[Entry]:
    """Every entry that can be read, oldest first, for an audit that goes on where the chain is broken."""
    found = []
    for row in connection.execute(select(tables.ledger).order_by(tables.ledger.c.seq)):
        with suppress(EvidenceError):
            found.append(_entry(row))
    return found


def entry_after(connection: Connection, seq: int) -> Entry | None:
    """The entry that follows number `seq`, or None at the end."""
    table = tables.ledger
    row = connection.execute(select(table).where(table.c.seq == seq + 1)).one_or_none()
    return None if row is None else _entry(row)


def head(connection: Connection) -> str:
    """The hash of the last entry, which stands for the whole chain; empty where its row is gone."""
    table = tables.ledger_head
    return str(connection.execute(select(table.c.hash).where(table.c.id == 1)).scalar() or "")


def verify(connection: Connection) -> int:
    """Walk the whole chain and give its length. Raises EvidenceError naming the first row that is wrong.

    It notices a row that was changed, removed or inserted, and a cut tail as long as the head row was not set
    back with it. Whoever can rewrite the whole database can write a new chain: keep `hash` of the head elsewhere.
    """
    previous, seq = GENESIS, 0
    for row in connection.execute(select(tables.ledger).order_by(tables.ledger.c.seq)):
        seq += 1
        if row.seq != seq:
            raise EvidenceError(f"The ledger is broken: entry {seq} is missing.")
        if row.previous != previous or row.hash != _hash(previous, row.entry):
            raise EvidenceError(f"The ledger is broken: entry {seq} was changed after it was written.")
        entry = json.loads(row.entry)
        if (entry["seq"], entry["workspace"], entry["model"]) != (row.seq, row.workspace, row.model):
            raise EvidenceError(f"The ledger is broken: the columns of entry {seq} were changed.")
        previous = row.hash
    heads = connection.execute(select(tables.ledger_head)).all()
    if [row.id for row in heads] != [1]:
        raise EvidenceError(f"The ledger is broken: it has {len(heads)} head rows instead of one.")
    (head,) = heads
    if (head.seq, head.hash) != (seq, previous):
        raise EvidenceError(
            f"The ledger is broken: it ends at entry {seq}, but entry {head.seq} was written."
        )
    return seq


def _hash(previous: str, text: str) -> str:
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def _entry(row: Any) -> Entry:
    try:
        fields = json.loads(row.entry)
        seq, written = fields.pop("seq"), fields.pop("time")
        event = Event(**fields)
        _check_types(seq, written, event)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvidenceError(
            f"Entry {row.seq} of the ledger cannot be read. See what else was changed: resnet-ops audit verify"
        ) from error
    return Entry(seq, written, event, row.previous, row.hash)


def _check_types(seq: object, written: object, event: Event) -> None:
    """Raise TypeError for what `append` does not write: numbers, texts and an object, or nothing where it may be."""
    numbers = [seq, written, *(each for each in (event.version, event.from_version) if each is not None)]
    names = [each for each in (event.model, event.target) if each is not None]
    texts = [event.actor, event.action, event.outcome, event.workspace, *names]
    if not (
        all(type(number) is int for number in numbers)
        and all(isinstance(text, str) for text in texts)
        and isinstance(event.detail, dict)
    ):
        raise TypeError("an entry's field is of another type")
