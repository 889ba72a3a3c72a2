"""Which instruction sets a processor has, as far as they decide how fast a network runs, and what it computes."""

import re
import subprocess
import sys
from pathlib import Path

__all__ = ["instruction_facts"]

UNKNOWN = "unknown"
CPUINFO = Path("/proc/cpuinfo")
KNOWN = (
    *("sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx_vnni_int8"),
    *("avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("neon", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme"),
)
"""By Linux's names."""
INT8 = (
    *("amx_int8", "avx512_vnni", "avx_vnni", "avx512bw", "avx2", "sse4_1"),
    *("i8mm", "asimddp", "asimd", "neon"),
)
"""What can multiply numbers of 8 bits, the most capable first. On x86, sums of those after avx_vnni can overflow."""
ON_APPLE = {
    **{"advsimd": "asimd", "feat_dotprod": "asimddp", "feat_i8mm": "i8mm", "feat_bf16": "bf16"},
    **{"feat_fp16": "asimdhp", "feat_sme": "sme", "avx1.0": "avx", "sse4.1": "sse4_1"},
    **{"avx512vnni": "avx512_vnni", "avx512bf16": "avx512_bf16"},
}
"""sysctl's names, in small letters, where they are other ones."""


def instruction_facts() -> dict[str, str]:
    """`instructions`: those that matter of what the processor has, in order, with a space between.

    `int8_instructions`: the most capable of them for products of 8 bits. `torch_instructions`: what torch uses, which
    `ATEN_CPU_CAPABILITY` may restrict; onnxruntime takes what there is. Each `unknown` where this system does not tell.
    """
    import torch

    found = _found(sys.platform)
    return {
        "instructions": " ".join(name for name in KNOWN if name in found) or UNKNOWN,
        "int8_instructions": next((name for name in INT8 if name in found), UNKNOWN),
        "torch_instructions": torch.backends.cpu.get_cpu_capability().lower(),
    }


def _found(system: str) -> set[str]:
    if system == "linux":
        return _in_cpuinfo(CPUINFO)
    if system == "darwin":
        return _in_sysctl(_sysctl())
    return set()


def _in_cpuinfo(path: Path) -> set[str]:
    """x86 calls them flags, Arm Features; the first processor speaks for all."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return set()
    named = (line.partition(":") for line in lines)
    return next(
        (set(value.split()) for name, _, value in named if name.strip() in ("flags", "Features")), set()
    )


def _in_sysctl(told: str) -> set[str]:
    """On Intel lists after `machdep.cpu...features:`, on Apple's own a line `hw.optional...NAME: 1` for each."""
    found = set()
    for line in told.lower().splitlines():
        name, _, value = line.partition(":")
        if name.startswith("machdep.cpu.") and name.endswith("features"):
            found.update(value.split())
        elif name.startswith("hw.optional.") and value.strip() == "1":
            found.add(re.sub(r"^hw\.optional\.(arm\.)?", "", name))
    return {ON_APPLE.get(name, name) for name in found}


def _sysctl() -> str:
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "machdep.cpu", "hw.optional"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout  # one of the two is missing on each kind of Mac, and the rest still told
