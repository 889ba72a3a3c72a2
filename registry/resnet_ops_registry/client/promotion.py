"""Give a version an alias, through MLflow and so through the gate."""

from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import judged

__all__ = ["promote"]


def promote(registered_model: str, version: int, alias: str) -> None:
    """Set an alias. Raises GateDenied with the gate's reason, and the alias is then where it was.

    ConfigError when there is no such model or version; ServiceError when MLflow fails.
    """
    client = connect()
    see = f"See every rule: resnet-ops gate explain {registered_model} {version}"
    with judged(f"Promoting {registered_model} v{version}", see):
        client.set_registered_model_alias(registered_model, alias.removeprefix("@"), str(version))
