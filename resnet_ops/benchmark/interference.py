"""Noticing that something else ran: what the kernel counted, and whether the numbers drifted."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_ops.benchmark.profile import InterferenceParams

__all__ = ["Noise", "Watch", "drift"]

MACHINE, TASKS = Path("/proc/stat"), Path("/proc/self/task")


@dataclass(frozen=True)
class Noise:
    """What was noticed, as shares; CPU wait and other load are None where this system does not count them."""

    cpu_wait: float | None
    other_load: float | None
    drift: float

    def worst(self, limits: InterferenceParams) -> float:
        """How many times the limit that is exceeded most; above 1 is interference."""
        pairs = (
            (self.cpu_wait, limits.max_waiting),
            (self.other_load, limits.max_others),
            (self.drift, limits.max_drift),
        )
        return max(seen / max(limit, 1e-9) for seen, limit in pairs if seen is not None)

    def is_interference(self, limits: InterferenceParams) -> bool | None:
        """Whether a limit is exceeded; None where none is but not everything could be counted."""
        if self.worst(limits) > 1:
            return True
        return None if self.cpu_wait is None or self.other_load is None else False


class Watch:
    """Watches the machine from its making until `stop`."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time(), _waited(), _machine()

    def stop(self) -> tuple[float | None, float | None]:
        """CPU wait and other load, as in `Noise`."""
        began, used_before, waited_before, machine_before = self._start
        wall, used = time.perf_counter() - began, time.process_time() - used_before
        waited, machine = _waited(), _machine()
        cpu_wait = None if waited is None or waited_before is None else (waited - waited_before) / wall
        if machine is None or machine_before is None:
            return cpu_wait, None
        busy, capacity = machine[0] - machine_before[0], machine[1] - machine_before[1]
        return cpu_wait, max(0.0, busy - used) / max(capacity, 1e-9)


def drift(values: np.ndarray) -> float:
    """How much the median of the second half differs from that of the first, as a share. values: (n,), in order."""
    middle = len(values) // 2
    if middle == 0:
        return 0.0
    return abs(float(np.median(values[middle:]) / np.median(values[:middle])) - 1)


def _waited() -> float | None:
    """Seconds that threads of this process were ready to run without running (Linux, sched-stats)."""
    try:
        found = [int((task / "schedstat").read_text().split()[1]) for task in TASKS.iterdir()]
    except (OSError, IndexError, ValueError):
        return None
    return sum(found) / 1e9


def _machine() -> tuple[float, float] | None:
    """Seconds that all cores were busy or given to other machines (steal), and that they had in all."""
    try:
        fields = [int(field) for field in MACHINE.read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    user, nice, system, idle, iowait, irq, softirq, steal = fields
    busy = user + nice + system + irq + softirq + steal
    return busy / ticks, (busy + idle + iowait) / ticks
