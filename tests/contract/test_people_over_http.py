"""People speak to a real server with a login over plain MLflow REST: no database, no second login."""

from datetime import UTC, datetime
from unittest.mock import ANY

import pytest
import requests

from resnet_ops.errors import ConfigError, EvidenceError, GateDenied
from resnet_ops_registry import promote
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.predicates import Approval, Waiver
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.client.attesting import attest
from resnet_ops_registry.client.retirement import retire, unretire
from resnet_ops_registry.client.rollback import roll_back
from resnet_ops_registry.common.deadlines import read_until
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database.ledger import list_entries, verify
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.candidates import judge_candidates
from resnet_ops_registry.gate.policies import apply_policy
from tests.attacks.servers import ADMIN
from tests.contract.conftest import Server
from tests.unit.registry.conftest import NAME, POLICY

LOGIN = True
CHAMPION = Target(kind="alias", name="champion")
WITH_PEOPLE = POLICY.replace(
    "guards:", "waivers: {roles: [lead], rules: [accuracy], max_days: 30}\nguards:"
).replace("{rule: threshold,", "{rule: threshold, id: accuracy,")
APPROVED = WITH_PEOPLE + "      - {rule: statements, kind: approval, roles: [reviewer], why: four eyes}\n"


def act(server: Server, *, policy: str, keys: dict[str, str]) -> None:
    with open_database(server.database) as connection:
        apply_policy(connection, policy, "p.yaml")
        for name, role in keys.items():
            trust_key(connection, open_key(name).public, name, role)


def approve(server: Server, version: int, who: str) -> None:
    now = datetime.now(UTC)
    said = Approval(target=CHAMPION, until=read_until("14d", now), created=now)
    attest(server.client, NAME, version, said, open_key(who))


def test_people_approve_waive_roll_back_and_retire_over_http(server: Server) -> None:
    act(server, policy=APPROVED, keys={"kim": "reviewer", "jo": "lead", "root": "operator"})
    good, bad = server.good.version, server.bad.version
    with pytest.raises(GateDenied, match="0 of 1 approvals"):
        promote(NAME, good, "champion")
    with pytest.raises(EvidenceError, match="not trusted here"):
        approve(server, good, "mallory")
    approve(server, good, "kim")
    promote(NAME, good, "champion")

    approve(server, bad, "kim")
    with pytest.raises(GateDenied, match="low end is below"):
        promote(NAME, bad, "champion")
    now = datetime.now(UTC)
    waiver = Waiver(target=CHAMPION, rule="accuracy", until=read_until("1d", now), why="demo", created=now)
    found = attest(server.client, NAME, bad, waiver, open_key("jo"))
    assert found.tags["gate champion"].startswith(
        f"passes until {waiver.until:%Y-%m-%d %H:%M} UTC (accuracy waived by jo until"
    )
    (candidate,) = judge_candidates(server.client, NAME, {"waived": bad})
    assert candidate.refusals == {"@champion": None, "stage Production": ANY}
    promote(NAME, bad, "champion")

    assert roll_back(NAME, "champion") == (good, "champion")
    assert retire(NAME, good, "misreads sevens", open_key("kim")) == ["@champion"]
    with pytest.raises(GateDenied, match="it was retired by kim"):
        promote(NAME, good, "champion")
    with pytest.raises(GateDenied, match="it was retired by kim"):
        roll_back(NAME, "champion")  # and not to the one that was rolled back from
    unretire(NAME, good, "they are fine", open_key("root"))
    promote(NAME, good, "champion")

    with open_database(server.database) as connection:
        verify(connection)
        events = [entry.event for entry in list_entries(connection, NAME)]
    told = [(event.action, event.outcome) for event in events]
    assert ("statement", "refused") in told
    assert told.count(("rollback", "allowed")) == told.count(("rollback", "refused")) == 1
    assert told[-1] == ("alias", "allowed")


def test_a_rollback_of_what_is_not_there_says_so(server: Server) -> None:
    with pytest.raises(GateDenied, match="digits-classifier held @nobody"):
        roll_back(NAME, "nobody")
    with pytest.raises((ConfigError, GateDenied), match="missing-model"):
        roll_back("missing-model", "champion")


def test_a_refused_rollback_answers_409_and_is_not_kept_as_a_tag(server: Server) -> None:
    answer = requests.post(
        f"{server.uri}/api/2.0/mlflow/registered-models/set-tag",
        json={"name": NAME, "key": "resnet_ops.rollback", "value": "nobody"},
        auth=ADMIN,
        timeout=30,
    )
    assert answer.status_code == 409, answer.text
    assert server.client.get_registered_model(NAME).tags == {}
