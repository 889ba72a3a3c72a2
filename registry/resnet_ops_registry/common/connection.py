"""A client of MLflow, once what the settings name is known to answer.

Importing this module is cheap; mlflow is imported by `connect` alone, with telemetry switched off before.
"""

import logging
import os
from typing import TYPE_CHECKING

from resnet_ops.errors import ConfigError
from resnet_ops_registry.common.distinct import distinct
from resnet_ops_registry.common.mlflow_errors import reported
from resnet_ops_registry.common.probes import probe
from resnet_ops_registry.common.settings import (
    GATED_SCHEME,
    STATE,
    is_http,
    prepare_environment,
    registry_uri,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["connect", "ensure_experiment"]


def connect() -> "MlflowClient":
    """A client on the configured tracking server and registry, once both are known to answer.

    Makes SQLite databases that are missing. Raises ConfigError for a URI that is none, ServiceError when a server
    or database does not answer within seconds, StorageError when a database file cannot be written.
    """
    tracking, registry = tracking_uri(), registry_uri()
    prepare_environment()
    # it would log a traceback of everything that it raises as well
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    probe(tracking, "MLFLOW_TRACKING_URI")
    if registry.removeprefix(GATED_SCHEME) != tracking:
        probe(registry.removeprefix(GATED_SCHEME), "MLFLOW_REGISTRY_URI")
    import mlflow

    before = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    mlflow.set_tracking_uri(tracking)
    mlflow.set_registry_uri(registry)
    for name, value in before.items():
        # mlflow writes both into the environment, where the next call would mistake them for the user's wish
        os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
    with reported("Opening MLflow"):
        return mlflow.MlflowClient(tracking_uri=tracking, registry_uri=registry)


def ensure_experiment(client: "MlflowClient", name: str) -> str:
    """The id of the experiment called `name`, made where missing.

    On a local database its artifacts go to var/artifacts; a server decides for itself.
    """
    from mlflow.exceptions import MlflowException

    location = (
        None if is_http(tracking_uri()) else (STATE / "artifacts" / distinct(name, 200)).resolve().as_uri()
    )
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        raise ConfigError(
            f"The MLflow experiment {name!r} was deleted. Restore it in the UI, or choose a new name."
        )
    return str(experiment.experiment_id)
