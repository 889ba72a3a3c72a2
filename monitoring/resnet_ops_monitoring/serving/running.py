"""A server that runs, asked from another process."""

import threading
from collections.abc import Callable
from typing import Any

from resnet_ops.errors import ConfigError, ServiceError
from resnet_ops_monitoring.serving.server import TOKEN
from resnet_ops_registry.common.settings import mask_password

__all__ = ["ask_status", "asking"]

_PATIENCE = 10.0  # seconds


def asking(url: str) -> Callable[[str, dict[str, str], bytes], int]:
    """What asks the server to score an image: query string, headers, body -> the status; 0 where nobody answers."""
    import requests

    token, mine = TOKEN.read(), threading.local()
    authorised = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask(query: str, headers: dict[str, str], body: bytes) -> int:
        if not hasattr(mine, "session"):  # a connection for each thread
            mine.session = requests.Session()
        where = f"{url.rstrip('/')}/v1/score?{query}"
        try:
            answer = mine.session.post(where, data=body, headers=headers | authorised, timeout=_PATIENCE)
        except requests.RequestException:
            return 0
        return int(answer.status_code)

    return ask


def ask_status(url: str) -> dict[str, Any]:
    """The content of `answer.Status`. Raises ServiceError where no such server answers, ConfigError for its token."""
    import requests

    token = TOKEN.read()
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    where = mask_password(url)
    try:
        answer = requests.get(url.rstrip("/") + "/v1/status", headers=headers, timeout=_PATIENCE)
        if answer.status_code == 401:
            raise ConfigError(f"The server at {where} wants another token. Set {TOKEN.variable}.")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found
    except (requests.RequestException, ValueError) as error:
        raise ServiceError(
            f"No server of resnet-ops answers at {where} ({type(error).__name__}). Start it: resnet-ops serve "
            "models:/NAME@ALIAS"
        ) from None
