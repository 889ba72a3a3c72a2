"""A new SQLite database for MLflow: whole, or not there.

MLflow makes its tables in dozens of migrations. A process that is killed between two of them, or meets a full disk,
would leave a file that no later start can use; so they are made under another name.
"""

import os
from pathlib import Path

import psutil

__all__ = ["make_database"]


def make_database(path: Path) -> None:
    """Make MLflow's tables at `path`; a database that another process has put there meanwhile is kept.

    Raises OSError or sqlite3.Error when it cannot be written; then nothing is at `path`.
    """
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.exc import DBAPIError

    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        SqlAlchemyStore(f"sqlite:///{part}").engine.dispose()  # type: ignore[no-untyped-call]
        os.link(part, path)
    except FileExistsError:
        pass
    except DBAPIError as error:
        raise error.orig or error from error
    finally:
        for file in (part, part.with_name(f"{part.name}-journal")):
            file.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what killed processes left of theirs."""
    for file in path.parent.glob(f".{path.name}.*.part*"):
        process = file.name.partition(".part")[0].rpartition(".")[2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            file.unlink(missing_ok=True)
