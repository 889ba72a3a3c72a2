"""What people see: one console, and errors as one message instead of a traceback."""

import errno
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich import progress
from rich.console import Console

from resnet_ops.errors import ResnetOpsError

__all__ = ["Progress", "console", "progress_bar", "report_errors"]

Progress = Callable[[int, int], None]
"""Takes the number of steps done and of steps in all."""

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)

_DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM}


@contextmanager
def report_errors(task: str = "") -> Iterator[None]:
    """Print an expected error as one message on stderr, after `task`, and exit with status 1."""
    prefix = f"{task}: " if task else ""
    try:
        yield
    except ResnetOpsError as error:
        message = str(error)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        # the second name is where a copy should go; without one it is one of the places where files are written
        where = error.filename2 or error.filename or f"a file in {Path.cwd()} or {tempfile.gettempdir()}"
        message = (
            f"Cannot use {where}: {error.strerror}. "
            "Free some space or change its permissions, then run the same command again."
        )
    except KeyboardInterrupt:
        message = "Stopped. Nothing half-written was kept; run the same command again to continue."
    else:
        return
    sys.stderr.write(f"{prefix}{message}\n")
    raise SystemExit(1)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A progress bar on a terminal, nothing elsewhere; yields what moves it."""
    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn())
    bar = progress.Progress(*columns, progress.TimeRemainingColumn(), console=console, transient=True)
    bar.disable = not console.is_terminal
    with bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
