"""Asking the registry for the way back."""

from resnet_ops.errors import ServiceError
from resnet_ops_registry.client.attesting import UNGATED
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import judged
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.gate.rollback import ROLLBACK_TAG

__all__ = ["roll_back"]


def roll_back(model: str, alias: str) -> tuple[int, str]:
    """Give the alias back to the last version that held it and still passes; gives that version and the alias.

    One request: the server chooses, judges and records. Raises GateDenied with the reason when there is none that
    passes; ServiceError when the server has no gate.
    """
    wanted, client = Target.named(alias), connect()
    with judged(f"Rolling {model} back", f"See who held it: resnet-ops ledger show --model {model}"):
        client.set_registered_model_tag(model, ROLLBACK_TAG, wanted.name)
        found = client.get_registered_model(model)
        if ROLLBACK_TAG in found.tags:
            client.delete_registered_model_tag(model, ROLLBACK_TAG)
            raise ServiceError(UNGATED)
    return next(
        (int(number), each)
        for each, number in found.aliases.items()
        if Target(kind="alias", name=each).same_as(wanted)
    )
