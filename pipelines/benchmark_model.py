"""DVC stage `benchmark_model`: speed, size and memory of one member on every device profile."""

import argparse
from pathlib import Path

from project_params import read_params

from resnet_ops.benchmark import benchmark_profile, measure_size
from resnet_ops.console import console, progress_bar, report_errors
from resnet_ops.files import write_json
from resnet_ops.measurement import measurement_values, measurements_to_json
from resnet_ops.model import load_model
from resnet_ops.provenance import environment, hardware


def main(name: str) -> None:
    params = read_params().benchmark
    source = Path("models") / name
    model = load_model(source)
    measured = measure_size(model, source)
    for profile_name, profile in params.profiles.items():
        with progress_bar(f"{name} on {profile_name}") as progress:
            measured |= benchmark_profile(model, profile_name, profile, params.confidence, progress)
        p95 = measured[f"{profile_name}.latency_p95_ms"]
        console.print(f"{name} on {profile_name}: p95 {p95.value:.2f} ms of {p95.n} requests")
    folder = Path("reports/benchmark") / name
    write_json(folder / "measurements.json", measurements_to_json(measured))
    write_json(folder / "metrics.json", measurement_values(measured))
    write_json(folder / "machine.json", {"environment": environment(), "hardware": hardware()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", required=True, help="a name under `members` in params.yaml")
    member = parser.parse_args().member
    with report_errors(f"benchmark_model {member}"):
        main(member)
