"""What `resnet-ops doctor` looks at of the monitor: inference log, alert addresses, settings. It changes nothing."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from resnet_ops.doctor import Finding, examined
from resnet_ops.extras import EXTRAS

__all__ = ["monitoring_checks"]

PARAMS = Path("params.yaml")


def monitoring_checks() -> Iterator[Finding]:
    """Findings about what the monitor reads and whom it tells; none where its extra is not installed."""
    if any(find_spec(name) is None for name, extra in EXTRAS.items() if extra == "monitoring"):
        return
    yield examined("inference log", _log)
    yield examined("alerts", _alerts)
    if PARAMS.exists():
        yield examined("monitor settings", _settings)


def _log() -> str:
    from resnet_ops_monitoring.inference_log.log import InferenceLog

    said = os.environ.get("RESNET_OPS_INFERENCE_LOG")
    if said is None and not Path("var/inference.db").exists():
        return "var/inference.db: not there yet, made on first use"
    log = InferenceLog.open()
    try:
        return f"{log.place}: {int(log.summary()['rows'].sum()):,} rows"
    finally:
        log.close()


def _alerts() -> str:
    from resnet_ops_monitoring.service.alerts import FILE, URLS, configured_addresses

    many = len(configured_addresses())
    return f"{many} address(es)" if many else f"nobody is told; name addresses in {URLS} or {FILE}"


def _settings() -> str:
    from resnet_ops_monitoring.settings.service import read_monitor_settings

    read_monitor_settings(PARAMS)
    return f"those under monitor in {PARAMS} can be read"
