"""MLflow registry plugin: the promotion gate with its policies, attestations, ledger and lineage.

The names below are imported when they are first used: `import resnet_ops_registry` itself is light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resnet_ops_registry.attestations.evidence import Evidence, Metric, Source, metrics_from
    from resnet_ops_registry.client.loading import LoadedModel, load
    from resnet_ops_registry.client.promotion import promote
    from resnet_ops_registry.client.publish import Published, publish
    from resnet_ops_registry.client.team_evidence import attest_evidence
    from resnet_ops_registry.common.connection import connect, ensure_experiment
    from resnet_ops_registry.gate.gate import Verdict, check, check_all

__all__ = [
    "Evidence",
    "LoadedModel",
    "Metric",
    "Published",
    "Source",
    "Verdict",
    "attest_evidence",
    "check",
    "check_all",
    "connect",
    "ensure_experiment",
    "load",
    "metrics_from",
    "promote",
    "publish",
]

_MODULES = {
    "Evidence": "attestations.evidence",
    "LoadedModel": "client.loading",
    "Metric": "attestations.evidence",
    "Published": "publish",
    "Source": "attestations.evidence",
    "Verdict": "gate.gate",
    "attest_evidence": "client.team_evidence",
    "check": "gate.gate",
    "check_all": "gate.gate",
    "connect": "common.connection",
    "ensure_experiment": "common.connection",
    "load": "client.loading",
    "metrics_from": "attestations.evidence",
    "promote": "client.promotion",
    "publish": "client.publish",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
