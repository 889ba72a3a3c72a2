"""A thread that delivers messages in order, and tries again until each has arrived."""

import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Message", "Sender"]

Message = Callable[[], object]
"""Delivers itself, or raises one of the failures that the sender knows."""
RETRY_SECONDS = 5.0
"""Between two tries of a message that could not be delivered."""


class Sender:
    """Whoever puts a message goes on at once; no message is tried before all earlier ones have arrived."""

    def __init__(
        self, failures: tuple[type[Exception], ...], tell: Callable[[Exception | None], None]
    ) -> None:
        """failures: what a message raises when it may be tried again. tell: called by the thread with the failure when
        deliveries begin to fail, and with None when they succeed again."""
        self._failures = failures
        self._tell = tell
        self._waiting: deque[Message] = deque()
        self._failing = False
        self._awake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="resnet-ops-sender", daemon=True)

    def start(self) -> None:
        """Try to deliver what waits already, before this returns; what is put later the thread delivers."""
        self._deliver()
        self._thread.start()

    def put(self, message: Message) -> None:
        """Have it delivered after all others."""
        self._waiting.append(message)
        self._awake.set()

    def close(self) -> int:
        """Deliver what waits, as long as nothing fails any more; gives how many messages were not delivered."""
        self._closing.set()
        self._awake.set()
        self._thread.join()
        return len(self._waiting)

    def _run(self) -> None:
        ending = False
        while not ending:
            if self._failing:
                self._closing.wait(RETRY_SECONDS)
            else:
                self._awake.wait()
            self._awake.clear()
            ending = self._closing.is_set()
            self._deliver()

    def _deliver(self) -> None:
        """As many as arrive."""
        while self._waiting:
            try:
                self._waiting[0]()
            except self._failures as error:
                if not self._failing:
                    self._tell(error)
                self._failing = True
                return
            self._waiting.popleft()
            if self._failing:
                self._tell(None)
            self._failing = False
