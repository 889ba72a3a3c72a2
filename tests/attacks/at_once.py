"""Requests at once: one is held at a boundary, a statement to the database or the hashing of files; others run."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mlflow.exceptions import MlflowException
from sqlalchemy import Engine, event

from resnet_ops.errors import ResnetOpsError
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate import gate
from resnet_ops_registry.gate.policies import apply_policy
from resnet_ops_registry.gate.rollback import ROLLBACK_TAG
from resnet_ops_registry.store import decisions, store
from tests.attacks.registry import POLICY, Registry

__all__ = ["REQUESTS", "Names", "Request", "held", "unproven_holders"]

BLOCKED = 0.1
"""Seconds without a step after which a request is taken to wait for the one that is held, and runs on behind it."""
FREE = 'model: "free*"\nevidence_roles: [pipeline]\nguards: []\n'
_numbers = count()


class Names:
    """A guarded model with a proven version and one that is not, and a free model with one that is not.

    vacant: nothing has the guarded name yet.
    """

    def __init__(self, registry: Registry, *, vacant: bool = False) -> None:
        self.registry, self.client = registry, registry.client
        number = next(_numbers)
        self.guarded, self.free, self.away = (
            f"{kind}-{number}" for kind in ("attacked", "free", "attacked-away")
        )
        with open_database(registry.database) as connection:
            apply_policy(connection, FREE, "free.yaml")
        self.client.create_registered_model(self.free)
        registry.version(b"evil", None, model=self.free)
        if not vacant:
            self.client.create_registered_model(self.guarded)
            registry.version(b"good", model=self.guarded)
            registry.version(b"evil", None, model=self.guarded)

    def make(self) -> None:
        self.client.create_registered_model(self.guarded)
        self.registry.version(b"evil", None, model=self.guarded)

    def copy(self) -> None:
        self.client.copy_model_version(f"models:/{self.free}/1", self.guarded)

    def govern(self) -> None:
        with open_database(self.registry.database) as connection:
            apply_policy(connection, POLICY.replace("attacked*", self.free), "exact.yaml")

    def prove(self) -> None:
        """Evidence about the first version, sent again."""
        self.registry.prove(1, self.registry.keys["pipeline"], 0.97, self.guarded)

    def trust(self) -> None:
        self.registry.trust(f"key-{next(_numbers)}")


Request = Callable[[Any], Any]
REQUESTS: dict[str, Request] = {
    "alias": lambda n: n.client.set_registered_model_alias(n.guarded, "champion", "1"),
    "alias 2": lambda n: n.client.set_registered_model_alias(n.guarded, "champion", "2"),
    "alias on the free one": lambda n: n.client.set_registered_model_alias(n.free, "champion", "1"),
    "stage": lambda n: n.client.transition_model_version_stage(n.guarded, "1", "Production"),
    "stage on the free one": lambda n: n.client.transition_model_version_stage(n.free, "1", "Production"),
    "rename away": lambda n: n.client.rename_registered_model(n.guarded, n.away),
    "rename in": lambda n: n.client.rename_registered_model(n.free, n.guarded),
    "delete": lambda n: n.client.delete_registered_model(n.guarded),
    "delete version": lambda n: n.client.delete_model_version(n.guarded, "1"),
    "take the alias off": lambda n: n.client.delete_registered_model_alias(n.guarded, "champion"),
    "give the alias back": lambda n: n.client.set_registered_model_tag(n.guarded, ROLLBACK_TAG, "champion"),
    "evidence": Names.prove,
    "create": Names.make,
    "copy": Names.copy,
    "policy": Names.govern,
    "key": Names.trust,
}


class _Stop:
    """Where a request is held: at its `number`-th boundary, until it may `go`."""

    def __init__(self, number: int) -> None:
        self.number, self.passed = number, 0
        self.reached, self.go = threading.Event(), threading.Event()


class _Boundaries:
    """Counts the steps of every request, and holds those that are to be held."""

    def __init__(self) -> None:
        self.stops: dict[threading.Thread, _Stop] = {}
        self.steps = Counter[threading.Thread]()

    def __call__(self, *seen: object) -> None:
        """seen: what SQLAlchemy's event gives; the third is the statement, where it is one."""
        thread, setting = threading.current_thread(), len(seen) > 2 and str(seen[2]).startswith("PRAGMA")
        self.steps[thread] += 1
        stop = self.stops.get(thread)
        if stop is not None and not setting:
            stop.passed += 1
            if stop.passed == stop.number:
                stop.reached.set()
                stop.go.wait(60)

    def start(self, request: Request, names: Any, stop: int = 0) -> threading.Thread:
        """Run a request until it ends, is held at its boundary `stop`, or waits for another one."""

        def run() -> None:
            with suppress(MlflowException, ResnetOpsError):
                request(names)

        thread = threading.Thread(target=run, daemon=True)
        held = self.stops[thread] = _Stop(stop)
        thread.start()
        self.settle(thread, held.reached)
        return thread

    def settle(self, thread: threading.Thread, reached: threading.Event | None = None) -> None:
        """Wait until a request ends, takes no step for a while, or has reached where it is held."""
        steps, still = -1, 0.0
        while thread.is_alive() and still < BLOCKED and not (reached and reached.is_set()):
            steps, before = self.steps[thread], steps
            thread.join(0.01)
            still = still + 0.01 if steps == before else 0.0


def held(names: Any, first: Request, others: Sequence[Request], stop: int, second_stop: int = 0) -> bool:
    """Hold the first request at its boundary number `stop` while the others run, then let it go on.

    second_stop: the boundary at which the second one is held meanwhile, until the first one has ended or waits; 0 for
    none. Gives whether the first had such a boundary. A request that waits for another one runs on behind it.
    """
    boundaries = _Boundaries()
    with _watched(boundaries):
        threads = [boundaries.start(first, names, stop)]
        for number, request in enumerate(others):
            threads.append(boundaries.start(request, names, 0 if number else second_stop))
        for thread in threads:
            boundaries.stops[thread].go.set()
            boundaries.settle(thread)
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive(), "a request never ended"
    return boundaries.stops[threads[0]].reached.is_set()


@contextmanager
def _watched(boundaries: _Boundaries) -> Iterator[None]:
    def hash_files(version: Any) -> gate.Files:
        boundaries()
        files = gate.hash_files(version)
        boundaries()
        return files

    event.listen(Engine, "before_cursor_execute", boundaries)
    event.listen(Engine, "commit", boundaries)
    try:
        with patch.object(decisions, "hash_files", hash_files), patch.object(store, "hash_files", hash_files):
            yield
    finally:
        event.remove(Engine, "before_cursor_execute", boundaries)
        event.remove(Engine, "commit", boundaries)


def unproven_holders(names: Names) -> list[str]:
    """What stands under a guarded name and is not the proven version's files."""
    found = []
    for name in (names.guarded, names.away):
        try:
            aliases = names.client.get_registered_model(name).aliases
        except MlflowException:
            continue
        versions = names.client.search_model_versions(f"name = '{name}'")
        holding = {int(number) for alias, number in aliases.items() if alias == "champion"}
        there = {int(version.version) for version in versions}
        found += [f"{name} v{number}, which is gone" for number in holding - there]
        for version in versions:
            serves = int(version.version) in holding or version.current_stage == "Production"
            folder = Path(str(names.client.get_model_version_download_uri(name, version.version)))
            if serves and (folder / "weights.safetensors").read_bytes() != b"good":
                found.append(f"{name} v{version.version}")
    return found
