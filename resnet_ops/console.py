"""What people see: one console, and errors as one message instead of a traceback."""

import errno
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rich import progress
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from resnet_ops.errors import ResnetOpsError, ServiceError, StorageError
from resnet_ops.extras import needed_by
from resnet_ops.messages import Progress, plain

__all__ = ["console", "explain_imports", "progress_bar", "report_errors"]


class _PlainConsole(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else plain(text), style, control)


console = _PlainConsole(
    markup=False, emoji=False, highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120
)

_DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM}


@contextmanager
def report_errors(task: str = "") -> Iterator[None]:
    """Print an expected error as one message on stderr, after `task`, and exit with status 1.

    A package that is missing here is expected where one of the extras brings it.
    """
    prefix = f"{task}: " if task else ""
    try:
        yield
    except (ServiceError, StorageError) as error:
        message = f"{error} What is set up wrong: resnet-ops doctor"
    except ResnetOpsError as error:
        message = str(error)
    except ModuleNotFoundError as error:
        needed = needed_by(task or "This command", error)
        if needed is None:
            raise
        prefix, message = "", needed
    except OSError as error:
        if error.errno not in _DISK_ERRORS and error.filename is None:
            raise
        # the second name is where a copy should go; without one it is one of the places where files are written
        where = error.filename2 or error.filename or f"a file in {Path.cwd()} or {tempfile.gettempdir()}"
        remedy = (
            "Free some space or change its permissions" if error.errno in _DISK_ERRORS else "Name another"
        )
        message = f"Cannot use {where}: {error.strerror}. {remedy}, then run the same command again."
    except KeyboardInterrupt:
        message = "Stopped. Nothing half-written was kept; run the same command again to continue."
    else:
        return
    sys.stderr.write(plain(f"{prefix}{message}\n"))
    raise SystemExit(1)


def explain_imports() -> None:
    """For a script: end it with one message where an import at its top needs one of the extras, which is not here."""

    def explained(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        message = needed_by(Path(sys.argv[0]).stem, error)
        if message is None:
            sys.__excepthook__(kind, error, trace)
        else:
            sys.stderr.write(f"{message}\n")

    sys.excepthook = explained


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A progress bar on a terminal, nothing elsewhere; yields what moves it."""
    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn())
    bar = progress.Progress(*columns, progress.TimeRemainingColumn(), console=console, transient=True)
    bar.disable = not console.is_terminal
    with bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
