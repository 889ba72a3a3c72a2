"""What MLflow shows of the machine while a training runs: memory, processor, disk, network, GPUs."""

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import psutil

__all__ = ["SystemMetrics"]

SECONDS = 10.0
"""Between two measurements, as MLflow has it where its variable does not say otherwise."""


class SystemMetrics:
    """MLflow's own measurements, and this process's memory, taken by a thread and given away.

    MLflow's thread for them would ask the server after each one, and end when it does not answer. Its variables hold:
    MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false and MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.
    """

    def __init__(self, give: Callable[[Mapping[str, float], int, int], None]) -> None:
        """give: takes values by name, the time in milliseconds and the step, from 0."""
        self._give = give
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless that is switched off."""
        from mlflow import environment_variables as variables

        enabled: Any = variables.MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
        interval: Any = variables.MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL
        if enabled.get() or not enabled.is_set():
            self._thread = threading.Thread(
                target=self._run,
                args=[interval.get() or SECONDS],
                name="resnet-ops-system-metrics",
                daemon=True,
            )
            self._thread.start()

    def close(self) -> None:
        """Take no more."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, interval: float) -> None:
        monitors, process = _monitors(), psutil.Process()
        for step in itertools.count():
            if self._closing.wait(interval):
                return
            values = {"process_memory_megabytes": process.memory_info().rss / 1e6}
            for monitor in monitors:
                monitor.collect_metrics()
                values |= monitor.aggregate_metrics()
                monitor.clear_metrics()
            named = {f"system/{name}": value for name, value in values.items()}
            self._give(named, time.time_ns() // 1_000_000, step)


def _monitors() -> list[Any]:
    """MLflow's, that of NVIDIA's GPUs where there are some."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    make: Any
    monitors = [make() for make in (CPUMonitor, DiskMonitor, NetworkMonitor)]
    with suppress(ImportError, RuntimeError):  # no GPU, or not its library
        make = GPUMonitor
        monitors.append(make())
    return monitors
