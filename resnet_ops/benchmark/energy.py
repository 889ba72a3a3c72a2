"""Energy, where the machine tells: processor packages through RAPL, a GPU through NVML."""

import time
from pathlib import Path

__all__ = ["EnergyMeter"]

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Measures from its making until `joules`.

    A processor's counters are of whole packages: whatever else runs is in them. A GPU tells its power only, which is
    sampled by `sample` and taken as even in between.
    """

    def __init__(self, device: str, powercap: Path = POWERCAP) -> None:
        self._device, self._powercap = device, powercap
        self._began = time.perf_counter()
        self._counters = _read_counters(powercap) if device == "cpu" else None
        self._watts: list[float] = []
        self.sample()

    def sample(self) -> None:
        """Note the GPU's power now."""
        if self._device == "cuda" and (watts := _gpu_watts()) is not None:
            self._watts.append(watts)

    def joules(self) -> float | None:
        """Since the beginning; None where the machine does not tell."""
        self.sample()
        if self._watts:
            return sum(self._watts) / len(self._watts) * (time.perf_counter() - self._began)
        after = _read_counters(self._powercap) if self._counters else None
        if not after or self._counters is None or after.keys() != self._counters.keys():
            return None
        return sum((now - self._counters[name][0]) % limit for name, (now, limit) in after.items()) / 1e6


def _read_counters(powercap: Path) -> dict[str, tuple[int, int]]:
    """Microjoules of each package, and where its counter starts again from 0; empty where they cannot be read."""
    found = {}
    for domain in powercap.glob("intel-rapl:*"):  # AMD's too; "intel-rapl:0:0" are parts of a package
        if domain.name.count(":") == 1:
            try:
                names = ("energy_uj", "max_energy_range_uj")
                now, largest = (int((domain / name).read_text()) for name in names)
            except (OSError, ValueError):
                return {}
            found[domain.name] = (now, largest + 1)
    return found


def _gpu_watts() -> float | None:
    import torch

    try:
        import pynvml
    except ImportError:
        return None
    try:
        return torch.cuda.power_draw() / 1000
    except (RuntimeError, pynvml.NVMLError):  # no driver, or a GPU that does not tell
        return None
