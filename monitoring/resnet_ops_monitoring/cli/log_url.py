"""Which inference log a server writes to: from its option, or else the environment."""

from typing import Annotated

import typer

__all__ = ["Log", "log_url"]

_LOG = "RESNET_OPS_INFERENCE_LOG"
Log = Annotated[
    str,
    typer.Option(
        help=f"The inference log's database, without a password; else {_LOG}, else var/inference.db."
    ),
]


def log_url(option: str) -> str:
    """The database's URL. Raises ConfigError for an option with a password."""
    from resnet_ops.errors import ConfigError
    from resnet_ops_monitoring.inference_log.database import configured_url
    from resnet_ops_registry.common.settings import mask_password

    if mask_password(option) != option:
        raise ConfigError(
            f"Every process on this machine can read a password on a command line. Set {_LOG} instead."
        )
    return option or configured_url()
