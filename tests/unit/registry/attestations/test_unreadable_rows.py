"""A row that cannot be read, changed by hand or of a newer program, keeps nobody from revoking and applying."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from sqlalchemy import text

from resnet_ops.errors import GateDenied
from resnet_ops_registry import promote
from resnet_ops_registry.attestations.envelope import Statement, Subject, sign
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.trust import list_trusted, trust_key
from resnet_ops_registry.database import ledger
from resnet_ops_registry.database.ledger import Event
from resnet_ops_registry.database.tables import open_database, statements
from resnet_ops_registry.gate.policies import apply_policy, policy_for
from resnet_ops_registry.operations import audit
from tests.unit.registry.conftest import NAME, POLICY, Publisher, Runner

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("policy")]

TAMPERED = {
    "signature": "UPDATE resnet_ops_statements SET envelope = replace(envelope, 'sig\":\"', 'sig\":\"AAAA')",
    "no JSON": "UPDATE resnet_ops_statements SET envelope = 'x'",
    "empty": "UPDATE resnet_ops_statements SET envelope = ''",
    "another key's": "UPDATE resnet_ops_statements SET key_id = 'unknown'",
    "public key": "UPDATE resnet_ops_trusted_keys SET public_key = 'x'",
    "short public key": "UPDATE resnet_ops_trusted_keys SET public_key = 'ab'",
}


def spoil(statement: str) -> None:
    with open_database() as connection:
        assert connection.execute(text(statement)).rowcount >= 1


def add_unknown_kind() -> None:
    """A statement of a kind that this program does not know, signed and entered in the ledger as it should be."""
    with open_database() as connection:
        row = connection.execute(statements.select()).mappings().first()
        assert row is not None
        subject = Subject(NAME, row["version"], row["creation_time"], row["digest"])
        made = sign(Statement(subject, "https://resnet-ops.dev/omen/v9", {}), open_key("pipeline"))
        new = {**row, "id": None, "envelope": made.text, "envelope_digest": made.digest}
        new["predicate_type"] = "https://resnet-ops.dev/omen/v9"
        connection.execute(statements.insert(), new)
        detail = {"statement": made.digest}
        event = Event(
            "pipeline", "omen accepted", "recorded", model=NAME, version=row["version"], detail=detail
        )
        ledger.append(connection, event)


@pytest.fixture(params=[*TAMPERED, "unknown kind"])
def perturbed(request: pytest.FixtureRequest, published: Publisher) -> str:
    published()
    if request.param == "unknown kind":
        add_unknown_kind()
    else:
        spoil(TAMPERED[request.param])
    return str(request.param)


def test_a_key_is_revoked_whatever_the_rows_of_statements_and_keys_hold(perturbed: str, run: Runner) -> None:
    with open_database() as connection:
        key = list_trusted(connection)[0].id
    said = run("keys", "revoke", key)
    with open_database() as connection:
        assert [each.revoked_at is not None for each in list_trusted(connection)] == [True]
    assert "is revoked" in said
    assert "of resnet_ops_statements cannot be read" in said.replace("\n", " ")


def test_a_policy_comes_into_force_whatever_the_rows_hold(perturbed: str, run: Runner, project: Path) -> None:
    file = project / "p.yaml"
    file.write_text(POLICY.replace("0.95", "0.97"))
    assert "is in force now" in run("policy", "apply", str(file))
    with open_database() as connection:
        found = policy_for(connection, NAME)
    assert found is not None
    assert found.version == 2


def test_an_audit_goes_on_past_a_row_that_cannot_be_read(perturbed: str) -> None:
    """What a newer program wrote and a trusted key signed is nothing that came past the gate."""
    with open_database() as connection:
        assert bool(audit.verify(connection).findings) == (perturbed != "unknown kind")


def test_the_refusal_names_the_row(published: Publisher) -> None:
    version = published().version
    spoil(TAMPERED["no JSON"])
    with pytest.raises(GateDenied, match="Row 1 of resnet_ops_statements"):
        promote(NAME, version, "champion")


@pytest.mark.parametrize("content", ["'x'", "replace(content, 'threshold', 'oracle')", "''"])
def test_a_policy_that_cannot_be_read_closes_its_models_and_no_others(
    content: str, client: MlflowClient, published: Publisher, run: Runner, project: Path
) -> None:
    version = str(published().version)
    with open_database() as connection:
        apply_policy(connection, POLICY.replace(NAME, "other"), "other.yaml")
    spoil(f"UPDATE resnet_ops_policies SET content = {content}, digest = 'x' WHERE model = '{NAME}'")
    with pytest.raises(GateDenied, match="its policy cannot be read"):
        promote(NAME, int(version), "champion")
    client.create_registered_model("elsewhere")
    source = str(client.get_model_version(NAME, version).source)
    client.create_model_version("elsewhere", source)
    client.set_registered_model_alias("elsewhere", "free", "1")
    with open_database() as connection:
        key = list_trusted(connection)[0].id
        trust_key(connection, open_key("second").public, "second", "pipeline")
    file = project / "p.yaml"
    file.write_text(POLICY)
    assert "is in force now" in run("policy", "apply", str(file))
    promote(NAME, int(version), "champion")
    assert "is revoked" in run("keys", "revoke", key)


def test_a_revocation_stands_when_the_pages_cannot_be_written(
    published: Publisher, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    published()
    with open_database() as connection:
        key = list_trusted(connection)[0].id

    def broken(connection: object) -> list[str]:
        raise RuntimeError

    monkeypatch.setattr("resnet_ops_registry.gate.display.refresh_tags", broken)
    with pytest.raises(RuntimeError):
        run("keys", "revoke", key)
    with open_database() as connection:
        assert list_trusted(connection)[0].revoked_at is not None
