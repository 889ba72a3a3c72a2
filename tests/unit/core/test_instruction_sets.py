"""Instruction sets are read as each system tells them, and unknown where it does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_ops import instruction_sets
from resnet_ops.instruction_sets import instruction_facts

VNNI = "flags\t\t: fpu sse4_1 fma avx f16c avx2 avx512f avx512bw avx512vl avx512_vnni avx512_bf16 vaes\n"
GRAVITON = "Features\t: fp asimd evtstrm aes asimdhp asimddp sve i8mm bf16\n"
APPLE = """\
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_I8MM: 0
hw.optional.arm.FEAT_BF16: 1
hw.optional.AdvSIMD: 1
hw.optional.neon: 1
machdep.cpu.brand_string: Apple M1
"""
INTEL_MAC = """\
machdep.cpu.features: FPU SSE4.1 FMA F16C AVX1.0
machdep.cpu.leaf7_features: AVX2 AVX512F AVX512BW AVX512VL AVX512VNNI
machdep.cpu.brand_string: Intel(R) Xeon(R)
"""


def told(monkeypatch: pytest.MonkeyPatch, system: str, cpuinfo: Path, sysctl: str = "") -> dict[str, str]:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(instruction_sets, "CPUINFO", cpuinfo)
    monkeypatch.setattr(instruction_sets, "_sysctl", lambda: sysctl)
    return instruction_facts()


@pytest.mark.parametrize(
    ("text", "names", "int8"),
    [
        (
            VNNI,
            "sse4_1 avx avx2 fma f16c avx512f avx512bw avx512vl avx512_vnni avx512_bf16",
            "avx512_vnni",
        ),
        (VNNI.replace(" avx512_vnni", ""), "avx512vl avx512_bf16", "avx512bw"),
        ("flags : sse4_1 avx2 avx_vnni\nflags : sse4_1\n", "sse4_1 avx2 avx_vnni", "avx_vnni"),
        ("flags : sse4_1 avx avx2 fma\n", "sse4_1 avx avx2 fma", "avx2"),
        ("flags : avx512_vnni amx_tile amx_int8 amx_bf16\n", "amx_tile amx_int8 amx_bf16", "amx_int8"),
        (GRAVITON, "asimd asimdhp asimddp i8mm bf16 sve", "i8mm"),
        ("isa : rv64imafdc\n", "unknown", "unknown"),
    ],
)
def test_linux_tells_what_the_first_processor_has(
    text: str, names: str, int8: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Any avx512_fp16\n" + text)
    facts = told(monkeypatch, "linux", tmp_path / "cpuinfo")
    assert facts["instructions"].endswith(names)
    assert facts["int8_instructions"] == int8


@pytest.mark.parametrize(
    ("sysctl", "names", "int8"),
    [
        (APPLE, "neon asimd asimddp bf16", "asimddp"),
        (INTEL_MAC, "sse4_1 avx avx2 fma f16c avx512f avx512bw avx512vl avx512_vnni", "avx512_vnni"),
        ("", "unknown", "unknown"),
    ],
)
def test_macos_tells_it_by_linuxs_names(
    sysctl: str, names: str, int8: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = told(monkeypatch, "darwin", tmp_path, sysctl)
    assert (facts["instructions"], facts["int8_instructions"]) == (names, int8)


def test_another_system_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for system in ("win32", "linux"):
        facts = told(monkeypatch, system, tmp_path / "missing")
        assert (facts["instructions"], facts["int8_instructions"]) == ("unknown", "unknown")


@pytest.mark.slow
def test_what_torch_uses_is_told_where_somebody_restricted_it() -> None:
    code = "from resnet_ops.instruction_sets import instruction_facts; print(instruction_facts()['torch_instructions'])"
    restricted = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=restricted, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "default"
