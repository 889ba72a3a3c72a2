"""The scene of an attack: a registered model whose first version is proven and serves, and one that is not."""

import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests
from sqlalchemy import Engine, create_engine, select, text

from resnet_ops_registry.attestations.digest import folder_digest
from resnet_ops_registry.attestations.envelope import Statement, Subject, sign
from resnet_ops_registry.attestations.evidence import EVIDENCE_TYPE
from resnet_ops_registry.attestations.keys import PrivateKey, make_key
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.database import ledger
from resnet_ops_registry.database.tables import ledger as ledger_table
from resnet_ops_registry.database.tables import (
    ledger_head,
    open_database,
    policies,
    statements,
    trusted_keys,
)
from resnet_ops_registry.gate.policies import apply_policy
from resnet_ops_registry.operations import audit
from tests.attacks.registry import evidence_of
from tests.attacks.servers import ADMIN, Running

__all__ = ["Arena", "Scene"]

POLICY = """\
model: "attacked-*"
evidence_roles: [pipeline]
guards:
  - aliases: [champion, live]
    stages: [Production]
    rules:
      - {rule: threshold, metric: test.top1, bound: low, min: 0.95, why: promised}
"""
_numbers = itertools.count(1)


@dataclass
class Arena:
    """A running server as an attacker sees it, and its database and folders as an insider does."""

    running: Running
    keys: Path
    workspace: str = "default"
    key: PrivateKey = field(init=False)
    engine: Engine = field(init=False)
    session: requests.Session = field(init=False)
    experiment: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = make_key("pipeline", self.keys)
        self.engine = create_engine(self.running.database)
        self.session = requests.Session()
        if self.running.config.auth:
            self.session.auth = ADMIN
        if self.running.config.workspaces:
            self.workspace = "team"
            self.call("POST", "workspaces", {"name": self.workspace}, api="3.0").raise_for_status()
            self.session.headers["X-MLFLOW-WORKSPACE"] = self.workspace
        if self.gated:
            with open_database(self.running.database) as connection:
                apply_policy(connection, POLICY, "attacked.yaml")
                trust_key(connection, self.key.public, "pipeline", "pipeline")
        self.experiment = self.ok("POST", "experiments/create", {"name": "attacks"})["experiment_id"]

    @property
    def gated(self) -> bool:
        return self.running.config.gated

    @property
    def hardened(self) -> bool:
        return self.running.config.hardened

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, api: str = "2.0", **more: Any
    ) -> requests.Response:
        """A request to MLflow's REST API."""
        url = f"{self.running.uri}/api/{api}/mlflow/{path}"
        if method == "GET":
            more["params"] = body
        else:
            more["json"] = body
        return self.session.request(method, url, timeout=60, **more)

    def ok(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer of a request that must succeed."""
        answer = self.call(method, path, body)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def artifact(self, method: str, path: str, content: bytes | None = None) -> requests.Response:
        """A request to the server's artifact proxy."""
        url = f"{self.running.uri}/api/2.0/mlflow-artifacts/artifacts/{path}"
        return self.session.request(method, url, data=content, timeout=60)

    def sql(self, statement: str, **values: Any) -> None:
        """What somebody runs in the database's own shell."""
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def log_model(self, files: Mapping[str, bytes]) -> tuple[str, str]:
        """A logged model with these files: its id, and its path behind the proxy."""
        body = {"experiment_id": self.experiment, "name": "model"}
        model = self.ok("POST", "logged-models", body)["model"]["info"]
        root = model["artifact_uri"].partition("mlflow-artifacts:/")[2].strip("/")
        for name, content in files.items():
            assert self.artifact("PUT", f"{root}/{name}", content).ok
        model_id = model["model_id"]
        self.ok("PATCH", f"logged-models/{model_id}", {"model_id": model_id, "status": "LOGGED_MODEL_READY"})
        return model_id, root

    def findings(self) -> list[str]:
        """What the audit finds, run on the server's machine."""
        destination = {"RESNET_OPS_ARTIFACTS": self.running.artifacts.as_uri()}
        with patch.dict(os.environ, destination), open_database(self.running.database) as connection:
            return [str(finding) for finding in audit.verify(connection).findings]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Put our own tables back afterwards, so that each attack on them meets a whole registry."""
        tables = (ledger_table, ledger_head, trusted_keys, policies, statements)
        if not self.gated or self.hardened:
            yield
            return
        with self.engine.begin() as connection:
            kept = {table: connection.execute(select(table)).mappings().all() for table in tables}
        yield
        with self.engine.begin() as connection:
            for table, rows in kept.items():
                connection.execute(table.delete())
                connection.execute(table.insert(), [dict(row) for row in rows])

    def refusals(self, model: str) -> int:
        with open_database(self.running.database) as connection:
            entries = ledger.list_entries(connection, model)
        return sum(entry.event.outcome == "refused" for entry in entries)


@dataclass
class Version:
    number: int
    created: int
    root: str
    model_id: str
    files: Mapping[str, bytes]


class Scene:
    """A registered model: `good` is @champion and in Production, proven where there is a gate; `bad` is not proven."""

    def __init__(self, arena: Arena, name: str = "") -> None:
        self.arena = arena
        self.name = name or f"attacked-{next(_numbers)}"
        arena.ok("POST", "registered-models/create", {"name": self.name})
        self.good = self.version({"weights.safetensors": b"good", "member.json": b"{}"})
        self.prove(self.good)
        self.bad = self.version({"weights.safetensors": b"evil", "member.json": b"{}"})
        assert self.set_alias("champion", self.good.number).ok
        assert self.set_stage("Production", self.good.number).ok

    def version(self, files: Mapping[str, bytes], name: str = "") -> Version:
        model_id, root = self.arena.log_model(files)
        body = {"name": name or self.name, "source": f"models:/{model_id}", "model_id": model_id}
        made = self.arena.ok("POST", "model-versions/create", body)["model_version"]
        return Version(int(made["version"]), int(made["creation_timestamp"]), root, model_id, files)

    def statement(self, version: Version, low: float = 0.96, key: PrivateKey | None = None) -> str:
        """Evidence about a version, signed by the pipeline, as the text of its envelope."""
        subject = Subject(self.name, version.number, version.created, self.digest(version))
        evidence = evidence_of(hashlib.sha256(version.root.encode()).hexdigest(), low)
        return sign(Statement(subject, EVIDENCE_TYPE, evidence.as_signed()), key or self.arena.key).text

    def digest(self, version: Version) -> str:
        folder = self.arena.keys / "files" / self.name / str(version.number)
        for name, content in version.files.items():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder_digest(folder)

    def prove(self, version: Version) -> None:
        if self.arena.gated:
            assert self.send(version.number, self.statement(version)).ok

    def send(self, number: int, statement: str) -> requests.Response:
        return self.tag(number, "resnet_ops.statement", statement)

    def tag(self, number: int, key: str, value: str) -> requests.Response:
        body = {"name": self.name, "version": str(number), "key": key, "value": value}
        return self.arena.call("POST", "model-versions/set-tag", body)

    def set_alias(self, alias: str, version: int | str, name: str = "") -> requests.Response:
        body = {"name": name or self.name, "alias": alias, "version": str(version)}
        return self.arena.call("POST", "registered-models/alias", body)

    def set_stage(self, stage: str, version: int | str, archive: bool = False) -> requests.Response:
        body = {
            "name": self.name,
            "version": str(version),
            "stage": stage,
            "archive_existing_versions": archive,
        }
        return self.arena.call("POST", "model-versions/transition-stage", body)

    def aliases(self, name: str = "") -> dict[str, int]:
        body = {"name": name or self.name}
        answer = self.arena.call("GET", "registered-models/get", body)
        model = answer.json().get("registered_model", {})
        return {each["alias"]: int(each["version"]) for each in model.get("aliases", [])}

    def stage(self, version: Version) -> str:
        body = {"name": self.name, "version": str(version.number)}
        return str(self.arena.ok("GET", "model-versions/get", body)["model_version"]["current_stage"])

    def stored(self, version: Version) -> dict[str, bytes]:
        """The version's files as a client downloads them now."""
        folder = self.arena.running.artifacts / version.root
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    def path(self, version: Version) -> Path:
        return self.arena.running.artifacts / version.root
