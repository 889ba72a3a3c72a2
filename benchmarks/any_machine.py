"""The pipeline of a fresh clone, as on many machines: other seeds, other instruction sets, other thread counts.

    python benchmarks/any_machine.py [--seeds 0 1 ...] [--machines avx2 default] [--threads 1 2] [--at-once 1] [--quick]

Runs `dvc repro` in a new clone of the last commit: for each seed, ten of them, on this machine as it is, and with seed
0 for each machine and thread count. `avx2` and `default` keep torch (ATEN_CPU_CAPABILITY) and oneDNN
(ONEDNN_MAX_CPU_ISA) from newer instructions; onnxruntime has no such switch. `gpu` trains on one, in bf16. Prints a
table: exit status, seconds, test top-1 and aliases of each member, refused exports, windows. A run is as it should be
where its status is 0, a version may become `@champion`, the window without drift is quiet and the dirty one alarms;
what differs is named below the table.
`--quick` takes one member and two runs, with two seeds and two machines. Exits with 1 where a run failed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resnet_ops.provenance import environment, git_state, hardware

ROOT = Path(__file__).resolve().parents[1]
MACHINES = {
    "own": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "default": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "gpu": {},
}
SMALL = "resnet14"
"""The one member of a quick run."""
QUIET, DRIFTED = "as-recorded", "dirty-camera"
"""The simulated traffic of params.yaml, which the monitor judges window by window."""


@dataclass(frozen=True)
class Case:
    """One machine that the pipeline could have run on."""

    seed: int
    machine: str
    threads: int
    is_small: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came out of a run."""

    case: Case
    status: int
    seconds: float
    said: str
    """The end of what a run that failed said."""
    top1: dict[str, float]
    gates: dict[str, dict[str, str | None]]
    """By version's member and alias: why it is refused, or None."""
    challenger: str | None
    refused: dict[str, str]
    """Exports without a file, with the reason."""
    windows: dict[str, str]

    def oddities(self) -> Iterator[str]:
        """What is not as it should be."""
        if self.status:
            yield f"status {self.status}: {self.said}"
            return
        if not any(refusals.get("@champion", "") is None for refusals in self.gates.values()):
            yield "no version may become @champion"
        if not all(each.startswith("ok") for each in self.windows.get(QUIET, "-").split(", ")):
            yield f"{QUIET} is {self.windows.get(QUIET)}"
        if not self.windows.get(DRIFTED, "-").endswith("alarm"):
            yield f"{DRIFTED} is {self.windows.get(DRIFTED)}"


def run(case: Case) -> Outcome:
    """`dvc repro` in a clone of its own."""
    with tempfile.TemporaryDirectory(prefix="resnet-ops-any-machine-") as temporary:
        folder = Path(temporary) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        change_settings(folder / "params.yaml", case)
        started = time.perf_counter()
        done = subprocess.run(
            ["dvc", "repro", "--quiet"],
            cwd=folder,
            env=surroundings(folder, case),
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - started
        said = " ".join((done.stdout + done.stderr).split())[-400:] if done.returncode else ""
        return Outcome(case, done.returncode, seconds, said, **found_in(folder / "reports"))


def change_settings(path: Path, case: Case) -> None:
    settings = yaml.safe_load(path.read_text())
    settings["seed"], settings["train"]["threads"] = case.seed, case.threads
    if case.machine == "gpu":
        settings["train"] |= {"device": "cuda", "precision": "bf16"}
    if case.is_small:
        settings |= {"family": {SMALL: "digits"}, "deployments": {}}
    path.write_text(yaml.safe_dump(settings, sort_keys=False))


def surroundings(folder: Path, case: Case) -> dict[str, str]:
    """The environment: the clone's own code first, nothing that points to other state."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "RESNET_OPS_", "DVC_", "GIT_"))
    }
    code = os.pathsep.join(str(folder / part) for part in (".", "registry", "monitoring", "pipelines"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "DVC_NO_ANALYTICS": "1"}
    return {**kept, **quiet, **MACHINES[case.machine], "PATH": path, "PYTHONPATH": code}


def found_in(reports: Path) -> dict[str, Any]:
    """What the reports of a run say; what is missing, because the run failed, stays empty."""
    gates = read(reports / "gates.json", {"candidates": [], "challenger": None})
    evaluated = sorted(reports.glob("evaluation/*/measurements.json"))
    return {
        "top1": {path.parent.name: read(path, {})["test.top1"]["value"] for path in evaluated},
        "gates": {each["member"]: each["refusals"] for each in gates["candidates"]},
        "challenger": gates["challenger"],
        "refused": {
            f"{path.parent.name} as {name}": told["verdict"].removeprefix("refused, ")
            for path in sorted(reports.glob("export/*/formats.json"))
            for name, told in read(path, {}).items()
            if told["digest"] is None
        },
        "windows": _of_traffic(read(reports / "drift" / "summary.json", [])),
    }


def _of_traffic(windows: Sequence[dict[str, str]]) -> dict[str, str]:
    """The verdicts of each traffic's windows, in their order."""
    found: dict[str, list[str]] = {}
    for each in windows:
        found.setdefault(each["traffic"], []).append(each["verdict"].lower())
    return {traffic: ", ".join(verdicts) for traffic, verdicts in found.items()}


def read(path: Path, otherwise: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else otherwise


def cases(seeds: Sequence[int], machines: Sequence[str], threads: Sequence[int]) -> list[Case]:
    """Every seed on this machine, and seed 0 on every other machine and with each thread count."""
    plain = [Case(seed, "own", min(threads)) for seed in seeds]
    return plain + [Case(0, machine, count) for machine in machines for count in threads]


def row(outcome: Outcome, members: Sequence[str]) -> list[str]:
    """Of the table, for these members."""
    case = outcome.case
    found = [verdict(outcome, member) for member in members]
    windows = [outcome.windows.get(name, "-") for name in (QUIET, DRIFTED)]
    refused = "; ".join(f"{name}: {reason}" for name, reason in outcome.refused.items()) or "none"
    numbers = [case.machine, str(case.threads), str(case.seed), str(outcome.status), f"{outcome.seconds:.0f}"]
    return [*numbers, *found, outcome.challenger or "none", refused, *windows]


def print_rows(*rows: Sequence[str]) -> None:
    for cells in rows:
        print(f"| {' | '.join(cells)} |", flush=True)


def verdict(outcome: Outcome, member: str) -> str:
    """Test top-1, and the aliases that the member's version may have."""
    if member not in outcome.top1:
        return "-"
    free = [
        alias for alias, reason in outcome.gates.get(member, {}).items() if reason is None and alias[0] == "@"
    ]
    return f"{outcome.top1[member]:.3f} {' '.join(free) or 'refused'}"


def label(case: Case) -> str:
    return f"machine {case.machine}, {case.threads} thread(s), seed {case.seed}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(10)))
    parser.add_argument("--machines", nargs="*", default=["avx2", "default"], choices=list(MACHINES))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--at-once", type=int, default=1, help="runs side by side; seconds count for less then"
    )
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    print(hardware(), environment(), git_state(ROOT), flush=True)
    wanted = cases(arguments.seeds, arguments.machines, arguments.threads)
    if arguments.quick:
        wanted = [Case(seed, machine, 1, is_small=True) for seed, machine in enumerate(arguments.machines)]
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    members = [SMALL] if arguments.quick else [*settings["family"], *settings["deployments"]]
    titles = ["machine", "threads", "seed", "status", "seconds", *members]
    titles += ["proposed", "refused exports", QUIET, DRIFTED]
    print_rows(titles, ["---"] * len(titles))
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(arguments.at_once) as pool:
        for outcome in pool.map(
            run, wanted
        ):  # a row as soon as it is known: all of them take an hour or more
            outcomes.append(outcome)
            print_rows(row(outcome, members))
    odd = [f"- {label(outcome.case)}: {oddity}" for outcome in outcomes for oddity in outcome.oddities()]
    print("\n" + ("\n".join(odd) or "Every run is as it should be."))
    raise SystemExit(any(outcome.status for outcome in outcomes))


if __name__ == "__main__":
    main()
