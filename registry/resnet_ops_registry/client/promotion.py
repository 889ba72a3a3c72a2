"""Give a version an alias, through MLflow and so through the gate."""

from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import judged
from resnet_ops_registry.common.settings import is_direct

__all__ = ["promote"]


def promote(registered_model: str, version: int, alias: str) -> None:
    """Set an alias. Raises GateDenied with the gate's reason, and the alias is then where it was.

    ConfigError when there is no such model or version; ServiceError when MLflow fails.
    """
    client = connect()
    where = "" if is_direct() else ", on the server's machine"
    see = f"See every rule: resnet-ops gate explain {registered_model} {version}{where}"
    with judged(f"Promoting {registered_model} v{version}", see):
        client.set_registered_model_alias(registered_model, alias.removeprefix("@"), str(version))
