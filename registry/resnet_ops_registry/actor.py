"""Who is asking."""

import getpass
import sys
import time

__all__ = ["actor", "now"]


def actor() -> str:
    """The user of MLflow's basic-auth in a server's request; else the user of the operating system."""
    flask = sys.modules.get("flask")
    if flask is not None and flask.has_request_context():
        login = flask.request.authorization
        if login is not None and login.username:
            return str(login.username)[:250]
        return f"anonymous at {flask.request.remote_addr or 'unknown address'}"
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
