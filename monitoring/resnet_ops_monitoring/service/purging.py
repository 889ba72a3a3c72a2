"""Rows that are old enough are deleted, which the ledger tells; younger ones only with an operator's signature."""

from datetime import datetime, timedelta

from resnet_ops.errors import ConfigError
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_registry.attestations import authority
from resnet_ops_registry.attestations.keys import PrivateKey
from resnet_ops_registry.attestations.trust import operators
from resnet_ops_registry.common.actor import actor
from resnet_ops_registry.common.settings import is_http, registry_uri
from resnet_ops_registry.database import ledger
from resnet_ops_registry.database.ledger import Event
from resnet_ops_registry.database.tables import open_database

__all__ = ["purge"]

_ACTION = "log purged"


def purge(
    log: InferenceLog, moment: datetime, *, keep_days: float, by: PrivateKey | None, why: str, now: datetime
) -> tuple[int, bool]:
    """Delete all rows from before a moment; returns how many, and whether the ledger has it.

    The ledger has it first, so that no row goes without. Where the registry is reached through a server, only its
    operator can write there: then rows older than `keep_days` are deleted all the same, and it is for the caller to say
    so. Raises ConfigError for younger ones without a reason or the signature of an operator whom the registry trusts;
    then nothing is deleted.
    """
    young = moment > now - timedelta(days=keep_days)
    detail = {"before": moment.isoformat(), "rows": log.count_before(moment), "log": log.place}
    if young:
        what = f"Rows younger than {keep_days:g} days are to be kept"
        _sign(detail | {"keep_days": keep_days, "why": why}, by, what)
    elif not is_http(registry_uri()):
        with open_database() as connection:
            ledger.append(connection, Event(actor(), _ACTION, "recorded", detail=detail))
    recorded = young or not is_http(registry_uri())
    return log.forget(moment), recorded


def _sign(detail: dict[str, object], by: PrivateKey | None, what: str) -> None:
    if not str(detail["why"]).strip():
        raise ConfigError(f"{what} (monitor.keep_days). Say why they go all the same: --why TEXT --key NAME")
    with open_database() as connection:
        trusted = operators(connection)
        if not trusted:
            raise ConfigError(
                f"{what}, so an operator must sign, and no operator's key is trusted. Make one: resnet-ops keys new "
                "NAME; then on the registry's machine: resnet-ops keys trust FILE --role operator"
            )
        authority.record(connection, _ACTION, detail, by, trusted, what=what)
