"""What a server tells of itself: one JSON object a line, on stderr."""

import json
import logging
import sys
from datetime import UTC, datetime

__all__ = ["tell_in_json"]


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The record's time, level, message and fields; of an exception, where it was raised."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "level": record.levelname.lower(), "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def tell_in_json() -> None:
    """From now on this process's log lines of this package, of the web server and of the inference log are JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    for name in ("resnet_ops_monitoring", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
