"""DVC stage `benchmark_model`: speed, size and memory of one member, or of one export, on every device profile."""

import argparse
from pathlib import Path

from resnet_ops.benchmark.measure import benchmark_profile, measure_size, why_skipped
from resnet_ops.console import console, progress_bar, report_errors
from resnet_ops.files import write_json
from resnet_ops.measurement import deciding_values, measurements_to_json
from resnet_ops.model import load_model
from resnet_ops.provenance import environment, hardware
from resnet_ops_pipelines.exported_formats import refusal_of, report_refused
from resnet_ops_pipelines.project_params import read_params

REPORTS = Path("reports/benchmark")


def main(name: str) -> None:
    params = read_params()
    if refusal := refusal_of(name, params):
        report_refused(name, refusal, REPORTS)
        return
    folder, limits = params.model_folder(name), params.benchmark.interference
    measured = measure_size(load_model(params.trained_folder(name)), folder)
    machine, machines, skipped = hardware(), {}, {}
    for label, profile in params.benchmark.profiles.items():
        if reason := why_skipped(folder, profile):
            skipped[label] = reason
            console.print(f"{name} on {label}: skipped, {reason}")
            continue
        with progress_bar(f"{name} on {label}") as progress:
            found = benchmark_profile(folder, label, profile, limits, params.benchmark.confidence, progress)
        measured |= found.measured
        machines[label] = {**machine, **found.facts}
        p95 = found.measured[f"{label}.latency_p95_ms"]
        word = "" if found.facts["interference"] is False else ", noisy: see machine.json"
        console.print(f"{name} on {label}: p95 {p95.value:.2f} ms of {p95.n} requests{word}")
    write_json(REPORTS / name / "measurements.json", measurements_to_json(measured))
    metrics = REPORTS / (f"{name}.json" if name in params.deployments else f"{name}/metrics.json")
    write_json(metrics, deciding_values(measured))
    facts = {"environment": environment(), "hardware": machines, "skipped": skipped}
    write_json(REPORTS / name / "machine.json", facts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--member", required=True, help="a name under `family` or `deployments` in params.yaml"
    )
    member = parser.parse_args().member
    with report_errors(f"benchmark_model {member}"):
        main(member)
