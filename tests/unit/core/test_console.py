"""What people see: an expected error is one message, an unexpected one keeps its traceback."""

import errno
import io
import re
import tempfile
from pathlib import Path

import pytest
from rich.console import Console

from resnet_ops import console as console_module
from resnet_ops import errors
from resnet_ops.console import progress_bar, report_errors

EXPECTED = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.ResnetOpsError)
]


@pytest.mark.parametrize("error", EXPECTED)
def test_an_expected_error_is_one_line_on_stderr_and_status_1(
    error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught, report_errors("train_model resnet8"):
        raise error("The disk is on fire. Put it out.")
    assert caught.value.code == 1
    printed = capsys.readouterr()
    set_up = error in (errors.ServiceError, errors.StorageError)
    more = " What is set up wrong: resnet-ops doctor" if set_up else ""
    assert printed.err == f"train_model resnet8: The disk is on fire. Put it out.{more}\n"
    assert printed.out == ""


def test_there_are_as_many_expected_errors_as_the_tree_shows() -> None:
    assert errors.__doc__ is not None
    assert len(EXPECTED) == 7
    assert all(error.__name__ in errors.__doc__ for error in EXPECTED)
    assert {error.__name__ for error in EXPECTED} == set(errors.__all__)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        *(
            (
                OSError(number, "No", "/data/file"),
                r"Cannot use /data/file: No. Free .* or change its perm.* again",
            )
            for number in (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM)
        ),
        (OSError(errno.EISDIR, "Is a directory", "/data"), r"Cannot use /data: Is a directory. Name another"),
        (OSError(errno.ENOSPC, "No space", "/models/a", None, "/full/a"), "Cannot use /full/a: No space."),
        (
            OSError(errno.ENOSPC, "No space"),
            f"Cannot use a file in {Path.cwd()} or {tempfile.gettempdir()}: No space.",
        ),
        (KeyboardInterrupt(), "Stopped.*; run the same command again to continue"),
    ],
)
def test_a_disk_that_refuses_and_an_interrupt_are_said_with_the_remedy(
    error: BaseException, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught, report_errors():
        raise error
    assert caught.value.code == 1
    assert re.match(said, capsys.readouterr().err)


@pytest.mark.parametrize(
    "error", [OSError(errno.ECONNREFUSED, "refused"), ValueError("a bug"), KeyError("k")]
)
def test_an_unexpected_error_passes_through(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(type(error)) as caught, report_errors("task"):
        raise error
    assert caught.value is error
    assert capsys.readouterr().err == ""


def test_without_an_error_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with report_errors("task"):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_a_progress_bar_is_drawn_on_a_terminal_only(
    terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console_module, "console", Console(file=screen, force_terminal=terminal, width=80))
    with progress_bar("Reading images") as progress:
        for done in range(1, 4):
            progress(done, 3)
    assert ("Reading images" in screen.getvalue()) == shown
    assert ("3/3" in screen.getvalue()) == shown
