"""Who is asking."""

import getpass
import sys
import time

__all__ = ["actor", "now"]


def actor() -> str:
    """The user of MLflow's basic-auth in a server's request; else the user of the operating system."""
    flask = sys.modules.get("flask")
    if flask is not None and flask.has_request_context():
        # set by basic-auth once it has checked the password; the header alone is anybody's claim
        user = getattr(flask.g, "mlflow_authenticated_user", None)
        return str(user)[:250] if user else f"anonymous at {flask.request.remote_addr or 'unknown address'}"
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
