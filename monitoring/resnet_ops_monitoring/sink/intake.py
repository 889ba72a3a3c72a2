"""Rows that are safe before they are answered for: in the database, or synced in a segment on the disk."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from resnet_ops_monitoring.inference_log.client.delivery import Delivery
from resnet_ops_monitoring.web.refusal import Refusal

__all__ = ["Intake"]

_RETRY_AFTER = 5  # seconds


class Intake:
    """For one event loop. patience: seconds that rows may take until they are safe."""

    def __init__(self, delivery: Delivery, patience: float) -> None:
        self.delivery, self._patience = delivery, patience
        self._waiting = deque[tuple[int, asyncio.Future[None]]]()

    def start(self) -> None:
        """Call in the loop."""
        loop = asyncio.get_running_loop()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._wake)

        self.delivery.queue.on_safe = tell

    async def store(self, rows: Sequence[bytes]) -> None:
        """Wait until rows are safe.

        Raises Refusal where there is no room, and where they were not safe in time; then they may still come into
        the log, so they are to be sent again with the same ids.
        """
        place = self.delivery.queue.put_all(rows)
        if place is None:
            raise Refusal(503, self._full(), _RETRY_AFTER)
        self.delivery.queue.enough.set()  # a client waits
        safe = asyncio.get_running_loop().create_future()
        self._waiting.append((place, safe))
        self._wake()
        try:
            async with asyncio.timeout(self._patience):
                await safe
        except TimeoutError:
            raise Refusal(503, self._full(), _RETRY_AFTER) from None

    def _wake(self) -> None:
        safe = self.delivery.queue.safe_rows
        while self._waiting and self._waiting[0][0] <= safe:
            _, waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)

    def _full(self) -> str:
        why = self.delivery.trouble or "more rows come than can be written"
        return f"The rows find no place: {why}. Send them again later."
