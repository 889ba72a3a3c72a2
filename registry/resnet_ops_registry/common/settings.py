"""Where things lie: the tracking server, the registry and the keys, from the environment."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from resnet_ops.errors import ConfigError

__all__ = [
    "EXPERIMENT",
    "GATED_SCHEME",
    "STATE",
    "WRITE_ONCE_SCHEME",
    "artifacts_destination",
    "database_uri",
    "is_direct",
    "is_http",
    "keys_folder",
    "mask_password",
    "prepare_environment",
    "registry_uri",
    "tracking_uri",
    "ui_address",
]

GATED_SCHEME = "gated:"
WRITE_ONCE_SCHEME = "write-once:"
EXPERIMENT = os.environ.get("DVC_EXP_NAME") or None
"""The DVC experiment that this process is a stage of, which changes nothing in production; None outside of one."""
STATE = Path(os.path.relpath(os.environ.get("DVC_ROOT") or ".")) / "var" if EXPERIMENT else Path("var")
"""Where databases, artifacts and keys lie; an experiment in a folder of its own uses those of its project."""
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


# a password with a blank, which SQLAlchemy takes as it is; a port is none, and a sentence follows a web server's alone
_BLANK = re.compile(
    r"((?<!http)(?<!https)://[^\s:/@]*:(?!\d+(?:[/?#]|$))|://[^\s:/@]*:(?!\d+(?:[/?#\s]|$)))"
    r"(?:(?!://)[^\s@])*[ \t](?:(?!://)[^@\n])*(?=@)"
)


def prepare_environment() -> None:
    """Switch off telemetry, pickles and chatter, unless the user said otherwise. Call before `import mlflow`."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the project's own database under var/."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{STATE}/mlflow.db"


def registry_uri() -> str:
    """MLFLOW_REGISTRY_URI; without it the tracking server, or the project's database behind the gate."""
    explicit = os.environ.get("MLFLOW_REGISTRY_URI")
    if explicit:
        return explicit
    return tracking_uri() if is_http(tracking_uri()) else GATED_SCHEME + tracking_uri()


def keys_folder() -> Path:
    """RESNET_OPS_KEYS, or var/keys: where private keys lie."""
    return Path(os.environ.get("RESNET_OPS_KEYS") or STATE / "keys")


def is_direct() -> bool:
    """Whether the registry is reached as a database, without a server between."""
    return not is_http(registry_uri())


def database_uri() -> str:
    """The registry's database as SQLAlchemy writes it. Raises ConfigError when only a server is known."""
    uri = registry_uri()
    if is_http(uri):
        raise ConfigError(
            f"The registry is reached through {mask_password(uri)}, but this command needs its database. Run it "
            "on the server with MLFLOW_REGISTRY_URI=gated:<database URI>, or unset MLFLOW_TRACKING_URI."
        )
    return uri.removeprefix(GATED_SCHEME)


def artifacts_destination() -> str | None:
    """Where the server keeps its artifacts: inside of the server its own setting, else RESNET_OPS_ARTIFACTS.

    Without either, var/artifacts, where `resnet-ops ui` keeps them; None where there is no such folder.
    """
    told = os.environ.get("_MLFLOW_SERVER_ARTIFACT_DESTINATION") or os.environ.get("RESNET_OPS_ARTIFACTS")
    if told:
        return told
    folder = STATE / "artifacts"
    return folder.resolve().as_uri() if folder.is_dir() else None


def mask_password(text: str) -> str:
    """The text with `***` for each password in its URLs or libpq's words: between `:` and the last `@`, or after
    `password=`.
    """
    return "".join(_mask_word(word) for word in re.split(r"(\s+)", _BLANK.sub(r"\1***", text)))


def _mask_word(word: str) -> str:
    head, found, rest = word.partition("://")
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    if found and at and colon and "/" not in user:
        word = f"{head}://{user}:***@{place}"
    return re.sub(r"(?i)((?:^|[?&:])\w*(?:password|passwd|pwd|secret|token)=)[^&#\s'\")]+", r"\1***", word)


def ui_address(configured: str) -> str:
    """Where people open MLflow: `configured`, unless that is this machine while another server is used.

    With the server's prefix, without a slash at the end, name or password.
    """
    local = urlsplit(configured).hostname in ("127.0.0.1", "::1", "localhost")
    used = urlsplit(tracking_uri() if local and is_http(tracking_uri()) else configured)
    return urlunsplit(used._replace(netloc=used.netloc.rpartition("@")[2])).rstrip("/")


def is_http(uri: str) -> bool:
    """Whether a URI names a server."""
    return uri.lower().startswith(("http://", "https://"))
