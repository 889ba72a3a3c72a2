"""Where a result comes from: code, environment and hardware."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from resnet_ops.cores import usable_cores
from resnet_ops.instruction_sets import instruction_facts

__all__ = ["environment", "git_state", "hardware"]

PACKAGES = ("torch", "torchvision", "numpy", "safetensors", "onnxruntime", "resnet-ops")


def git_state(folder: Path) -> dict[str, Any]:
    """`commit` (40 hexadecimal digits, or None outside a repository) and `dirty`: whether tracked files differ."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603
                ["git", "-C", str(folder), *arguments],  # noqa: S607
                capture_output=True,
                text=True,
                timeout=30,
            )
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}


def environment() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def hardware() -> dict[str, Any]:
    """The processor's name and instruction sets, the cores this process may use, and the GPU's name, or None."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": _cpu_name(),
        **instruction_facts(),
        "cores": usable_cores(),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
