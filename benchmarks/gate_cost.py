"""What the gate costs: setting an alias through it against plain MLflow, paired, in random order, in one run.

    python benchmarks/gate_cost.py [--pairs 300] [--http]

Without a server (MLflow's client on the database) the gate's share shows most; `--http` measures real servers, as users
see it. Prints a table for benchmarks/RESULTS.md. PostgreSQL is left out where it is not installed.
"""

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import requests

from resnet_ops_registry.attestations.digest import folder_digest
from tests.attacks.registry import MODEL, Registry
from tests.attacks.servers import Config, new_database, postgresql, postgresql_missing, start

FREE, GUARDED = "challenger", "champion"
Setter = Callable[[str, int], None]


def compare(
    plain: Callable[[], None], gated: Callable[[], None], pairs: int
) -> tuple[float, float, float, float, float]:
    """Median seconds of both, and the median of the paired ratios with a 95 % interval (bootstrap)."""
    for _ in range(20):
        plain()
        gated()
    times: list[tuple[float, float]] = []
    chance = random.Random(0)
    for _ in range(pairs):
        taken = {}
        for call in chance.sample([plain, gated], 2):
            start_at = time.perf_counter()
            call()
            taken[call] = time.perf_counter() - start_at
        times.append((taken[plain], taken[gated]))
    ratios = [after / before for before, after in times]
    medians = sorted(statistics.median(chance.choices(ratios, k=pairs)) for _ in range(2000))
    return (
        statistics.median(before for before, _ in times),
        statistics.median(after for _, after in times),
        statistics.median(ratios),
        medians[50],
        medians[1949],
    )


def turns(setter: Setter, alias: str, versions: list[int]) -> Callable[[], None]:
    """Set the alias to one version after the other."""
    state = {"turn": 0}

    def run() -> None:
        state["turn"] += 1
        setter(alias, versions[state["turn"] % len(versions)])

    return run


def direct(database: str, folder: Path) -> tuple[Setter, Setter, Registry]:
    from mlflow import MlflowClient

    registry = Registry(database, folder)
    plain = MlflowClient(database, database)
    return (
        lambda alias, number: plain.set_registered_model_alias(MODEL, alias, str(number)),
        lambda alias, number: registry.client.set_registered_model_alias(MODEL, alias, str(number)),
        registry,
    )


def by_http(uri: str) -> Setter:
    session = requests.Session()

    def setter(alias: str, number: int) -> None:
        body = {"name": MODEL, "alias": alias, "version": str(number)}
        session.post(
            f"{uri}/api/2.0/mlflow/registered-models/alias", json=body, timeout=60
        ).raise_for_status()

    return setter


@contextmanager
def setters(
    kind: str, folder: Path, postgresql_uri: str | None, http: bool
) -> Iterator[tuple[Setter, Setter, Registry]]:
    """Plain and gated ways to set an alias, on two databases of one kind that hold the same versions."""

    def database(name: str) -> str:
        return (
            f"sqlite:///{folder}/{name}.db" if kind == "sqlite" else new_database(str(postgresql_uri), name)
        )

    if not http:
        plain_folder = folder / "plain"
        plain_folder.mkdir()
        _, gated, registry = direct(database("cost"), folder)
        plain, _, twin = direct(database("other"), plain_folder)
        fill(registry)
        fill(twin)
        yield plain, gated, registry
        return
    with ExitStack() as stack:
        running = [
            stack.enter_context(start(Config(way, kind), folder / str(way), database(f"served_{way}")))
            for way in (False, True)
        ]
        registries = [Registry(each.database, each.folder / "registry") for each in running]
        for registry in registries:
            fill(registry)
        yield by_http(running[0].uri), by_http(running[1].uri), registries[1]


def fill(registry: Registry) -> None:
    for content in (b"one", b"two"):
        registry.version(content)


def measure(kind: str, folder: Path, postgresql_uri: str | None, http: bool, pairs: int) -> None:
    way = "HTTP" if http else "client on the database"
    with setters(kind, folder, postgresql_uri, http) as (plain, gated, registry):
        small = [1, 2]
        large = []
        for letter in b"ab":
            number = registry.version(bytes([letter]) * 44_000_000)
            large.append(number)
        rows = [
            ("unguarded alias", turns(plain, FREE, small), turns(gated, FREE, small)),
            ("guarded, files of 3 bytes", turns(plain, GUARDED, small), turns(gated, GUARDED, small)),
            ("guarded, files of 44 MB", turns(plain, GUARDED, small), turns(gated, GUARDED, large)),
        ]
        for name, before, after in rows:
            one, two, ratio, low, high = compare(before, after, pairs)
            print(
                f"| {kind} | {way} | {name} | {one * 1000:.2f} | {two * 1000:.2f} "
                f"| {ratio:.3f} ({low:.3f}-{high:.3f}) |",
                flush=True,
            )


def hashing(folder: Path, rounds: int = 15) -> None:
    """Speed of hashing a version's files that are in memory already (page cache)."""
    (folder / "weights").mkdir()
    size = 400_000_000
    (folder / "weights" / "weights.safetensors").write_bytes(os.urandom(size))
    speeds = []
    for _ in range(rounds):
        start_at = time.perf_counter()
        folder_digest(folder / "weights")
        speeds.append(size / (time.perf_counter() - start_at) / 1e9)
    speeds.sort()
    print(
        f"\nHashing: {statistics.median(speeds):.2f} GB/s "
        f"(quartiles {speeds[rounds // 4]:.2f}-{speeds[-rounds // 4]:.2f}, "
        f"n={rounds}, one file of {size / 1e6:.0f} MB in the page cache, 1 thread)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=300, help="pairs for each row")
    parser.add_argument("--http", action="store_true", help="measure real servers")
    options = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, mlflow {version('mlflow')}, sqlalchemy {version('sqlalchemy')}; "
        f"n={options.pairs} pairs a row\n"
    )
    print(
        "| database | by | what | plain, ms | gated, ms | ratio of pairs, median (95 % CI) |\n|---|---|---|---|---|---|"
    )
    missing = postgresql_missing()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        uri = None if missing else stack.enter_context(postgresql())
        for kind in ("sqlite",) if missing else ("sqlite", "postgresql"):
            (folder / kind).mkdir()
            measure(kind, folder / kind, uri, options.http, options.pairs)
        hashing(folder)


if __name__ == "__main__":
    main()
