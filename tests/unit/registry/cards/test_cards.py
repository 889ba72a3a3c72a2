"""Model cards in MLflow: kept with the run, shown on the version's page, made once; and the command that reads them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from resnet_ops.errors import ConfigError, EvidenceError
from resnet_ops_registry.attestations.evidence import Evidence, Metric
from resnet_ops_registry.attestations.keys import make_key, open_key
from resnet_ops_registry.attestations.statements import find_version, latest_evidence
from resnet_ops_registry.attestations.trust import list_trusted, revoke_key
from resnet_ops_registry.cards import publishing
from resnet_ops_registry.cards.publishing import card_of, refresh_card
from resnet_ops_registry.client.attesting import send
from resnet_ops_registry.client.publish import Published
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate import signed_evidence
from resnet_ops_registry.gate.display import refresh_tags
from resnet_ops_registry.gate.policies import apply_policy
from resnet_ops_registry.gate.signed_evidence import evidence_of
from tests.unit.registry.conftest import NAME, POLICY

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`

Publisher = Callable[..., Published]
Runner = Callable[..., str]


@dataclass(frozen=True)
class Kept:
    """What MLflow has of a version's card: its files, when they were written, and the description."""

    files: dict[str, bytes]
    written: dict[str, int]
    description: str


@pytest.fixture
def kept(client: MlflowClient, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Kept]:
    def look() -> Kept:
        version = client.get_model_version(NAME, "1")
        root = Path(client.get_run(str(version.run_id)).info.artifact_uri.removeprefix("file://"))
        files = [
            root / name
            for name in ("card.md", "card.html", "evidence/statement.json", "evidence/key.pub.pem")
        ]
        return Kept(
            {path.name: path.read_bytes() for path in files},
            {path.name: path.stat().st_mtime_ns for path in files},
            str(version.description),
        )

    return look


def signed() -> tuple[str, str]:
    """What the registry believes of version 1: the statement and the digest of its files."""
    with open_database() as connection:
        found = find_version(connection, "default", NAME, 1)
        assert found is not None
        accepted = latest_evidence(connection, found)
    assert accepted is not None
    return accepted.id, accepted.subject.digest


def test_a_published_version_has_its_card_with_the_run_and_on_its_page(
    policy: None, published: Publisher, kept: Callable[[], Kept]
) -> None:
    published(low=0.9)
    found = kept()
    for page in (found.files["card.md"].decode(), found.files["card.html"].decode()):
        assert f"{NAME} v1: tiny" in page
        assert "refused: test.top1 0.980 (0.900-0.990, n=360)" in page
    assert "| test.top1 | 0.980 (0.900-0.990, n=360) |" in found.description
    assert f"/runs/{published(low=0.9).run_id}/artifacts/card.html" in found.description
    assert "refused" not in found.description, "verdicts change; the tags beside it say them"


def test_publishing_again_writes_nothing_and_signs_nothing(
    policy: None, client: MlflowClient, published: Publisher, kept: Callable[[], Kept]
) -> None:
    published()
    before, said = kept(), signed()
    published()
    refresh_card(client, NAME, 1)
    assert (kept(), signed()) == (before, said)


@pytest.mark.parametrize("lost", ["card.md", "card.html", "tag", "description"])
def test_a_version_whose_card_is_missing_gets_it_and_its_evidence_stays_as_it_was(
    lost: str, policy: None, client: MlflowClient, published: Publisher, kept: Callable[[], Kept]
) -> None:
    run_id = published().run_id
    before, said = kept(), signed()
    root = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
    if lost == "tag":
        client.delete_tag(run_id, publishing.CARD_TAG)
    elif lost == "description":
        client.update_model_version(NAME, "1", "somebody else's words")
    else:
        (root / lost).unlink()
    published()
    assert (kept().files, kept().description, signed()) == (before.files, before.description, said)


def test_the_card_follows_the_policy_and_what_people_wrote(
    client: MlflowClient, published: Publisher, kept: Callable[[], Kept]
) -> None:
    run_id = published(low=0.9).run_id
    assert b"no policy governs this model" in kept().files["card.md"]
    with open_database() as connection:
        apply_policy(connection, POLICY, "p.yaml")
        refresh_tags(connection)
    refresh_card(client, NAME, 1)
    assert b"its interval's low end is below 0.95" in kept().files["card.md"]
    client.set_tag(run_id, publishing.TEXT_TAG + "limits", "Known to confuse 1 and 7.")
    refresh_card(client, NAME, 1)
    assert b"Written by people: Known to confuse 1 and 7." in kept().files["card.md"]
    assert "Known to confuse 1 and 7." in kept().description


def test_new_measurements_make_a_new_card(
    policy: None, published: Publisher, kept: Callable[[], Kept]
) -> None:
    published(low=0.9)
    published(low=0.97)
    assert b"0.970 to 0.990" in kept().files["card.md"]
    assert "0.970-0.990" in kept().description


def test_the_command_prints_the_card_that_mlflow_shows_and_writes_it_where_told(
    policy: None, published: Publisher, kept: Callable[[], Kept], run: Runner, project: Path
) -> None:
    published()
    assert run("card", NAME, "1") == kept().files["card.md"].decode()
    run("card", NAME, "1", "--output", "out/card.html")
    assert (project / "out" / "card.html").read_bytes() == kept().files["card.html"]
    said = run("card", NAME, "1", "--output", "card.md")
    assert "is in card.md" in said
    assert (project / "card.md").read_bytes() == kept().files["card.md"]
    told = json.loads(run("card", NAME, "1", "--json"))
    assert told["by_hand"] == {"intended_use": "Tests.", "limits": ""}
    assert told["verdicts"] == {"@champion": "passes", "stage Production": "passes"}


def test_no_card_is_made_of_evidence_whose_key_is_not_trusted(
    policy: None, client: MlflowClient, published: Publisher, run: Runner, kept: Callable[[], Kept]
) -> None:
    published()
    before = kept()
    with open_database() as connection:
        revoke_key(connection, list_trusted(connection)[0].id)
        refresh_tags(connection)
    with pytest.raises(EvidenceError, match="v1 has no evidence"):
        run("card", NAME, "1")
    refresh_card(client, NAME, 1)
    assert kept() == before


def test_no_card_is_made_of_evidence_in_a_role_that_the_policy_does_not_ask(
    policy: None, client: MlflowClient, published: Publisher
) -> None:
    published()
    with open_database() as connection:
        apply_policy(connection, POLICY.replace("[pipeline]", "[auditor]"), "p.yaml")
    with pytest.raises(EvidenceError, match="no evidence"):
        card_of(client, NAME, 1)


def test_a_version_that_was_never_published_has_no_card(client: MlflowClient, run: Runner) -> None:
    client.create_registered_model(NAME)
    client.create_model_version(NAME, "s3://bucket/model")
    with pytest.raises(EvidenceError, match="no evidence"):
        run("card", NAME, "1")
    with pytest.raises(ConfigError, match="registry ls"):
        run("card", NAME, "2")


@pytest.fixture
def over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's side of a registry that is reached through a server: no database, only MLflow's answers."""
    monkeypatch.setattr(signed_evidence, "is_direct", lambda: False)


@pytest.fixture
def version(policy: None, client: MlflowClient, published: Publisher) -> ModelVersion:
    published()
    return client.get_model_version(NAME, "1")


@pytest.fixture
def copies(client: MlflowClient, version: ModelVersion) -> Path:
    """The folder in which the run keeps the signed evidence."""
    return Path(client.get_run(str(version.run_id)).info.artifact_uri.removeprefix("file://")) / "evidence"


def test_over_http_the_copy_with_the_run_is_read_and_verified(
    client: MlflowClient, version: ModelVersion, over_http: None
) -> None:
    said = evidence_of(client, version)
    assert said.evidence.metrics["test.top1"].low == 0.96
    assert card_of(client, NAME, 1).signed_by == said.key.id == version.tags["resnet_ops.evidence_key"]


@pytest.mark.parametrize("name", ["statement.json", "key.pub.pem"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", None])
def test_over_http_a_copy_that_was_damaged_is_refused_in_words(
    name: str,
    content: bytes | None,
    client: MlflowClient,
    version: ModelVersion,
    copies: Path,
    over_http: None,
) -> None:
    (copies / name).unlink() if content is None else (copies / name).write_bytes(content)
    with pytest.raises((EvidenceError, ConfigError)):
        evidence_of(client, version)


def test_over_http_better_numbers_signed_by_a_stranger_are_refused(
    client: MlflowClient,
    version: ModelVersion,
    copies: Path,
    make_evidence: Callable[..., Evidence],
    over_http: None,
) -> None:
    better = make_evidence().model_copy(update={"metrics": {"test.top1": Metric(value=1, n=360)}})
    for key, said in (("stranger", better), ("stranger", make_evidence()), ("pipeline", better)):
        forged = signed_evidence.signed_now(version, said, make_key(key))
        (copies / "statement.json").write_text(forged.text)
        (copies / "key.pub.pem").write_text(forged.key.pem())
        with pytest.raises(EvidenceError, match="the one that the registry believes"):
            evidence_of(client, version)


def test_over_http_the_evidence_of_another_version_is_refused(
    client: MlflowClient, version: ModelVersion, over_http: None
) -> None:
    evidence, key = evidence_of(client, version).evidence, open_key("pipeline")
    other = client.create_model_version(NAME, str(version.source), run_id=version.run_id)
    with pytest.raises(EvidenceError, match="v2 has no evidence"):
        evidence_of(client, other)
    send(client, other, evidence, key, version.tags["resnet_ops.files_digest"])
    with pytest.raises(EvidenceError, match="v2's run is not the one"):
        evidence_of(client, other)


def test_over_http_publishing_again_restores_a_copy_that_was_damaged(
    client: MlflowClient, version: ModelVersion, copies: Path, published: Publisher, over_http: None
) -> None:
    (copies / "statement.json").write_text("{}")
    client.delete_tag(str(version.run_id), publishing.CARD_TAG)
    published()
    assert evidence_of(client, version).evidence.digest() == version.tags["resnet_ops.evidence_digest"]
