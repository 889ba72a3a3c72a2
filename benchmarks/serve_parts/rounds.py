"""What benchmarks/serve.py measures, each number as soon as it is there."""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serve_parts.load import Body, closed, opened
from benchmarks.serve_parts.servers import (
    OURS,
    PATIENT,
    Running,
    commands,
    one_array,
    one_image,
    our_command,
    running,
)
from resnet_ops.export.exported import load_deployed
from resnet_ops.predictions import DeployedModel

__all__ = ["BARE", "BATCH", "NOMINAL", "SHARE", "WAIT", "compared", "overloaded"]

BATCH, BARE = 64, "bare loop"
NOMINAL, OVERLOAD = 0.7, 2.0
"""Of the capacity."""
WAIT = 0.85
"""`max_wait_ms` of the overload, of the nominal p99."""
SHARE = 0.4
"""Of the seconds of a measurement, for one client alone."""
Row = dict[str, Any]


def compared(
    files: Path, device: str, folder: Path, rounds: int, seconds: float, clients: tuple[int, ...]
) -> Iterator[Row]:
    """Of each round and server: answers a second and p99 by clients, p50 of one alone, or the same of the bare loop.

    Ours tells how long the model was at work, too, and is asked with raw arrays besides.
    """
    wanted, left = commands(files, device, folder)
    yield from ({"of": "left out", "device": device, "name": name, "why": why} for name, why in left.items())
    body, array = one_image(files), one_array(files)
    model, chance = load_deployed(files, device=device), random.Random(0)
    with running(wanted, body, folder) as servers:
        for each in servers.values():
            closed(each.port, body, max(clients), 0.5)  # warm
        for number in range(rounds):
            ways: list[str] = [*servers, BARE]
            for name in chance.sample(ways, len(ways)):
                found = (
                    _bare(model, seconds) if name == BARE else _served(servers[name], body, seconds, clients)
                )
                if name == OURS:
                    found["raw"] = _alone(servers[name], array, seconds)
                yield {"of": "compared", "device": device, "round": number, "name": name, **found}


def _served(server: Running, body: Body, seconds: float, clients: tuple[int, ...]) -> Row:
    loads = {str(count): closed(server.port, body, count, seconds) for count in clients}
    return {
        "rate": {count: load.rate for count, load in loads.items()},
        "p99": {count: load.quantile(0.99) for count, load in loads.items()},
        **_alone(server, body, seconds),
    }


def _alone(server: Running, body: Body, seconds: float) -> Row:
    """p50 of one client, in ms; and what surrounds the model's work on a request on average, where the server tells."""
    before = server.model_time()
    load = closed(server.port, body, 1, seconds * SHARE)
    after, found = server.model_time(), {"alone": load.quantile(0.5)}
    if before is not None and after is not None and after.batches > before.batches:
        model = (after.seconds - before.seconds) / (after.batches - before.batches)
        found["around"] = 1000 * (statistics.mean(load.seconds) - model)
    return found


def _bare(model: DeployedModel, seconds: float) -> Row:
    """Batches of BATCH without a server, and one image after the other."""
    side, channels = model.image_size, model.channels
    images = np.random.default_rng(0).integers(0, 256, (BATCH, side, side, channels), dtype=np.uint8)
    batches = _repeated(lambda: model.predict(images, batch_size=BATCH), seconds)
    singles = _repeated(lambda: model.predict(images[:1]), seconds * SHARE)
    return {
        "rate": {str(BATCH): BATCH * len(batches) / sum(batches)},
        "alone": 1000 * statistics.median(singles),
    }


def _repeated(work: Callable[[], object], seconds: float) -> list[float]:
    work()
    until, taken = time.perf_counter() + seconds, list[float]()
    while not taken or time.perf_counter() < until:
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return taken


def overloaded(
    files: Path, device: str, folder: Path, rounds: int, seconds: float, clients: int
) -> Iterator[Row]:
    """Of each round: an open loop at NOMINAL of the capacity; then, with `max_wait_ms` set by it, at OVERLOAD.

    The capacity is what as many clients as told reach in a closed loop. Times count from when a request was sent.
    """
    body = one_image(files)
    nominal = []
    with running(_ours(files, device, folder, PATIENT), body, folder) as servers:
        port = servers[OURS].port
        closed(port, body, clients, 0.5)  # warm
        capacity = statistics.median(closed(port, body, clients, seconds).rate for _ in range(3))
        for number in range(rounds):
            found = _opened(servers[OURS], body, NOMINAL * capacity, seconds, number)
            nominal.append(found["p99"])
            yield {"of": "nominal", "device": device, "round": number, "capacity": capacity, **found}
    wait = WAIT * statistics.median(nominal)
    with running(_ours(files, device, folder, wait), body, folder) as servers:
        closed(servers[OURS].port, body, 4, 0.5)
        for number in range(rounds):
            found = _opened(servers[OURS], body, OVERLOAD * capacity, seconds, number)
            yield {"of": "overloaded", "device": device, "round": number, "max_wait_ms": wait, **found}


def _ours(files: Path, device: str, folder: Path, max_wait_ms: float) -> dict[str, list[str]]:
    return {OURS: [*our_command(files, device, folder, max_wait_ms=max_wait_ms), "--no-log", "--port"]}


def _opened(server: Running, body: Body, rate: float, seconds: float, number: int) -> Row:
    before = server.resident
    load = opened(server.port, body, rate, seconds, number, from_due=False)
    total = sum(load.statuses.values())
    return {
        "asked": total / seconds,
        "rate": load.rate,
        "p50": load.quantile(0.5),
        "p99": load.quantile(0.99),
        "refused": load.statuses[503],
        "others": total - load.statuses[200] - load.statuses[503],
        "late": 1000 * load.late,
        "MiB": [before, server.resident],
    }
