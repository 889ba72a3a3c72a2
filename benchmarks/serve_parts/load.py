"""Clients for benchmarks/serve.py, in a process of their own: as many as told, or requests that come when they come."""

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.pool import Pool
from typing import Any

__all__ = ["Body", "Load", "closed", "opened"]


@dataclass(frozen=True)
class Body:
    """What is sent, to which route."""

    content: bytes
    route: str = "/invocations"
    kind: str = "application/json"

    @property
    def request(self) -> bytes:
        """With its headers, as HTTP/1.1 has it."""
        headers = f"Host: x\r\nContent-Type: {self.kind}\r\nContent-Length: {len(self.content)}"
        return f"POST {self.route} HTTP/1.1\r\n{headers}\r\n\r\n".encode() + self.content


@dataclass(frozen=True)
class Load:
    """What was found: answers a second, seconds that those took, sorted, and how many had which status."""

    rate: float
    seconds: list[float]
    statuses: Counter[int] = field(default_factory=Counter)
    late: float = 0.0
    """Seconds by which the clients were behind their own plan, 99th percentile: more than a few ms, and they need a
    core of their own."""

    def quantile(self, share: float) -> float:
        """In ms; NaN without an answer."""
        return 1000 * _quantile(self.seconds, share)


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


class _Connection(asyncio.Protocol):
    """One request at a time; parses no more of an answer than it must."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[int] | None = None
        self._got, self._whole = b"", 0
        self.usable = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """The answer's status; 0 where the server hangs up."""
        self._answer = asyncio.get_running_loop().create_future()
        self._got, self._whole = b"", 0
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._whole:
            head, found, _ = self._got.partition(b"\r\n\r\n")
            if not found:
                return
            lines = head.lower().split(b"\r\n")
            length = next(line for line in lines if line.startswith(b"content-length:"))
            self._whole = len(head) + 4 + int(length.partition(b":")[2])
            self.usable = b"connection: close" not in lines
        if len(self._got) >= self._whole:
            self._tell(int(self._got[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        self._tell(0)

    def _tell(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)


async def _connect(port: int) -> _Connection:
    _, protocol = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", port)
    return protocol


def _closed(port: int, body: Body, clients: int, seconds: float) -> Load:
    request, taken = body.request, list[float]()

    async def client(until: float) -> None:
        connection = await _connect(port)
        while time.perf_counter() < until:
            begin = time.perf_counter()
            if (status := await connection.ask(request)) != 200:
                raise RuntimeError(f"the server answered with {status}")
            taken.append(time.perf_counter() - begin)
        connection.transport.close()

    async def run() -> float:
        begin = time.perf_counter()
        await asyncio.gather(*(client(begin + seconds) for _ in range(clients)))
        return time.perf_counter() - begin

    elapsed = _run(run)
    return Load(len(taken) / elapsed, sorted(taken), Counter({200: len(taken)}))


def _opened(port: int, body: Body, rate: float, seconds: float, seed: int, from_due: bool) -> Load:
    request, taken, statuses, late = body.request, list[float](), Counter[int](), list[float]()
    idle: list[_Connection] = []
    chance = random.Random(seed)

    async def ask(due: float) -> None:
        try:
            while idle and not idle[-1].usable:  # the server has hung up since
                idle.pop()
            connection = idle.pop() if idle else await _connect(port)
        except OSError:
            statuses[0] += 1
            return
        begin = due if from_due else time.perf_counter()
        late.append(time.perf_counter() - due)
        status = await connection.ask(request)
        if connection.usable:
            idle.append(connection)
        else:
            connection.transport.close()
        statuses[status] += 1
        if status == 200:
            taken.append(time.perf_counter() - begin)

    async def run() -> float:
        begin = due = time.perf_counter()
        tasks = set[asyncio.Task[None]]()
        while (due := due + chance.expovariate(rate)) < begin + seconds:
            if (left := due - time.perf_counter()) > 0:
                await asyncio.sleep(left)
            task = asyncio.create_task(ask(due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        for connection in idle:
            connection.transport.close()
        return time.perf_counter() - begin

    elapsed = _run(run)
    return Load(len(taken) / elapsed, sorted(taken), statuses, _quantile(sorted(late), 0.99))


def _run(work: Callable[[], Coroutine[Any, Any, float]]) -> float:
    """On uvloop where it is installed, as servers are: the clients are to be quicker than what they measure."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(work())
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work())


@cache
def _clients() -> Pool:
    """One process for all of them, until this one ends."""
    return multiprocessing.get_context("spawn").Pool(1)


def closed(port: int, body: Body, clients: int, seconds: float) -> Load:
    """So many clients, each with one request under way; from another process, whose lock is not this one's."""
    return _clients().apply(_closed, (port, body, clients, seconds))


def opened(
    port: int, body: Body, rate: float, seconds: float, seed: int = 0, *, from_due: bool = True
) -> Load:
    """So many requests a second on average, each at its time whether or not others are answered; status 0: hung up on.

    A request's time counts from when it was due, so that a server that falls behind is not asked less for it; or from
    when it was sent, to be compared with a closed loop.
    """
    return _clients().apply(_opened, (port, body, rate, seconds, seed, from_due))
