"""A registry reached as a database, through the gate and without a server: quick to make, many at once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient

from resnet_ops_registry.attestations.digest import folder_digest
from resnet_ops_registry.attestations.envelope import Statement, Subject, sign
from resnet_ops_registry.attestations.evidence import EVIDENCE_TYPE, Evidence, Metric, Source
from resnet_ops_registry.attestations.keys import PrivateKey, make_key
from resnet_ops_registry.attestations.statements import find_version
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.gate import hash_files
from resnet_ops_registry.gate.policies import apply_policy

__all__ = ["COMPARED", "MODEL", "POLICY", "Registry", "evidence_of"]

MODEL = "attacked"
POLICY = """\
model: "attacked*"
evidence_roles: [pipeline]
guards:
  - aliases: [champion]
    stages: [Production]
    rules:
      - {rule: threshold, metric: test.top1, bound: low, min: 0.95, why: promised}
"""
COMPARED = """\
model: "attacked*"
evidence_roles: [pipeline]
guards:
  - aliases: [champion]
    rules:
      - rule: comparison
        split: test
        mode: not_worse
        margin: 0.01
        alpha: 0.05
        method: mcnemar
        without_champion: pass
        why: never worse than what serves
"""


def evidence_of(weights_digest: str, low: float) -> Evidence:
    """Evidence of a model that passes where `low`, its accuracy's lower bound, is at least 0.95."""
    return Evidence(
        member="tiny",
        weights_digest=weights_digest,
        metrics={"test.top1": Metric(value=0.98, n=360, low=low, high=0.99, method="wilson 95 %")},
        data={"test": "0" * 64},
        source=Source(commit="a" * 40, dirty=False, dvc_lock=None),
        environment={"python": "3.11"},
        hardware={},
        seeds={},
        created=datetime.now(UTC),
    )


class Registry:
    """A gated registry on a database, with a policy, keys and versions."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.client = MlflowClient(database, f"gated:{database}")
        self.client.search_registered_models(max_results=1)
        self.keys: dict[str, PrivateKey] = {}
        with open_database(database) as connection:
            apply_policy(connection, POLICY, "attacked.yaml")
        self.trust("pipeline")
        self.client.create_registered_model(MODEL)

    def trust(self, name: str) -> PrivateKey:
        key = self.keys[name] = make_key(name, self.folder / "keys")
        with open_database(self.database) as connection:
            trust_key(connection, key.public, name, "pipeline")
        return key

    def version(
        self, content: bytes, key: str | None = "pipeline", low: float = 0.96, model: str = MODEL
    ) -> int:
        """A new version with one file; proven by a key, or by nobody."""
        folder = self.folder / "models" / f"{model}-{len(list(self.folder.glob('models/*')))}"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(content)
        made = self.client.create_model_version(model, str(folder))
        if key is not None:
            self.prove(int(made.version), self.keys[key], low, model)
        return int(made.version)

    def files(self, number: int, model: str = MODEL) -> Path:
        return Path(str(self.client.get_model_version_download_uri(model, str(number))))

    def prove(self, number: int, key: PrivateKey, low: float = 0.96, model: str = MODEL) -> None:
        self.send(number, self.statement(number, key, low, model), model)

    def send(self, number: int, statement: str, model: str = MODEL) -> None:
        self.client.set_model_version_tag(model, str(number), "resnet_ops.statement", statement)

    def statement(self, number: int, key: PrivateKey, low: float = 0.96, model: str = MODEL) -> str:
        made = self.client.get_model_version(model, str(number))
        digest = folder_digest(self.files(number, model))
        subject = Subject(model, number, int(made.creation_timestamp), digest)
        evidence = evidence_of(f"{number:064x}", low)
        return sign(Statement(subject, EVIDENCE_TYPE, evidence.as_signed()), key).text

    def digest(self, number: int, model: str = MODEL) -> str | None:
        """As the gate hashes the version's files."""
        with open_database(self.database) as connection:
            found = find_version(connection, "default", model, number)
        assert found is not None
        return hash_files(found).digest

    def champion(self, model: str = MODEL) -> int | None:
        version = self.client.get_registered_model(model).aliases.get("champion")
        return None if version is None else int(version)


@contextmanager
def without_settings() -> Iterator[None]:
    """No settings of MLflow's or ours from outside."""
    names = [
        name for name in os.environ if name.startswith(("MLFLOW_TRACKING", "MLFLOW_REGISTRY", "RESNET_OPS_"))
    ]
    kept = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(kept)
