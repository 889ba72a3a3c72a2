"""Until when something holds, as a person writes it."""

import re
from datetime import UTC, datetime, time, timedelta

from resnet_ops.errors import ConfigError

__all__ = ["read_until"]

LONGEST = timedelta(days=3660)
_HOW = (
    "Write a day such as 2027-01-31 (to its end, UTC), a time with its zone, or a duration such as 14d or 6h."
)


def read_until(text: str, now: datetime) -> datetime:
    """The moment meant by `2027-01-31`, `2027-01-31T12:00+01:00`, `14d` or `6h`, seen from `now`.

    Raises ConfigError when it is none of these, not in the future, or more than ten years ahead.
    """
    try:
        until = _moment(text.strip(), now)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{text[:60]!r} is not a date. {_HOW}") from error
    if not now < until <= now + LONGEST:
        raise ConfigError(f"{text[:60]!r} is not within the next ten years. {_HOW}")
    return until


def _moment(text: str, now: datetime) -> datetime:
    duration = re.fullmatch(r"([0-9]{1,5})([dh])", text)
    if duration:
        count = int(duration[1])
        return now + (timedelta(days=count) if duration[2] == "d" else timedelta(hours=count))
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return datetime.combine(datetime.fromisoformat(text), time(23, 59, 59), UTC)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment.astimezone(UTC)
