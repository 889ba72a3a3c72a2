"""Monitoring of production inference: log, scorer, reference, drift verdicts and reports.

The names below are imported when they are first used: `import resnet_ops_monitoring` itself is light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resnet_ops_monitoring.inference_log.client.writer import Sampling, Writer, open_writer

__all__ = ["Sampling", "Writer", "open_writer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.inference_log.client.writer"), name)
