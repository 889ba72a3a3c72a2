"""MLflow registry plugin: the promotion gate with its policies, attestations, ledger and lineage.

The names below are imported when they are first used: `import resnet_ops_registry` itself is light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resnet_ops_registry.evidence import Evidence, Metric, Source, metrics_from
    from resnet_ops_registry.gate import Verdict, check, check_all
    from resnet_ops_registry.loading import LoadedModel, load
    from resnet_ops_registry.promotion import promote
    from resnet_ops_registry.publish import Published, publish
    from resnet_ops_registry.settings import connect, ensure_experiment

__all__ = [
    "Evidence",
    "LoadedModel",
    "Metric",
    "Published",
    "Source",
    "Verdict",
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
    "Evidence": "evidence",
    "LoadedModel": "loading",
    "Metric": "evidence",
    "Published": "publish",
    "Source": "evidence",
    "Verdict": "gate",
    "check": "gate",
    "check_all": "gate",
    "connect": "settings",
    "ensure_experiment": "settings",
    "load": "loading",
    "metrics_from": "evidence",
    "promote": "promotion",
    "publish": "publish",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
