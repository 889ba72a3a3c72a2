"""What is given out of a version comes from statements by the policy's roles, whatever lies in MLflow's table."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import text

from resnet_ops.errors import EvidenceError
from resnet_ops_registry import load
from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.predicates import Baseline, Review, spoken
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.client import loading
from resnet_ops_registry.client.attesting import attest
from resnet_ops_registry.common.settings import database_uri
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate import permission
from resnet_ops_registry.gate.permission import why_not
from resnet_ops_registry.gate.policies import apply_policy
from resnet_ops_registry.gate.reviews import accepted_reference, labelled_reference
from tests.unit.registry.conftest import NAME, POLICY, EvidenceMaker, Publisher

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("policy")]

FORGED = {
    "resnet_ops.files_digest": "f" * 64,
    "resnet_ops.evidence_digest": "f" * 64,
    "resnet_ops.evidence_key": "f" * 64,
    "resnet_ops.reference_digest": "f" * 64,
    "resnet_ops.baseline_digest": "f" * 64,
    "evidence": "signed by everybody",
    "approvals": "@champion by everybody",
    "Resnet_Ops.Files_Digest": "f" * 64,
    "gate champion": "passes",
    "Gate Champion": "passes",
}


@pytest.fixture
def plain(client: MlflowClient) -> MlflowClient:
    """A second server on the same database, without the gate."""
    return MlflowClient(database_uri(), database_uri())


def forge(plain: MlflowClient, version: int) -> None:
    for key, value in FORGED.items():
        plain.set_model_version_tag(NAME, str(version), key, value)


def trust(name: str, role: str) -> None:
    with open_database() as connection:
        trust_key(connection, open_key(name).public, name, role)


def test_a_verdict_that_another_server_wrote_lets_nothing_answer(
    client: MlflowClient, plain: MlflowClient, published: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A canary's alias is anybody's, so its verdict is all that counts."""
    version = published(low=0.5).version
    forge(plain, version)
    found = client.get_model_version(NAME, str(version))
    monkeypatch.setattr(permission, "is_direct", lambda: False)
    assert "0.95" in str(why_not(found, "champion", "canary"))


def test_tags_that_another_server_wrote_are_not_given_out(
    client: MlflowClient, plain: MlflowClient, published: Publisher
) -> None:
    version = published().version
    before = client.get_model_version(NAME, str(version)).tags
    assert "resnet_ops.files_digest" in before
    client.set_registered_model_alias(NAME, "free", str(version))
    forge(plain, version)
    assert client.get_model_version(NAME, str(version)).tags == before
    assert client.get_model_version_by_alias(NAME, "free").tags == before


def test_a_version_without_evidence_is_given_out_without_any_and_with_the_gates_own_verdicts(
    client: MlflowClient, plain: MlflowClient, published: Publisher
) -> None:
    source = str(client.get_model_version(NAME, str(published().version)).source)
    bare = int(client.create_model_version(NAME, source, tags={"mine": "kept"}).version)
    forge(plain, bare)
    plain.set_model_version_tag(NAME, str(bare), "gate champion", "passes")
    refused = "refused: there is no evidence signed by a trusted pipeline key"
    verdicts = {"gate champion": refused, "gate stage Production": refused}
    assert client.get_model_version(NAME, str(bare)).tags == {"mine": "kept", **verdicts}


@pytest.mark.parametrize("path", ["{project}/kept", "../../../kept"])
def test_a_path_in_place_of_a_digest_removes_nothing_where_it_is_loaded(
    plain: MlflowClient, published: Publisher, project: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The cache keeps files under their digest, and removes what it finds there if it is anything else."""
    version = published().version
    kept = project / "kept" / "thesis.tex"
    kept.parent.mkdir()
    kept.write_text("years of work")
    plain.set_model_version_tag(NAME, str(version), "resnet_ops.files_digest", path.format(project=project))
    monkeypatch.setattr(loading, "is_direct", lambda: False)
    monkeypatch.setattr(loading, "connect", lambda: plain)
    with pytest.raises(EvidenceError, match="cannot be verified"):
        load(NAME, version)
    assert kept.exists()


def test_evidence_by_a_key_of_a_role_that_the_policy_does_not_name_is_not_loaded(
    client: MlflowClient, published: Publisher
) -> None:
    version = published().version
    with open_database() as connection:
        apply_policy(connection, POLICY.replace("[pipeline]", "[auditor]"), "p.yaml")
    with pytest.raises(EvidenceError, match="no evidence"):
        load(NAME, version)
    assert "resnet_ops.files_digest" not in client.get_model_version(NAME, str(version)).tags


def test_the_newest_evidence_of_a_named_role_is_loaded_and_not_a_newer_one_of_another(
    client: MlflowClient, published: Publisher, make_evidence: EvidenceMaker, project: Path
) -> None:
    version = published().version
    trust("watcher", "monitor")
    evidence: Evidence = make_evidence(low=0.5)
    attest(client, NAME, version, evidence, open_key("watcher"))
    assert load(NAME, version).verified_by.startswith("evidence signed by pipeline")
    assert "signed by pipeline" in client.get_model_version(NAME, str(version)).tags["evidence"]


@pytest.mark.parametrize(
    ("role", "may"), [("monitor", False), ("lead", False), ("reviewer", True), ("operator", True)]
)
def test_only_keys_whose_evidence_counts_or_who_review_set_what_windows_are_judged_against(
    client: MlflowClient, published: Publisher, role: str, may: bool
) -> None:
    version = published().version
    trust("somebody", role)
    said = spoken(Baseline, reference="a" * 64, images=10, created=datetime.now(UTC))
    if may:
        found = attest(client, NAME, version, said, open_key("somebody"))
        assert labelled_reference(found) == "a" * 64
        return
    with pytest.raises(EvidenceError, match=f"somebody is {role}"):
        attest(client, NAME, version, said, open_key("somebody"))
    assert labelled_reference(client.get_model_version(NAME, str(version))) is None


@pytest.fixture
def former_roles(client: MlflowClient, published: Publisher) -> int:
    """A version with references by keys whose role is another one now, in the table."""
    version = published().version
    trust("somebody", "reviewer")
    for said in (
        spoken(Baseline, reference="a" * 64, images=10, created=datetime.now(UTC)),
        spoken(
            Review,
            window="w",
            verdict="alarm",
            verdict_digest="0" * 64,
            action="accept-reference",
            comment="usual",
            reference="b" * 64,
            created=datetime.now(UTC),
        ),
    ):
        attest(client, NAME, version, said, open_key("somebody"))
    return version


def test_a_reference_that_an_earlier_release_took_from_any_key_does_not_count(
    client: MlflowClient, former_roles: int
) -> None:
    found = client.get_model_version(NAME, str(former_roles))
    assert (labelled_reference(found), accepted_reference(found)) == ("a" * 64, "b" * 64)
    with open_database() as connection:
        connection.execute(
            text("UPDATE resnet_ops_trusted_keys SET role = 'monitor' WHERE name = 'somebody'")
        )
    found = client.get_model_version(NAME, str(former_roles))
    assert (labelled_reference(found), accepted_reference(found)) == (None, None)
    assert not {"resnet_ops.baseline_digest", "resnet_ops.reference_digest"} & set(found.tags)


def test_the_policys_own_role_for_evidence_sets_it(client: MlflowClient, published: Publisher) -> None:
    version = published().version
    said = spoken(Baseline, reference="a" * 64, images=10, created=datetime.now(UTC))
    attest(client, NAME, version, said, open_key("pipeline"))
    with open_database() as connection:
        apply_policy(connection, POLICY.replace("[pipeline]", "[evaluation]"), "p.yaml")
    assert labelled_reference(client.get_model_version(NAME, str(version))) is None
    with pytest.raises(EvidenceError, match="role evaluation"):
        attest(client, NAME, version, said, open_key("pipeline"))
    with pytest.raises(MlflowException):
        client.get_model_version("missing", "1")
