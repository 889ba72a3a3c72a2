"""What tests of people say and ask: trust a key, approve, waive, and why the gate refuses."""

from pathlib import Path

from resnet_ops_registry import check
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.trust import revoke_key, trust_key
from resnet_ops_registry.database.ledger import Entry, list_entries, verify
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy
from resnet_ops_registry.operations import audit
from tests.unit.registry.conftest import NAME, Publisher, Runner, make_model

POLICY = """\
model: digits-classifier
evidence_roles: [pipeline]
waivers: {roles: [lead], rules: [accuracy], max_days: 30}
guards:
  - aliases: [champion]
    rules:
      - {rule: threshold, id: accuracy, metric: test.top1, bound: low, min: 0.95, why: promised}
"""
APPROVALS = """\
      - {rule: statements, id: eyes, kind: approval, count: 2, roles: [reviewer], why: four eyes see more}
"""
REPRODUCED = """\
      - {rule: statements, kind: reproduction, roles: [reviewer], why: it must be repeatable}
"""


def govern(rules: str = "") -> None:
    with open_database() as connection:
        apply_policy(connection, POLICY + rules, "p.yaml")


def trust(name: str, role: str, called: str = "") -> str:
    with open_database() as connection:
        return trust_key(connection, open_key(name).public, called or name, role).id


def revoke(key_id: str) -> None:
    with open_database() as connection:
        revoke_key(connection, key_id)


def entries() -> list[Entry]:
    with open_database() as connection:
        verify(connection)
        return list_entries(connection)


def audited() -> audit.Report:
    with open_database() as connection:
        return audit.verify(connection)


def approve(run: Runner, who: str, version: int = 1, until: str = "14d") -> str:
    return run("approve", NAME, str(version), "champion", "--until", until, "--key", who)


def refusal(version: int = 1) -> str:
    verdict = check(NAME, version, "champion")
    assert not verdict.allowed
    return "; ".join(verdict.reasons)


def publish_versions(published: Publisher, project: Path, count: int, low: float = 0.96) -> None:
    for seed in range(count):
        published(low=low, folder=make_model(project / "models" / f"seed{seed}", seed))


def waive(run: Runner, who: str, until: str = "14d", rule: str = "accuracy") -> str:
    arguments = ("--rule", rule, "--until", until, "--why", "demo day", "--key", who)
    return run("waive", NAME, "1", "champion", *arguments)
