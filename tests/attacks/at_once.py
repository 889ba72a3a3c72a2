"""Requests at once: one is held at a boundary, a statement to the database or the hashing of files; others run."""

import threading
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
from resnet_ops_registry.store import decisions, store
from tests.attacks.registry import POLICY, Registry

__all__ = ["REQUESTS", "Names", "Request", "held", "unproven_holders"]

BLOCKED = 0.4
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
    "create": Names.make,
    "copy": Names.copy,
    "policy": Names.govern,
    "key": Names.trust,
}


class _Boundary:
    """Stops the thread that it watches when that passes its `stop`-th boundary."""

    def __init__(self, stop: int) -> None:
        self.stop, self.passed, self.steps_of_others = stop, 0, 0
        self.thread: threading.Thread | None = None
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, *seen: object) -> None:
        """seen: what SQLAlchemy's event gives; the third is the statement, where it is one."""
        setting = len(seen) > 2 and str(seen[2]).startswith("PRAGMA")
        if threading.current_thread() is not self.thread:
            self.steps_of_others += 1
        elif not setting:
            self.passed += 1
            if self.passed == self.stop:
                self.reached.set()
                self.go.wait(60)


def _start(request: Request, names: Names | None) -> threading.Thread:
    def run() -> None:
        with suppress(MlflowException, ResnetOpsError):
            request(names)

    return threading.Thread(target=run, daemon=True)


def held(names: Names | None, first: Request, others: Sequence[Request], stop: int) -> bool:
    """Hold the first request at its boundary number `stop` while the others run, then let it go on.

    Gives whether there was such a boundary. A request that waits for the first one runs on behind it.
    """
    boundary = _Boundary(stop)
    boundary.thread = _start(first, names)
    with _watched(boundary):
        boundary.thread.start()
        while boundary.thread.is_alive() and not boundary.reached.wait(0.01):
            pass
        threads = []
        for request in others:
            threads.append(_start(request, names))
            threads[-1].start()
            steps = -1
            while threads[-1].is_alive() and steps != boundary.steps_of_others:
                steps = boundary.steps_of_others
                threads[-1].join(BLOCKED)
        boundary.go.set()
        for thread in (boundary.thread, *threads):
            thread.join(120)
            assert not thread.is_alive(), "a request never ended"
    return boundary.reached.is_set()


@contextmanager
def _watched(boundary: _Boundary) -> Iterator[None]:
    def hash_files(version: Any) -> gate.Files:
        boundary()
        files = gate.hash_files(version)
        boundary()
        return files

    event.listen(Engine, "before_cursor_execute", boundary)
    event.listen(Engine, "commit", boundary)
    try:
        with patch.object(decisions, "hash_files", hash_files), patch.object(store, "hash_files", hash_files):
            yield
    finally:
        event.remove(Engine, "before_cursor_execute", boundary)
        event.remove(Engine, "commit", boundary)


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
        for version in versions:
            serves = int(version.version) in holding or version.current_stage == "Production"
            folder = Path(str(names.client.get_model_version_download_uri(name, version.version)))
            if serves and (folder / "weights.safetensors").read_bytes() != b"good":
                found.append(f"{name} v{version.version}")
    return found
