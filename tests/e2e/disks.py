"""A command that finds a folder's disk full or read-only, seen by that command alone."""

import os
import subprocess
from typing import Literal

import pytest

from tests.e2e.project import Project

__all__ = ["Disk", "mount_namespace", "run_with_disk"]

Disk = Literal["full", "read-only"]
FULL = """
keep=$(mktemp -d) && cp -a "$1/." "$keep" && mount -t tmpfs none "$1" && cp -a "$keep/." "$1" && rm -rf "$keep"
mount -o remount,size=$(($(df -k --output=used "$1" | tail -1) + 4))k "$1"
while echo filling >> "$1/filler"; do :; done 2> /dev/null
"""
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"'
# without mounts: no file of this command may grow beyond 512 bytes
SMALL_FILES = "ulimit -f 1"


def run_with_disk(
    project: Project, disk: Disk, folder: str, *command: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command that sees the folder's disk as full or read-only; it lies in a mount namespace of its own.

    Where mounting is forbidden, full means a limit on the size of files, and a read-only disk skips the test.
    """
    (project.folder / folder).mkdir(parents=True, exist_ok=True)
    namespace = mount_namespace()
    if namespace:
        prepare = FULL if disk == "full" else READ_ONLY
    elif disk == "full":
        prepare = SMALL_FILES
    else:
        pytest.skip("no mounting here, and root may write wherever permissions forbid it")
    script = f'set -e\n{prepare}\nshift\nexec "$@"'
    return project.run(*namespace, "sh", "-c", script, "sh", folder, *command)


def mount_namespace() -> list[str]:
    """The command that gives its child mounts of its own; empty where that is forbidden."""
    for options in ([], ["--user", "--map-root-user"]):
        command = ["unshare", "--mount", *options]
        trial = [*command, "mount", "-t", "tmpfs", "none", os.environ.get("TMPDIR", "/tmp")]
        try:
            if subprocess.run(trial, capture_output=True).returncode == 0:
                return command
        except FileNotFoundError:
            break
    return []
