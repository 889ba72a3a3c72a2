import json
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.dbmodels.models import SqlModelVersionTag, SqlRegisteredModelAlias
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import Connection, select, update

from resnet_ops.errors import ConfigError, EvidenceError, GateDenied
from resnet_ops_registry import check, load, promote
from resnet_ops_registry.attestations.trust import list_trusted, revoke_key
from resnet_ops_registry.client.publish import Published
from resnet_ops_registry.common.settings import registry_uri
from resnet_ops_registry.database import tables
from resnet_ops_registry.database.ledger import list_entries, verify
from resnet_ops_registry.database.tables import open_database, statements
from resnet_ops_registry.gate.gate import check_all
from resnet_ops_registry.gate.rollback import ROLLBACK_TAG
from resnet_ops_registry.operations import audit
from resnet_ops_registry.store.store import open_store
from tests.unit.registry.conftest import make_model, publish_model

NAME = "digits-classifier"
Publisher = Callable[..., Published]

pytestmark = pytest.mark.usefixtures("policy")


@pytest.fixture
def store(client: MlflowClient) -> SqlAlchemyStore:
    return open_store(registry_uri())


def envelope_of(version: int) -> str:
    with open_database() as connection:
        return str(
            connection.execute(
                select(statements.c.envelope).where(statements.c.version == version)
            ).scalar_one()
        )


def test_a_server_reads_from_its_replica_and_a_client_loads_no_server(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = import_module("mlflow.server.constants")
    replica = f"sqlite:///{shutil.copy(database, database.with_name('replica.db'))}"
    monkeypatch.setenv(constants.READ_REPLICA_BACKEND_STORE_URI_ENV_VAR, replica)
    engine = open_store(registry_uri()).read_engine
    assert engine is not None
    assert str(engine.url) == replica
    for name in [name for name in sys.modules if name.startswith("mlflow.server")]:
        monkeypatch.delitem(sys.modules, name)
    assert open_store(registry_uri()).read_engine is None
    assert "mlflow.server" not in sys.modules


@pytest.mark.slow
def test_a_version_with_evidence_that_passes_is_promoted_and_loaded(published: Publisher) -> None:
    version = published().version
    assert check(NAME, version, "champion").allowed
    promote(NAME, version, "@champion")
    loaded = load(f"models:/{NAME}@champion")
    assert (loaded.version, loaded.member, loaded.model.image_size) == (version, "tiny", 8)
    assert loaded.verified_by.startswith("evidence signed by pipeline")


@pytest.mark.slow
def test_what_check_says_is_what_promote_does(published: Publisher) -> None:
    version = published(low=0.94).version
    verdict = check(NAME, version, "champion")
    assert not verdict.allowed
    with pytest.raises(GateDenied) as caught:
        promote(NAME, version, "champion")
    assert str(caught.value) == f"{verdict.message} See every rule: resnet-ops gate explain {NAME} {version}"


@pytest.mark.slow
def test_checking_leaves_no_trace_and_deciding_does(client: MlflowClient, published: Publisher) -> None:
    version = published(low=0.94).version
    check(NAME, version, "champion")
    check_all(NAME, version)
    with open_database() as connection:
        before = len(list_entries(connection))
    with pytest.raises(MlflowException):
        client.set_registered_model_alias(NAME, "champion", str(version))
    with open_database() as connection:
        entries = list_entries(connection)
        assert verify(connection) == len(entries) == before + 1
    assert (entries[-1].event.outcome, entries[-1].event.target) == ("refused", "@champion")


@pytest.mark.slow
def test_a_revoked_key_makes_its_evidence_worthless(published: Publisher) -> None:
    version = published().version
    with open_database() as connection:
        revoke_key(connection, list_trusted(connection)[0].id)
    with pytest.raises(GateDenied, match="no evidence signed"):
        promote(NAME, version, "champion")
    with pytest.raises(EvidenceError, match="no evidence"):
        load(NAME, version)


@pytest.mark.slow
def test_changed_files_are_not_promoted_and_not_loaded(published: Publisher, project: Path) -> None:
    version = published().version
    (code,) = (project / "var" / "artifacts").rglob("served_model.py")
    code.write_text(code.read_text() + "\nimport os\n")
    with pytest.raises(GateDenied, match="changed after the evidence was signed"):
        promote(NAME, version, "champion")
    with pytest.raises(EvidenceError, match="changed after they were published"):
        load(NAME, version)


@pytest.mark.slow
def test_a_changed_cache_is_noticed_and_fetched_again(published: Publisher, project: Path) -> None:
    version = published().version
    load(NAME, version)
    (weights,) = (project / "var" / "cache").rglob("weights.safetensors")
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"x")
    load(NAME, version)
    assert weights.read_bytes() == content


@pytest.mark.slow
def test_evidence_of_a_deleted_version_does_not_count_for_one_made_anew(
    client: MlflowClient, published: Publisher
) -> None:
    published()
    old = envelope_of(1)
    source = client.get_model_version(NAME, "1").source
    client.delete_registered_model(NAME)
    client.create_registered_model(NAME)
    assert int(client.create_model_version(NAME, str(source)).version) == 1
    with pytest.raises(GateDenied, match="no evidence"):
        promote(NAME, 1, "champion")
    with pytest.raises(MlflowException, match="an earlier digits-classifier v1"):
        client.set_model_version_tag(NAME, "1", "resnet_ops.statement", old)


@pytest.mark.slow
def test_evidence_of_one_version_does_not_count_for_another(
    client: MlflowClient, published: Publisher
) -> None:
    published()
    source = client.get_model_version(NAME, "1").source
    client.create_model_version(NAME, str(source))
    with pytest.raises(MlflowException, match="v1, not digits-classifier v2"):
        client.set_model_version_tag(NAME, "2", "resnet_ops.statement", envelope_of(1))


@pytest.mark.slow
def test_an_old_statement_sent_again_does_not_outdo_the_newest(
    client: MlflowClient, published: Publisher
) -> None:
    published(low=0.96)
    good = envelope_of(1)
    published(low=0.90)
    client.set_model_version_tag(NAME, "1", "resnet_ops.statement", good)
    assert not check(NAME, 1, "champion").allowed


@pytest.mark.slow
def test_a_statement_that_somebody_changed_in_the_database_is_not_believed(published: Publisher) -> None:
    published(low=0.90)
    with open_database() as connection:
        envelope = json.loads(envelope_of(1))
        envelope["signatures"][0]["sig"] = "A" * 86 + "=="
        connection.execute(update(statements).values(envelope=json.dumps(envelope)))
    with pytest.raises(GateDenied, match="evidence is not believed"):
        promote(NAME, 1, "champion")


@pytest.mark.parametrize("choice", ["open", "closed", "maybe"])
def test_the_operator_chooses_what_holds_without_a_policy(
    client: MlflowClient, project: Path, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    monkeypatch.setenv("RESNET_OPS_UNGOVERNED", choice)
    client.create_registered_model("other")
    client.create_model_version("other", str(project))
    match choice:
        case "open":
            promote("other", 1, "champion")
        case "closed":
            promote("other", 1, "challenger")
            for alias in ("champion", "Champion-Edge"):
                with pytest.raises(GateDenied, match="no policy governs other"):
                    promote("other", 1, alias)
        case _:
            with pytest.raises(GateDenied, match="RESNET_OPS_UNGOVERNED must be"):
                promote("other", 1, "champion")


@pytest.mark.slow
def test_removing_a_champion_is_recorded(client: MlflowClient, published: Publisher) -> None:
    promote(NAME, published().version, "champion")
    client.delete_registered_model_alias(NAME, "champion")
    client.set_registered_model_alias(NAME, "champion", "1")
    client.delete_registered_model(NAME)
    with open_database() as connection:
        actions = [entry.event.action for entry in list_entries(connection, NAME)]
    assert actions == ["evidence accepted", "alias", "alias removed", "alias", "alias removed"]


@pytest.mark.slow
def test_moving_an_alias_says_where_from(client: MlflowClient, published: Publisher) -> None:
    promote(NAME, published().version, "champion")
    client.create_model_version(NAME, str(client.get_model_version(NAME, "1").source))
    with pytest.raises(GateDenied):
        promote(NAME, 2, "champion")
    with open_database() as connection:
        last = list_entries(connection, NAME)[-1].event
    assert (last.from_version, last.version, last.outcome) == (1, 2, "refused")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["alias", "stage"])
def test_what_another_changed_between_reading_and_the_lock_is_written_again(
    what: str,
    published: Publisher,
    client: MlflowClient,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The request sets what it read, so that nothing seems to change; the ledger must not say what is not there."""
    published()
    publish_model(client, make_model(project / "models" / "second", seed=1))

    def put(version: int, stage: str = "Production") -> None:
        if what == "alias":
            client.set_registered_model_alias(NAME, "champion", str(version))
        else:
            client.transition_model_version_stage(NAME, "1", stage)

    put(1)
    lock, calls = tables.lock, []

    def late(connection: Connection) -> tables.Head:
        calls.append(connection)
        if len(calls) == 1:
            put(2, "Archived")
        return lock(connection)

    monkeypatch.setattr(tables, "lock", late)
    put(1)
    assert len(calls) == 2
    assert client.get_model_version(NAME, "1").current_stage == ("None" if what == "alias" else "Production")
    if what == "alias":
        assert int(client.get_model_version_by_alias(NAME, "champion").version) == 1
    with open_database() as connection:
        assert audit.verify(connection).findings == ()


@pytest.mark.slow
def test_an_alias_that_another_took_away_before_the_lock_is_not_said_to_be_set(
    published: Publisher, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    published()
    client.set_registered_model_alias(NAME, "champion", "1")
    lock, calls = tables.lock, []

    def late(connection: Connection) -> tables.Head:
        calls.append(connection)
        if len(calls) == 1:
            client.delete_registered_model_alias(NAME, "champion")
        return lock(connection)

    monkeypatch.setattr(tables, "lock", late)
    with pytest.raises(MlflowException):
        client.set_registered_model_alias(NAME, "champion", "1")
    with open_database() as connection:
        last = list_entries(connection, NAME)[-1].event
        assert (last.action, last.from_version) == ("alias removed", 1)
        assert audit.verify(connection).findings == ()


@pytest.mark.slow
def test_reserved_tags_are_guarded_below_the_stores_methods_too(
    store: SqlAlchemyStore, client: MlflowClient, published: Publisher
) -> None:
    published(low=0.90)
    tag = SqlModelVersionTag(workspace="default", name=NAME, version=1, key="gate champion", value="passes")
    with (
        pytest.raises(MlflowException, match="written by the gate alone"),
        store.ManagedSessionMaker(read_only=False) as session,
    ):
        session.merge(tag)
    for key in ("evidence", "Evidence ", "resnet_ops.weights_digest"):
        with pytest.raises(MlflowException, match="written by the gate alone"):
            client.set_model_version_tag(NAME, "1", key, "x")
        with pytest.raises(MlflowException, match="written by the gate alone"):
            client.delete_model_version_tag(NAME, "1", key)
    client.set_model_version_tag(NAME, "1", "team", "vision")
    client.delete_model_version_tag(NAME, "1", "team")


@pytest.mark.slow
def test_bulk_changes_are_refused(store: SqlAlchemyStore, client: MlflowClient, published: Publisher) -> None:
    client.set_registered_model_alias(NAME, "challenger", str(published(low=0.9).version))
    with (
        pytest.raises(MlflowException, match="no bulk change"),
        store.ManagedSessionMaker(read_only=False) as session,
    ):
        session.execute(update(SqlRegisteredModelAlias).values(alias="champion"))


def test_the_entry_point_opens_the_gate(client: MlflowClient) -> None:
    from importlib.metadata import entry_points

    (point,) = entry_points(group="mlflow.model_registry_store", name="gated")
    assert point.load() is open_store


def test_a_loading_uri_that_names_nothing_is_refused(client: MlflowClient) -> None:
    for uri in ("", "models:/", f"models:/{NAME}", f"models:/{NAME}/x"):
        with pytest.raises(ConfigError, match="names no model version"):
            load(uri)


def test_a_model_is_not_made_with_a_request_for_a_rollback(client: MlflowClient) -> None:
    """It would stay there, and whoever asks for one later would take the server for one without the gate."""
    client.create_registered_model(
        "new", tags={ROLLBACK_TAG: "champion", " Resnet_Ops.Rollback": "x", "mine": "1"}
    )
    assert client.get_registered_model("new").tags == {"mine": "1"}
