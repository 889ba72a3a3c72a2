"""The parts of MLflow that it promises to nobody and that the gate leans on: each as the gate uses it.

Where one moved, its test says what to do. `docs/install.md` has the range that was tested; `make matrix MLFLOW=X.Y.Z`
tests another version.
"""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect as look_at

import resnet_ops_registry
from resnet_ops_registry.store import harden

ROOT = Path(resnet_ops_registry.__file__).parent
PRIVATE = ("mlflow.store.", "mlflow.utils.", "mlflow.server.", "mlflow.system_metrics.", "mlflow.protos.")
DBMODELS = "mlflow.store.model_registry.dbmodels.models"
STORE = "mlflow.store.model_registry.sqlalchemy_store.SqlAlchemyStore"

REMEDIES: dict[str, dict[str, str]] = {
    "mlflow.store.db.utils": {
        "_get_latest_schema_revision": "operations/checkup.py tells by it whether a database is another MLflow's: find "
        "what `mlflow db upgrade` brings one to",
        "_get_managed_session_maker": "store/sessions.py makes the gate's sessions with it: find what makes "
        "SqlAlchemyStore.ManagedSessionMaker now, and give it the judged sessionmaker",
    },
    "mlflow.store.model_registry.sqlalchemy_store": {
        "SqlAlchemyStore": "store/store.py is a layer over it; without it there is no gate",
    },
    "mlflow.store.model_registry.sqlalchemy_workspace_store": {
        "WorkspaceAwareSqlAlchemyStore": "store/store.py opens it where workspaces are enabled",
    },
    DBMODELS: {
        "SqlModelVersion": "store/changes.py, duplicates.py and database/tables.py read it: follow the new model",
        "SqlModelVersionTag": "gate/display.py writes the gate's tags with it: follow the new model",
        "SqlRegisteredModel": "store/changes.py sees renames by it: follow the new model",
        "SqlRegisteredModelTag": "operations/survey.py tells prompts from models by it: follow the new model",
        "SqlRegisteredModelAlias": "store/changes.py sees aliases by it: follow the new model",
    },
    "mlflow.store.workspace.dbmodels.models": {
        "SqlWorkspace": "store/workspaces.py sees deleted workspaces by it: follow the new model",
    },
    "mlflow.store.artifact.artifact_repo": {
        "ArtifactRepository": "store/artifacts.py is one: see what plugins inherit from",
    },
    "mlflow.store.artifact.artifact_repository_registry": {
        "ArtifactRepositoryRegistry": "store/artifacts.py guards what it gives out: find what makes repositories",
        "get_artifact_repository": "store/artifacts.py opens what is behind write-once: with it",
    },
    "mlflow.store.artifact.runs_artifact_repo": {
        "RunsArtifactRepository": "attestations/digest.py finds where a run keeps its files with it",
    },
    "mlflow.utils.file_utils": {
        "local_file_uri_to_path": "attestations/digest.py reads a location with it, as MLflow does: see with what now",
    },
    "mlflow.utils.uri": {
        "get_uri_scheme": "attestations/digest.py tells folders from stores with it: see how MLflow does",
    },
    "mlflow.utils.validation": {
        "_validate_model_name": "store/store.py refuses odd names with it: check them there",
        "_validate_model_version": "store/store.py makes the version a number with it: do that there",
    },
    "mlflow.utils.workspace_utils": {
        "DEFAULT_WORKSPACE_NAME": "store/workspaces.py: where SET_DEFAULT moves models to",
    },
    "mlflow.utils.workspace_context": {
        "get_request_workspace": "attestations/digest.py finds a workspace's files with it",
    },
    "mlflow.server.constants": {
        "READ_REPLICA_BACKEND_STORE_URI_ENV_VAR": "store/store.py passes the replica on: see what names it",
    },
    **{
        f"mlflow.system_metrics.metrics.{kind.lower()}_monitor": {
            f"{kind}Monitor": "client/system_metrics.py samples with it: follow it or leave it out"
        }
        for kind in ("CPU", "GPU", "Disk", "Network")
    },
    "mlflow.protos.databricks_pb2": dict.fromkeys(
        ("RESOURCE_CONFLICT", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE", "ErrorCode"),
        "an error code that clients see: choose another with the same HTTP status",
    ),
}
NAMES = {f"{module}.{name}": told for module, names in REMEDIES.items() for name, told in names.items()}
"""What is imported, and what to do when it moves."""

COLUMNS = {
    "registered_models": {"workspace", "name"},
    "registered_model_aliases": {"workspace", "name", "alias", "version"},
    "model_versions": {
        *(
            "workspace",
            "name",
            "version",
            "creation_time",
            "current_stage",
            "source",
            "storage_location",
            "run_id",
        ),
    },
    "model_version_tags": {"workspace", "name", "version", "key", "value"},
}
MODELS = {
    "registered_models": "SqlRegisteredModel",
    "registered_model_aliases": "SqlRegisteredModelAlias",
    "model_versions": "SqlModelVersion",
    "model_version_tags": "SqlModelVersionTag",
}


def imported() -> Iterator[str]:
    """Every private name of MLflow that the registry's package imports, anywhere in it."""
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mlflow"):
                for alias in node.names:
                    if f"{node.module}.".startswith(PRIVATE) or alias.name.startswith("_"):
                        yield f"{node.module}.{alias.name}"


def find(name: str) -> Any:
    module, _, last = name.rpartition(".")
    return getattr(import_module(module), last, None)


def test_the_list_names_what_is_imported_and_nothing_else() -> None:
    assert set(imported()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_where_it_was(name: str) -> None:
    assert find(name) is not None, f"MLflow moved {name}. {NAMES[name]}."


@pytest.mark.parametrize("table", COLUMNS)
def test_a_table_has_the_columns_that_are_read_and_no_new_key(table: str) -> None:
    model = find(f"{DBMODELS}.{MODELS[table]}")
    columns = model.__table__.columns
    assert model.__tablename__ == table
    assert COLUMNS[table] <= set(columns.keys()), (
        "follow it in database/tables.py, store/changes.py and store/harden.py"
    )
    keys = {column.name for column in columns if column.primary_key}
    assert keys <= COLUMNS[table], (
        f"a row is told by {keys} now: tickets, places and lookups must know the new key"
    )


def test_the_triggers_know_every_table_that_aliases_and_stages_live_in() -> None:
    """A new table with versions in it would be a way past the gate; MCP servers are no models."""
    from mlflow.store.db.base_sql_model import Base

    about = {name for name in Base.metadata.tables if "alias" in name or "stage" in name}
    assert about == {"registered_model_aliases", "mcp_server_aliases"}, (
        "see whether the new table names what serves, and guard it"
    )
    assert "registered_model_aliases" in inspect.getsource(harden)


def test_relations_that_a_flush_is_judged_by_are_there() -> None:
    version, tag = find(f"{DBMODELS}.SqlModelVersion"), find(f"{DBMODELS}.SqlModelVersionTag")
    assert {"registered_model", "model_version_tags"} <= set(look_at(version).relationships.keys())
    assert "model_version" in look_at(tag).relationships


def test_the_store_takes_the_arguments_that_the_gate_gives() -> None:
    store = find(STORE)
    assert {"db_uri", "read_db_uri"} <= set(inspect.signature(store.__init__).parameters)
    made = list(inspect.signature(store.create_model_version).parameters)
    assert made[:5] == ["self", "name", "source", "run_id", "tags"], (
        "store/store.py strips reserved tags by position"
    )
    changed = list(inspect.signature(store.transition_model_version_stage).parameters)
    assert changed == ["self", "name", "version", "stage", "archive_existing_versions"]
    sessions = find("mlflow.store.db.utils._get_managed_session_maker")
    assert list(inspect.signature(sessions).parameters)[:2] == ["SessionMaker", "db_type"]
    assert callable(store._get_active_workspace)


def test_every_write_of_the_store_goes_through_its_session_maker() -> None:
    """Whatever opened another session would write past the gate."""
    source = inspect.getsource(import_module("mlflow.store.model_registry.sqlalchemy_store"))
    assert "self.ManagedSessionMaker(read_only=False)" in source
    for past in ("Session(self.engine", "engine.begin(", "engine.connect("):
        assert past not in source, "store/sessions.py must see this too"


@pytest.mark.parametrize("name", ["_MLFLOW_SERVER_ARTIFACT_DESTINATION", "_MLFLOW_SERVER_REGISTRY_STORE"])
def test_the_server_tells_its_workers_where_things_are(name: str) -> None:
    constants = vars(import_module("mlflow.server.constants")) | vars(import_module("mlflow.server"))
    assert name in constants.values(), (
        "store/artifacts.py and common/settings.py read this variable: find its new name"
    )


def test_basic_auth_says_whose_password_it_checked() -> None:
    pytest.importorskip("flask_wtf")
    source = Path(str(import_module("mlflow.server").__file__)).parent / "auth" / "__init__.py"
    assert "mlflow_authenticated_user" in source.read_text(), (
        "common/actor.py: find where the checked user is now"
    )


@pytest.mark.parametrize(
    ("group", "module", "words"),
    [
        ("model_registry_store", "mlflow.tracking._model_registry.registry", "mlflow.model_registry_store"),
        (
            "artifact_repository",
            "mlflow.store.artifact.artifact_repository_registry",
            "mlflow.artifact_repository",
        ),
    ],
)
def test_plugins_are_found_by_the_same_entry_points(group: str, module: str, words: str) -> None:
    assert words in inspect.getsource(import_module(module)), (
        f"pyproject.toml names the group of {group}: follow it"
    )


def test_stages_are_the_ones_that_are_guarded() -> None:
    from mlflow.entities.model_registry import model_version_stages as stages

    assert set(stages.ALL_STAGES) == {"None", "Staging", "Production", "Archived"}
    assert stages.STAGE_DELETED_INTERNAL == "Deleted_Internal", (
        "database/tables.py and store/changes.py leave it out"
    )
