"""Give a version an alias, through MLflow and so through the gate."""

from resnet_ops.errors import ConfigError, GateDenied
from resnet_ops_registry.mlflow_errors import reported
from resnet_ops_registry.settings import connect

__all__ = ["promote"]


def promote(registered_model: str, version: int, alias: str) -> None:
    """Set an alias. Raises GateDenied with the gate's reason, and the alias is then where it was.

    ConfigError when there is no such model or version; ServiceError when MLflow fails.
    """
    from mlflow.exceptions import MlflowException

    client, name = connect(), alias.removeprefix("@")
    with reported(f"Promoting {registered_model} v{version}"):
        try:
            client.set_registered_model_alias(registered_model, name, str(version))
        except MlflowException as error:
            if error.error_code == "RESOURCE_CONFLICT":
                raise GateDenied(
                    f"{error.message} See every rule: resnet-ops gate explain {registered_model} {version}"
                ) from error
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise ConfigError(
                    f"{error.message.rstrip('.')}. See what there is: resnet-ops registry ls"
                ) from error
            raise
