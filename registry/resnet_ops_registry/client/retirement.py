"""Taking a version out of use, and bringing it back."""

from datetime import UTC, datetime

from resnet_ops_registry.attestations.keys import PrivateKey
from resnet_ops_registry.attestations.predicates import Retirement, spoken
from resnet_ops_registry.client.attesting import attest
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import reported

__all__ = ["retire", "unretire"]


def retire(model: str, version: int, why: str, key: PrivateKey) -> list[str]:
    """Have the gate refuse a version from now on, then take its aliases and stage off. Gives what was taken off.

    In this order, so that a call that was cut short leaves nothing that could come back; call it again to finish.
    """
    client = connect()
    retirement = spoken(Retirement, retired=True, why=why, created=datetime.now(UTC))
    found = attest(client, model, version, retirement, key)
    with reported(f"Retiring {model} v{version}"):
        aliases = client.get_registered_model(model).aliases
        taken = sorted(alias for alias, number in aliases.items() if int(number) == version)
        for alias in taken:
            client.delete_registered_model_alias(model, alias)
        stage = found.current_stage
        if stage in ("Staging", "Production"):
            client.transition_model_version_stage(model, str(version), "Archived")
            return [*(f"@{alias}" for alias in taken), f"stage {stage}"]
    return [f"@{alias}" for alias in taken]


def unretire(model: str, version: int, why: str, key: PrivateKey) -> None:
    """Let the gate judge a version by its evidence again; only an operator's key can."""
    retirement = spoken(Retirement, retired=False, why=why, created=datetime.now(UTC))
    attest(connect(), model, version, retirement, key)
