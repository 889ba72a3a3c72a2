"""Clients for benchmarks/serve.py, in a process of their own: as many as told, or requests that come when they come."""

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Load", "closed", "opened"]


@dataclass(frozen=True)
class Load:
    """What was found: answers a second, seconds that those took, sorted, and how many had which status."""

    rate: float
    seconds: list[float]
    statuses: Counter[int] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        """In ms; NaN without an answer."""
        place = min(int(share * len(self.seconds)), len(self.seconds) - 1)
        return 1000 * self.seconds[place] if self.seconds else float("nan")


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: bytes) -> int:
        """The answer's status; the connection is closed where the server wants that."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self.reader.readexactly(int(length.partition(b":")[2]))
        if b"connection: close" in head.lower():
            self.writer.close()
        return int(head.split(b" ", 2)[1])


async def _connect(port: int) -> _Connection:
    return _Connection(*await asyncio.open_connection("127.0.0.1", port))


def _request(body: bytes) -> bytes:
    kind = "Content-Type: application/json\r\n"
    return (
        f"POST /invocations HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: {len(body)}\r\n\r\n".encode() + body
    )


def _closed(port: int, body: bytes, clients: int, seconds: float) -> Load:
    request, taken = _request(body), list[float]()

    async def client(until: float) -> None:
        connection = await _connect(port)
        while time.perf_counter() < until:
            begin = time.perf_counter()
            if (status := await connection.ask(request)) != 200:
                raise RuntimeError(f"the server answered with {status}")
            taken.append(time.perf_counter() - begin)
        connection.writer.close()

    async def run() -> float:
        begin = time.perf_counter()
        await asyncio.gather(*(client(begin + seconds) for _ in range(clients)))
        return time.perf_counter() - begin

    elapsed = asyncio.run(run())
    return Load(len(taken) / elapsed, sorted(taken), Counter({200: len(taken)}))


def _opened(port: int, body: bytes, rate: float, seconds: float, seed: int, from_due: bool) -> Load:
    request, taken, statuses = _request(body), list[float](), Counter[int]()
    idle: list[_Connection] = []
    chance = random.Random(seed)

    async def ask(due: float) -> None:
        try:
            connection = idle.pop() if idle else await _connect(port)
            begin = due if from_due else time.perf_counter()
            status = await connection.ask(request)
        except (OSError, EOFError):
            status = 0
        else:
            if not connection.writer.is_closing():
                idle.append(connection)
        statuses[status] += 1
        if status == 200:
            taken.append(time.perf_counter() - begin)

    async def run() -> float:
        begin = due = time.perf_counter()
        tasks = set[asyncio.Task[None]]()
        while (due := due + chance.expovariate(rate)) < begin + seconds:
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            task = asyncio.create_task(ask(due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        return time.perf_counter() - begin

    elapsed = asyncio.run(run())
    return Load(len(taken) / elapsed, sorted(taken), statuses)


def closed(port: int, body: bytes, clients: int, seconds: float) -> Load:
    """So many clients, each with one request under way; from another process, whose lock is not this one's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_closed, (port, body, clients, seconds))


def opened(
    port: int, body: bytes, rate: float, seconds: float, seed: int = 0, *, from_due: bool = True
) -> Load:
    """So many requests a second on average, each at its time whether or not others are answered; status 0: hung up on.

    A request's time counts from when it was due, so that a server that falls behind is not asked less for it; or from
    when it was sent, to be compared with a closed loop.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_opened, (port, body, rate, seconds, seed, from_due))
