"""What `resnet-ops doctor` looks at of the monitor: inference log, alert addresses, settings. It changes nothing."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from resnet_ops.doctor import Finding, examined
from resnet_ops.errors import ConfigError
from resnet_ops.extras import EXTRAS
from resnet_ops_registry.common.settings import mask_password

__all__ = ["monitoring_checks"]

PARAMS = Path("params.yaml")


def monitoring_checks() -> Iterator[Finding]:
    """Findings about what the monitor reads and whom it tells; none where its extra is not installed."""
    if any(find_spec(name) is None for name, extra in EXTRAS.items() if extra == "monitoring"):
        return
    yield examined("inference log", _log)
    yield examined("spool", _spool)
    yield examined("alerts", _alerts)
    if PARAMS.exists():
        yield examined("monitor settings", _settings)


def _log() -> str:
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError

    from resnet_ops_monitoring.inference_log.database import configured_url, explain, inferences, parse
    from resnet_ops_monitoring.inference_log.log import InferenceLog
    from resnet_ops_monitoring.inference_log.revisions import HEAD, revision

    url = parse(configured_url())
    place = mask_password(url.render_as_string())
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        return f"{place}: not there yet, made on first use"
    try:
        engine = create_engine(url)
        with engine.connect() as connection:
            there, found = inspect(connection).has_table(inferences.name), revision(connection)
        engine.dispose()
    except DBAPIError as error:
        raise explain(error, "open", url) from None
    except (NoSuchModuleError, ModuleNotFoundError):
        raise ConfigError(f"{place}: no driver for {url.get_backend_name()} is installed here.") from None
    if not there:
        return f"{place}: no log there yet, made on first use"
    if found is None or found < HEAD:
        return f"{place}: of an earlier resnet-ops, brought up to date on first use"
    InferenceLog.open().close()  # nothing is missing, so nothing is made
    return f"{place} answers"


def _spool() -> str:
    """Where rows wait while the log's database is away: on a disk of this machine, or they are lost."""
    from resnet_ops_monitoring.inference_log.client.spool import spool_root

    root = spool_root()
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(
            f"Rows could not wait in {root}: {there} is no folder that can be written. Move it away, change its "
            "permissions, or name another in RESNET_OPS_INFERENCE_SPOOL."
        )
    return f"rows wait in {root} while the log is away"


def _alerts() -> str:
    from resnet_ops_monitoring.service.alerts import FILE, URLS, configured_addresses

    many = len(configured_addresses())
    return f"{many} address(es)" if many else f"nobody is told; name addresses in {URLS} or {FILE}"


def _settings() -> str:
    from resnet_ops_monitoring.settings.service import read_monitor_settings

    read_monitor_settings(PARAMS)
    return f"those under monitor in {PARAMS} can be read"
