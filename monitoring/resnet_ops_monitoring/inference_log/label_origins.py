"""How labels were asked for: only answers that were drawn at random, or labelled whole, tell how right a version is."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, case, delete, func, insert, or_, select
from sqlalchemy.engine import Connection

from resnet_ops_monitoring.inference_log.database import label_origins
from resnet_ops_monitoring.inference_log.log import InferenceLog

__all__ = ["LabelOrigins"]

_RANDOM, _HARD, _CHOSEN = "random", "hard", "chosen"
_CHUNK = 500


class LabelOrigins:
    """Kept beside the inference log; a log of an older program has none, and its labels count as labels of all rows.

    random: those of the lowest hash priority. hard: proposed because they teach most, so they are wrong more often than
    others. chosen: by a person, who did not say how. A label that came with its answer has no origin: such are the
    labels of all answers.
    """

    def __init__(self, log: InferenceLog) -> None:
        self._log = log
        log.make_tables()

    def asked(self, at_random: Sequence[str], hard: Sequence[str]) -> None:
        """Remember a labelling list; what was once drawn at random stays so."""
        with self._log.transaction("write to") as connection:
            _keep(connection, at_random, _RANDOM, instead_of=(_HARD, _CHOSEN))
            _keep(connection, hard, _HARD)

    def given(self, ids: Sequence[str], *, at_random: bool) -> None:
        """Remember labels that a person gave: of a random sample or of all, or of images of their choice.

        What was listed for being hard stays so. A label that came with its answer, and is corrected, stays one of all.
        """
        with self._log.transaction("write to") as connection:
            if at_random:
                _keep(connection, ids, _RANDOM, instead_of=(_CHOSEN,))
            else:
                _keep(connection, _without_labels(connection, ids), _CHOSEN)

    def count(self, *conditions: ColumnElement[bool]) -> tuple[int, int]:
        """Right and wrong answers among the labelled rows of the log that tell how right a version is."""
        rows, origins = InferenceLog.table, label_origins.c
        right = func.count(case((rows.c.predicted == rows.c.label, 1)))
        tells = or_(origins.origin.is_(None), origins.origin == _RANDOM)
        joined = rows.outerjoin(label_origins, origins.request_id == rows.c.request_id)
        query = select(func.count(), right).select_from(joined)
        with self._log.transaction("read") as connection:
            n, correct = connection.execute(query.where(rows.c.label.is_not(None), tells, *conditions)).one()
        return int(correct), int(n) - int(correct)


def _without_labels(connection: Connection, ids: Sequence[str]) -> list[str]:
    rows = InferenceLog.table.c
    labelled: set[str] = set()
    for begin in range(0, len(ids), _CHUNK):
        some = rows.request_id.in_(ids[begin : begin + _CHUNK])
        labelled |= set(
            connection.execute(select(rows.request_id).where(some, rows.label.is_not(None))).scalars()
        )
    return [each for each in ids if each not in labelled]


def _keep(connection: Connection, ids: Iterable[str], origin: str, instead_of: Sequence[str] = ()) -> None:
    wanted = list(dict.fromkeys(ids))
    for begin in range(0, len(wanted), _CHUNK):
        some = wanted[begin : begin + _CHUNK]
        mine = label_origins.c.request_id.in_(some)
        if instead_of:
            connection.execute(delete(label_origins).where(mine, label_origins.c.origin.in_(instead_of)))
        there = set(connection.execute(select(label_origins.c.request_id).where(mine)).scalars())
        new = [{"request_id": each, "origin": origin} for each in some if each not in there]
        if new:
            connection.execute(insert(label_origins), new)
