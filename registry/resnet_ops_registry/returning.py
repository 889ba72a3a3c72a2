"""Which earlier champion a rollback goes to, and asking the registry for it."""

from sqlalchemy import Connection, select

from resnet_ops.errors import EvidenceError, ServiceError
from resnet_ops_registry import database
from resnet_ops_registry.actor import promoter
from resnet_ops_registry.gate import hash_files, judge
from resnet_ops_registry.mlflow_errors import judged
from resnet_ops_registry.rollback import earlier_champions, rolling_back
from resnet_ops_registry.settings import connect
from resnet_ops_registry.speaking import UNGATED
from resnet_ops_registry.target import Target

__all__ = ["ROLLBACK_TAG", "choose_earlier", "roll_back"]

ROLLBACK_TAG = "resnet_ops.rollback"
"""Set on a registered model, it asks the gate for a rollback of the alias that is its value; it is never kept."""


def choose_earlier(connection: Connection, workspace: str, model: str, alias: str) -> tuple[str, int]:
    """The alias as it is spelled, and the last version that held it and passes now.

    Where none passes, the last one: setting it is refused, with the reasons, and that is in the ledger. Raises
    EvidenceError when no other version ever held it.
    """
    target = Target.named(alias)
    _, aliases = database.model_tables()
    here = (aliases.c.workspace == workspace, aliases.c.name == model)
    rows = connection.execute(select(aliases.c.alias, aliases.c.version).where(*here)).all()
    holding = [(str(row.alias), int(row.version)) for row in rows if _target(row.alias).same_as(target)]
    name, current = next(
        (each for each in holding if each[0] == target.name), holding[0] if holding else (target.name, None)
    )
    earlier = earlier_champions(connection, workspace, model, target, current)
    if not earlier:
        raise EvidenceError(
            f"No other version of {model} held {target.label} before, as far as the ledger knows: it writes down "
            "what a policy guards. Promote one: resnet-ops promote MODEL VERSION ALIAS"
        )
    with rolling_back():
        for version in earlier:
            if judge(connection, version, _target(name), hash_files(version), promoter()).allowed:
                return name, version.version
    return name, earlier[0].version


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
        (int(number), each) for each, number in found.aliases.items() if _target(each).same_as(wanted)
    )


def _target(alias: str) -> Target:
    return Target(kind="alias", name=alias)
