"""How many cores this process may use: fewer than the machine has where a scheduler or a container allows fewer."""

import math
import os
import sys
from pathlib import Path

__all__ = ["usable_cores"]


def usable_cores(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores by this process's affinity, less where its container (`group`, cgroup v2 or v1) has a smaller quota.

    A quota of one core and a half counts as two.
    """
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = _quota(group)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def _quota(group: Path) -> float | None:
    """Cores that the group may keep busy; None without a limit."""
    try:
        limit, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            names = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
            limit, period = ((group / name).read_text().strip() for name in names)
        except OSError:
            return None
    try:
        share = int(limit) / int(period)
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return None
    return share if share > 0 else None
