"""True classes of requests, learned later: a table that only grows, of which the latest of a request counts.

Each says how its request was chosen. random: drawn at random, or labelled together with all others; only these tell how
right a version is. proposed: listed because it teaches most, so it is wrong more often than others. complaint: picked
by a person.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Literal

import numpy as np
from sqlalchemy import ColumnElement, Connection, Table, case, delete, func, insert, select

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.appending import drop_summaries, select_rows
from resnet_ops_monitoring.inference_log.columns import ANSWERED
from resnet_ops_monitoring.inference_log.connection import LogDatabase
from resnet_ops_monitoring.inference_log.database import answers, inferences, label_origins, labels
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.label_names import as_classes

__all__ = ["Origin", "count_right", "expect_labels", "give_labels"]

Origin = Literal["random", "proposed", "complaint"]
_CHUNK = 500  # ids in one IN (...): below SQLite's oldest limit on bound values
_ANSWER = ("request_id", "status", "time", "model", "version", "digest", "probabilities")
_NOTHING = {"label": None, "origin": None}
_Rows = dict[str, dict[str, Any]]


def expect_labels(log: LogDatabase, at_random: Sequence[str], proposed: Sequence[str]) -> None:
    """Remember a labelling list; what was once drawn at random stays so."""
    with log.transaction("write to") as connection:
        for origin, ids in (("random", at_random), ("proposed", proposed)):
            known = _by_request(connection, label_origins, ids, ("request_id", "origin"))
            stays = ("random", origin)
            new = [name for name in dict.fromkeys(ids) if known.get(name, _NOTHING)["origin"] not in stays]
            for begin in range(0, len(new), _CHUNK):
                some = new[begin : begin + _CHUNK]
                connection.execute(delete(label_origins).where(label_origins.c.request_id.in_(some)))
                connection.execute(
                    insert(label_origins), [{"request_id": name, "origin": origin} for name in some]
                )


def give_labels(
    log: LogDatabase,
    ids: Sequence[str],
    given: Sequence[str],
    *,
    by: str,
    at: datetime,
    chosen: Origin,
    classes_of: Callable[[ModelIdentity], Collection[str] | None] = lambda identity: None,
) -> int:
    """Write down the true class of answered requests, in one transaction; returns how many are new or others.

    chosen: how the requests were. Otherwise than at random is what was not said to be: of a labelling list the log
    knows better, and a correction leaves it as it was, unless the request turns out to be of a random sample. A label
    is the class that it equals, but for blanks around it and `7.0` for 7. The classes of a model are those that it
    answered with, where these are all; else classes_of says them, or None where it cannot. Raises DataError, and writes
    nothing, when an id is not in the log, a label is no class of any model that answered the request, or the lengths
    differ.
    """
    if len(ids) != len(given):
        raise DataError(f"{len(ids)} request ids but {len(given)} labels: give one label for each id.")
    with log.transaction("write to") as connection:
        found = select_rows(connection, inferences, ids, _ANSWER)
        there: dict[str, list[dict[str, Any]]] = {}
        for row in found:
            if row["status"] == ANSWERED:
                there.setdefault(row["request_id"], []).append(row)
        unknown = [name for name in ids if name not in there]
        if unknown:
            raise DataError(
                f"{len(unknown)} of {len(ids)} request ids are not in the log, the first is {unknown[0]!r}. "
                "Nothing was labelled. See what is there: resnet-ops log show"
            )
        classes = _classes(connection, chain.from_iterable(there.values()), set(given), classes_of)
        pairs = [
            ([row["digest"] for row in there[name]], label) for name, label in zip(ids, given, strict=True)
        ]
        asked = _by_request(connection, label_origins, ids, ("request_id", "origin"))
        before = _by_request(connection, labels, ids, ("request_id", "id", "label", "origin"))
        new, corrected, changed = [], list[dict[str, Any]](), 0
        for name, label in zip(ids, as_classes(pairs, classes), strict=True):
            was = before.get(name, _NOTHING)
            origin = _origin(asked.get(name, _NOTHING)["origin"], was["origin"], chosen)
            changed += was["label"] != label
            if (was["label"], was["origin"]) != (label, origin):
                corrected += there[name] if was["label"] else []
                before[name] = {
                    "request_id": name,
                    "label": label,
                    "origin": origin,
                    "by": by[:250],
                    "at": at,
                }
                new.append(before[name])
        drop_summaries(connection, [(row["digest"], row["time"]) for row in corrected])
        if new:
            connection.execute(insert(labels), new)
    return changed


def count_right(log: LogDatabase, *conditions: ColumnElement[bool]) -> tuple[int, int]:
    """Right and wrong ones of the answers whose labels tell how right a version is; conditions: on `answers`."""
    right = func.count(case((answers.c.predicted == answers.c.label, 1)))
    query = select(func.count(), right).where(answers.c.label.is_not(None), *conditions)
    with log.transaction("read") as connection:
        n, correct = connection.execute(query).one()
    return int(correct), int(n) - int(correct)


def _origin(asked: str | None, before: str | None, chosen: Origin) -> str:
    return "random" if "random" in (chosen, before) else asked or before or chosen


def _by_request(connection: Connection, table: Table, ids: Sequence[str], columns: Sequence[str]) -> _Rows:
    """The latest row of each request."""
    found = select_rows(connection, table, ids, columns)
    return {row["request_id"]: row for row in sorted(found, key=lambda row: row.get("id", 0))}


def _classes(
    connection: Connection,
    rows: Iterable[dict[str, Any]],
    given: set[str],
    classes_of: Callable[[ModelIdentity], Collection[str] | None],
) -> dict[str, Collection[str]]:
    """The classes of each model that answered these rows, by its digest, where they can be told."""
    classes: dict[str, Collection[str]] = {}
    for digest, row in {row["digest"]: row for row in rows}.items():
        found = select(inferences.c.predicted).where(inferences.c.digest == digest).distinct()
        answered = set(filter(None, connection.execute(found).scalars()))
        if len(answered) * np.dtype("<f4").itemsize == len(row["probabilities"]):
            classes[digest] = answered
        elif not given <= answered:
            known = classes_of(ModelIdentity(row["model"], row["version"], digest))
            if known is not None:
                classes[digest] = known
    return classes
