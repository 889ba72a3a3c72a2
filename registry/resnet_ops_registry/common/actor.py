"""Who is asking."""

import getpass
import sys
import time

__all__ = ["UNVERIFIED", "actor", "now", "promoter", "verified_actor"]


UNVERIFIED = ""
"""A promoter of whom no login says who it is: nobody whom a rule may count is known to be somebody else."""


def actor() -> str:
    """The user of MLflow's basic-auth in a server's request; else the user of the operating system."""
    flask = sys.modules.get("flask")
    if flask is not None and flask.has_request_context():
        return verified_actor() or f"anonymous at {flask.request.remote_addr or 'unknown address'}"
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def verified_actor() -> str | None:
    """Who asks, where a login was checked: neither without one, nor in direct use, where `$LOGNAME` says anything."""
    flask = sys.modules.get("flask")
    if flask is None or not flask.has_request_context():
        return None
    # set by basic-auth once it has checked the password; the header alone is anybody's claim
    user = getattr(flask.g, "mlflow_authenticated_user", None)
    return str(user)[:250] if user else None


def promoter() -> str:
    """Who asks for an alias, as rules that count people need to know it; else UNVERIFIED."""
    return verified_actor() or UNVERIFIED


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
