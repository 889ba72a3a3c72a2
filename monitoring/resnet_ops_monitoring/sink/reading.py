"""A body as rows of the log: each is one or is refused alone, with the reason."""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import from_json

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.columns import ANSWERED, ROUTES, Route
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.incoming import Incoming, as_text
from resnet_ops_monitoring.sink.arrow import VECTORS, arrow_rows
from resnet_ops_monitoring.sink.inference import Inference
from resnet_ops_monitoring.web.refusal import Refusal

__all__ = ["JSON_TYPE", "Lost", "Read", "Reader", "why_refused"]

JSON_TYPE = "application/json"

_VERSIONS, _NAMES = 256, 1 << 18
"""Whose classes and length of embeddings are remembered, up to so many names of classes and scalars in all, or those of
one: a window with rows of other lengths cannot be judged."""
_OF_AN_ANSWER = ("classes", "probabilities", "embedding", "statistics")
_OF_ANSWERS_ALONE = (*_OF_AN_ANSWER, "scalars", "predicted", "group", "label", "latency_ms")
_Names = tuple[list[str], list[str]]
"""Classes and scalars of a version."""


@dataclass(frozen=True)
class Lost:
    """Whose row is refused, as far as the row says it."""

    identity: ModelIdentity
    source: str | None
    time: datetime
    route: Route


@dataclass(frozen=True)
class Read:
    """Of a body: rows as bytes, and the places of those that are none, each with the reason."""

    rows: Sequence[bytes]
    refused: dict[int, str]
    lost: Sequence[Lost]


class Reader:
    """For one thread. most: rows of a body."""

    def __init__(self, most: int) -> None:
        self._most, self._versions = most, OrderedDict[ModelIdentity, tuple[_Names, Incoming]]()
        self._held = 0  # names of these versions

    def read(self, kind: str, body: bytes) -> Read:
        """kind: JSON_TYPE or ARROW_TYPE. Raises Refusal for what is not 1 to `most` rows of it."""
        content = self._json(body) if kind == JSON_TYPE else arrow_rows(body, self._most)
        rows, refused, lost = [], dict[int, str](), []
        for place, each in enumerate(content):
            try:
                rows.append(self._row(_checked(each)))
            except (ValidationError, DataError) as error:
                refused[place] = why_refused(error)
                lost += _whose(each)
        return Read(rows, refused, lost)

    def classes_of(self, identity: ModelIdentity) -> Sequence[str] | None:
        """The classes of a version, where it is remembered. In any thread."""
        known = self._versions.get(identity)
        return None if known is None else known[0][0]

    def _json(self, body: bytes) -> list[Any]:
        try:
            content = from_json(body, allow_inf_nan=False)
        except ValueError:
            raise Refusal(400, "The body is no JSON.") from None
        if not isinstance(content, list) or not content:
            raise Refusal(400, "The body is JSON, but no array of rows.")
        if len(content) > self._most:
            raise Refusal(413, f"The body holds {len(content)} rows; {self._most} are taken at once.")
        return content

    def _row(self, sent: Inference) -> bytes:
        identity = ModelIdentity(sent.model, sent.version, sent.digest)
        about: dict[str, Any] = {
            "request_id": sent.request_id,
            "moment": sent.time,
            "source": sent.source,
            "route": sent.route,
            "queue_ms": sent.queue_ms,
            "total_ms": sent.total_ms,
        }
        if sent.status == ANSWERED:
            row = self._answer(identity, sent, about)
        else:
            if more := [name for name in _OF_ANSWERS_ALONE if getattr(sent, name) is not None]:
                raise DataError(f"a row with status {sent.status} has no {', '.join(more)}")
            no_classes = ("-",)  # nothing is said of any
            row = Incoming(identity, no_classes).unanswered(sent.status, **about)
        assert row is not None, "no sampling"
        return row

    def _answer(self, identity: ModelIdentity, sent: Inference, about: dict[str, Any]) -> bytes | None:
        if missing := [name for name in _OF_AN_ANSWER if getattr(sent, name) is None]:
            raise DataError(f"an answer lacks {', '.join(missing)}")
        assert sent.classes is not None
        assert sent.statistics is not None
        scalars = sent.scalars or []
        if not scalars and sent.predicted is not None:
            raise DataError("predicted is for rows with scalars; else it is the most probable class")
        names = (sent.classes, scalars)
        known, incoming = self._versions.get(identity) or (
            names,
            Incoming(identity, sent.classes, scalars=scalars),
        )
        if known != names:
            raise DataError(
                "classes or scalars are others, or in another order, than in rows of this version before"
            )
        with np.errstate(over="ignore"):  # what is too large becomes infinite, which is logged
            probabilities, embedding = (
                np.array(each, np.float32) for each in (sent.probabilities, sent.embedding)
            )
        row = incoming.row(
            probabilities,
            embedding,
            sent.statistics.model_dump(),
            group=sent.group,
            latency_ms=sent.latency_ms,
            label=sent.label,
            predicted=sent.predicted,
            **about,
        )
        self._remember(identity, names, incoming)
        return row

    def _remember(self, identity: ModelIdentity, names: _Names, incoming: Incoming) -> None:
        if identity not in self._versions:
            self._held += sum(map(len, names))
        self._versions[identity] = names, incoming
        self._versions.move_to_end(identity)
        while len(self._versions) > _VERSIONS or (self._held > _NAMES and len(self._versions) > 1):
            _, (forgotten, _) = self._versions.popitem(last=False)
            self._held -= sum(map(len, forgotten))


def _checked(sent: Any) -> Inference:
    """Vectors that are arrays already have been checked as such."""
    if not isinstance(sent, dict):
        return Inference.model_validate(sent)
    arrays = {name: sent[name] for name in VECTORS if isinstance(sent.get(name), np.ndarray)}
    found = Inference.model_validate({name: value for name, value in sent.items() if name not in arrays})
    for name, value in arrays.items():
        setattr(found, name, value)
    return found


def why_refused(error: ValidationError | DataError) -> str:
    """Names columns, and no value."""
    if isinstance(error, DataError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part)[:50] for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def _whose(sent: Any) -> list[Lost]:
    """Nothing where the row does not say of which version it is."""
    told: dict[str, Any] = sent if isinstance(sent, dict) else {}
    try:
        name, version, digest = (
            as_text(each, told.get(each), longest)
            for each, longest in (("model", 200), ("version", 40), ("digest", 64))
        )
    except DataError:
        return []
    source, time, route = None, datetime.now(UTC), told.get("route")
    with suppress(DataError):
        source = as_text("source", told.get("source"))
    with suppress(ValidationError):
        stub = {"request_id": "", "model": "", "version": "", "digest": ""}
        time = Inference.model_validate({**stub, "time": told.get("time")}).time or time
    known: Route = next((each for each in ROUTES if each == route), "champion")
    return [Lost(ModelIdentity(name, version, digest), source, time, known)]
