"""What `resnet-ops doctor` looks at of the registry: plugin, server, database, keys. It changes nothing."""

import os
import stat
from collections.abc import Iterator
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from sqlalchemy import make_url, select
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from resnet_ops.doctor import Finding, examined
from resnet_ops.errors import ConfigError, StorageError
from resnet_ops_registry.attestations.keys import list_keys
from resnet_ops_registry.common.probes import probe
from resnet_ops_registry.common.settings import (
    GATED_SCHEME,
    database_uri,
    is_direct,
    is_http,
    keys_folder,
    mask_password,
    prepare_environment,
    registry_uri,
    tracking_uri,
)
from resnet_ops_registry.database import tables
from resnet_ops_registry.operations.server_checkup import gate_of_server, server_settings

__all__ = ["registry_checks"]

PLUGINS = {"mlflow.model_registry_store": "gated", "mlflow.artifact_repository": "write-once"}


def registry_checks() -> Iterator[Finding]:
    """Findings about the registry that the environment names."""
    for group, name in PLUGINS.items():
        yield examined(f"MLflow plugin {name}", partial(_plugin, group, name))
    yield examined("way to the registry", _way)
    places = {tracking_uri(): "MLFLOW_TRACKING_URI"}
    places.setdefault(registry_uri().removeprefix(GATED_SCHEME), "MLFLOW_REGISTRY_URI")
    for uri, variable in places.items():
        answer = examined(variable, partial(_answers, variable, uri))
        yield answer
    if answer.state == "fine":  # the last one is the registry's
        yield (
            examined("registry's tables", _tables)
            if is_direct()
            else examined("server's gate", gate_of_server)
        )
    yield examined("keys", _keys)
    yield from server_settings()
    if os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false").lower() == "true":
        text = "is true: a model file may run any code when it is loaded. Unset it."
        yield Finding("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "note", text)


def _plugin(group: str, name: str) -> str:
    found = [point for point in entry_points(group=group) if point.name == name]
    if len(found) != 1:
        problem = "is not registered" if not found else f"is registered {len(found)} times"
        raise ConfigError(
            f"It {problem}, so an MLflow server would run without the gate. Install again: pip install resnet-ops"
        )
    found[0].load()
    return f"{group}: {found[0].value}"


def _way() -> str:
    """Whether the registry is reached through the gate."""
    uri = registry_uri()
    shown = mask_password(uri)
    if is_http(uri.removeprefix(GATED_SCHEME)) and not is_http(uri):
        raise ConfigError(
            f"MLFLOW_REGISTRY_URI is {shown}, but {GATED_SCHEME} stands before a database alone; a server has its own "
            f"gate. Write {shown.removeprefix(GATED_SCHEME)}"
        )
    if is_http(uri) or uri.startswith(GATED_SCHEME):
        return shown
    raise ConfigError(
        f"MLFLOW_REGISTRY_URI is {shown}, which goes around the gate: nothing would be refused. Write "
        f"{GATED_SCHEME}{shown}"
    )


def _answers(variable: str, uri: str) -> str:
    file = _sqlite_file(uri)
    if file is not None and not file.exists():
        there = next(folder for folder in file.absolute().parents if folder.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise ConfigError(
                f"{file} cannot be made: {there} is no folder that can be written. Move it away, change its "
                f"permissions, or name another place in {variable}."
            )
        return f"{mask_password(uri)}: not there yet, made on first use"
    probe(uri, variable)
    if not is_http(uri):
        _know_tables(uri)
    return f"{mask_password(uri)} answers"


def _know_tables(uri: str) -> None:
    """Raise StorageError where MLflow's tables in a database are not those of the MLflow that is installed."""
    prepare_environment()
    import mlflow
    from mlflow.store.db.utils import _get_latest_schema_revision

    engine = tables.make_engine(uri)
    try:
        with engine.connect() as connection:
            found = tables.revision(connection, "alembic_version")
    finally:
        engine.dispose()
    wanted = _get_latest_schema_revision()  # type: ignore[no-untyped-call]
    if found not in (None, wanted):
        shown = mask_password(uri)
        raise StorageError(
            f"{shown} was written by another MLflow: its tables are of version {found}, and MLflow "
            f"{mlflow.__version__} has {wanted}. If that was older, save a copy and run: mlflow db upgrade {shown}. "
            "If it was newer, install it."
        )


def _sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite database, whatever its driver; None for anything else."""
    try:
        url = make_url(uri)
        name = url.database if url.get_backend_name() == "sqlite" else None
    except (ArgumentError, ValueError, NoSuchModuleError):  # `probe` says what is wrong
        return None
    return Path(name) if name and name != ":memory:" else None


def _tables() -> str:
    uri = database_uri()
    file = _sqlite_file(uri)
    if file is not None and not file.exists():
        return "not there yet, made on first use"
    engine = tables.make_engine(uri)
    try:
        with engine.connect() as connection:
            found = tables.revision(connection)
            if found is None:
                return "not there yet, made on first use"
            trusted = connection.execute(
                select(tables.trusted_keys.c.key_id).where(tables.trusted_keys.c.revoked_at.is_(None))
            ).all()
    finally:
        engine.dispose()
    if found > tables.HEAD:
        raise StorageError(
            f"They are of version {found}, and this release knows up to {tables.HEAD}. Install the release that "
            "wrote them: pip install --upgrade resnet-ops"
        )
    older = "" if found == tables.HEAD else f", brought up to {tables.HEAD} on next use"
    return f"version {found}{older}; {len(trusted)} trusted key(s)"


def _keys() -> str:
    folder = keys_folder()
    if folder.parts[:1] == ("~",):
        raise ConfigError(f"{folder}: nothing stands for ~ there. Write the whole path in RESNET_OPS_KEYS.")
    if not folder.exists():
        return f"none in {folder} yet; the pipeline makes its own on first use"
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file, and keys lie in a folder. Name one in RESNET_OPS_KEYS.")
    if stat.S_IMODE(folder.stat().st_mode) & 0o022:
        raise ConfigError(f"{folder} can be written by others. Run: chmod go-w {folder}")
    names = [key.name for key in list_keys(folder)]
    return f"{', '.join(names) or 'none'} in {folder}"
