"""What `resnet-ops doctor` asks of an MLflow server and of the settings that one starts with. It changes nothing."""

import os
from collections.abc import Iterator

from resnet_ops.doctor import Finding, examined
from resnet_ops.errors import ConfigError, ServiceError
from resnet_ops_registry.attestations.digest import local_folder
from resnet_ops_registry.common.settings import (
    GATED_SCHEME,
    WRITE_ONCE_SCHEME,
    mask_password,
    prepare_environment,
    registry_uri,
)
from resnet_ops_registry.gate.display import EVIDENCE_TAG

__all__ = ["gate_of_server", "server_settings"]

NO_VERSION = str(2**31 - 1)
HAS_IT = "INVALID_PARAMETER_VALUE"
UNKNOWN = {
    "": "has no model yet, so the gate was not asked",
    "PERMISSION_DENIED": "lets this account change no model, so the gate was not asked",
}
PROBLEMS = {
    "RESOURCE_DOES_NOT_EXIST": "runs without the gate: it refuses nothing. Start it with --registry-store-uri "
    f"{GATED_SCHEME}<database URI>",
    "UNAUTHENTICATED": "asks for a login. Set or correct MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
}


def gate_of_server() -> str:
    """Whether the registry's server has the gate.

    The gate alone refuses to take off a tag that it keeps for itself, whatever carries it. No version has the number
    asked for, so nothing changes on any server. Raises ServiceError where there is no gate, or no MLflow.
    """
    uri = registry_uri()
    shown, answer = mask_password(uri), _answer(uri)
    if answer == HAS_IT:
        return f"{shown} has it"
    if answer in UNKNOWN:
        return f"{shown} {UNKNOWN[answer]}"
    problem = PROBLEMS.get(answer, f"does not answer as MLflow does ({answer}). Correct its address")
    raise ServiceError(f"{shown} {problem}.")


def _answer(uri: str) -> str:
    """MLflow's code for what it answers; empty where there is no model to ask about."""
    prepare_environment()
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # by itself its client asks on for minutes
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        models = client.search_registered_models(max_results=1)
        if models:
            client.delete_model_version_tag(models[0].name, NO_VERSION, EVIDENCE_TAG)
    except MlflowException as error:
        return str(error.error_code)
    return "no error" if models else ""


def server_settings() -> Iterator[Finding]:
    """Findings about the settings that `mlflow server` reads, and about where its artifacts are said to lie."""
    name = "MLFLOW_REGISTRY_STORE_URI"
    backend, store = os.environ.get("MLFLOW_BACKEND_STORE_URI"), os.environ.get(name)
    if store and not store.startswith(GATED_SCHEME):
        shown = _shown(store)
        text = f"is {shown}: an MLflow server that starts with it has no gate. Write {GATED_SCHEME}{shown}"
        yield Finding(name, "wrong", text)
    elif backend and not store:
        text = (
            "is not set, but MLFLOW_BACKEND_STORE_URI is: an MLflow server that starts so has no gate. Set it to "
            f"{GATED_SCHEME}{_shown(backend)}, or name that by --registry-store-uri."
        )
        yield Finding(name, "note", text)
    if os.environ.get("RESNET_OPS_ARTIFACTS"):
        yield examined("RESNET_OPS_ARTIFACTS", _artifacts)


def _shown(uri: str) -> str:
    """Without passwords; not at all where it is no URI, and nobody knows which part is one."""
    return mask_password(uri) if "://" in uri else "URI"


def _artifacts() -> str:
    """A folder on another machine, or in a store, is not looked at."""
    told = os.environ["RESNET_OPS_ARTIFACTS"]
    folder = local_folder(told.removeprefix(WRITE_ONCE_SCHEME))
    if folder is not None and not folder.is_dir():
        raise ConfigError(
            f"{folder} is no folder, so the files of models cannot be read. Name what the server's "
            "--artifacts-destination names."
        )
    return mask_password(told)
