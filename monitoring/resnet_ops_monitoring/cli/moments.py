"""Times on the command line."""

from datetime import UTC, datetime

import typer

from resnet_ops.messages import plain

__all__ = ["read_moment"]


def read_moment(text: str, option: str) -> datetime:
    """A moment with its time zone. Raises BadParameter, which names the option, for anything else."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{option} {plain(text)} is not a time; write for example 2026-01-31T08:00Z"
        ) from None
    raise typer.BadParameter(f"{option} {plain(text)} has no time zone; write for example {plain(text)}Z")
