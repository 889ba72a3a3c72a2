"""The command line as it is installed, with a plugin of its own beside the installed commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`

PLUGIN = '''
"""Commands that end in every way."""

from resnet_ops.errors import DataError, GateDenied


def add_commands(app):
    @app.command("fine")
    def fine() -> None:
        """Say hello."""
        print("hello")

    @app.command("broken-data")
    def broken_data() -> None:
        raise DataError("images.npy is cut off. Run: dvc repro")

    @app.command("denied")
    def denied() -> None:
        raise GateDenied("digits v3 may not become @champion")

    @app.command("disk-full")
    def disk_full() -> None:
        with open("/dev/full", "w") as file:
            file.write("x")

    @app.command("bug")
    def bug() -> None:
        raise RuntimeError("a bug")
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds an installed package with an entry point in group `resnet_ops.commands`."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "plugin_of_a_test.py").write_text(PLUGIN)
    info = folder / "plugin_of_a_test-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin-of-a-test\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[resnet_ops.commands]\ntest = plugin_of_a_test:add_commands\n")
    return folder


def run(plugin: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).parent / "resnet-ops"
    return subprocess.run(
        [command, *arguments],
        env={**os.environ, "PYTHONPATH": str(plugin), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_answers_with_the_commands_of_every_installed_package(plugin: Path) -> None:
    done = run(plugin, "--help")
    assert done.returncode == 0
    assert "Train ResNet families" in done.stdout
    assert "broken-data" in done.stdout
    assert "Say hello" in done.stdout


def test_a_command_that_succeeds_has_status_0(plugin: Path) -> None:
    done = run(plugin, "fine")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("broken-data", "images.npy is cut off. Run: dvc repro\n"),
        ("denied", "digits v3 may not become @champion\n"),
        ("disk-full", "No space left on device. Free some space"),
    ],
)
def test_an_expected_error_is_one_message_without_a_traceback_and_status_1(
    plugin: Path, command: str, message: str
) -> None:
    done = run(plugin, command)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_bug_keeps_its_traceback(plugin: Path) -> None:
    done = run(plugin, "bug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "RuntimeError: a bug" in done.stderr


@pytest.mark.parametrize("arguments", [["no-such-command"], ["fine", "--no-such-option"]])
def test_wrong_usage_has_status_2_and_names_what_is_wrong(plugin: Path, arguments: list[str]) -> None:
    done = run(plugin, *arguments)
    assert done.returncode == 2
    assert "no-such-" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_imports_nothing_heavy(plugin: Path) -> None:
    code = (
        "import sys; sys.argv = ['resnet-ops', '--help']\n"
        "from resnet_ops.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: print('status', stop.code)\n"
        "heavy = 'torch mlflow evidently great_expectations pandas scipy sklearn dvc matplotlib'.split()\n"
        "print('imported', [name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(plugin)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines()[-2:] == ["status 0", "imported []"], done.stderr
