"""Summaries of whole hours, kept beside the log so that its rows are read once."""

from contextlib import suppress
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from resnet_ops_monitoring.inference_log.database import summaries
from resnet_ops_monitoring.inference_log.log import Count, InferenceLog

__all__ = ["keep_summary", "kept_summaries"]


def kept_summaries(
    log: InferenceLog, digest: str, hour: datetime, reference: str
) -> dict[str, tuple[int, int, bytes]]:
    """Summaries kept of an hour, by part: rows and last id then, content."""
    query = select(summaries.c.part, summaries.c.rows, summaries.c.last_id, summaries.c.content).where(
        summaries.c.digest == digest, summaries.c.hour == hour, summaries.c.reference == reference
    )
    with log.transaction("read") as connection:
        return {part: (rows, last, content) for part, rows, last, content in connection.execute(query)}


def keep_summary(
    log: InferenceLog, digest: str, hour: datetime, reference: str, part: str, counted: Count, content: bytes
) -> None:
    """Keep the summary of a part of an hour in place of an older one. Another process may have been faster."""
    with suppress(IntegrityError), log.transaction("write to") as connection:
        connection.execute(
            delete(summaries).where(
                summaries.c.digest == digest, summaries.c.hour == hour, summaries.c.part == part
            )
        )
        values = {"digest": digest, "hour": hour, "part": part, "reference": reference, "content": content}
        connection.execute(summaries.insert().values(**values, rows=counted.rows, last_id=counted.last_id))
