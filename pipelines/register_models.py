"""DVC stage `register_models`: every member as an MLflow run and version with signed evidence; idempotent."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from project_params import Params, read_params

from resnet_ops.console import console, report_errors
from resnet_ops.files import read_json, write_json
from resnet_ops.measurement import measurements_from_json
from resnet_ops.model_files import model_digest
from resnet_ops.training.history import read_history
from resnet_ops_registry.evidence import Evidence, metrics_from
from resnet_ops_registry.lineage import data_digests, source_of
from resnet_ops_registry.outcomes import read_outcomes
from resnet_ops_registry.publish import publish
from resnet_ops_registry.settings import connect

STAGES = ("train_model", "evaluate_model", "benchmark_model")
MANIFEST, VALIDATION = Path("data/prepared/manifest.csv"), Path("reports/data/validation.json")


def evidence_of(member: str, params: Params) -> Evidence:
    benchmark, evaluation = Path("reports/benchmark") / member, Path("reports/evaluation") / member
    measured = read_json(evaluation / "measurements.json") | read_json(benchmark / "measurements.json")
    machine = read_json(benchmark / "machine.json")
    return Evidence(
        member=member,
        weights_digest=model_digest(Path("models") / member),
        metrics=metrics_from(measurements_from_json(measured)),
        data=data_digests(Path("dvc.lock"), "prepare_data"),
        source=source_of(Path("dvc.lock"), [f"{stage}@{member}" for stage in STAGES]),
        environment=machine["environment"],
        hardware=dict.fromkeys(params.benchmark.profiles, machine["hardware"]),
        seeds={"training": params.seed},
        outcomes={"test": read_outcomes(evaluation / "predictions.csv", MANIFEST, "test")},
        checks={"data_validation": read_json(VALIDATION)["passed"]},
        created=datetime.now(UTC),
    )


def main() -> None:
    params = read_params()
    client = connect()
    registered = {}
    for member in params.family:
        published = publish(
            client,
            registered_model=params.register.model,
            experiment=params.register.experiment,
            member=member,
            model_folder=Path("models") / member,
            evidence=evidence_of(member, params),
            history=read_history(Path("reports/training") / f"{member}.csv"),
            params={"seed": params.seed, **asdict(params.members[member]), **asdict(params.train)},
            artifacts={"export": Path("exports") / member, "evaluation": Path("reports/evaluation") / member},
        )
        registered[member] = {"version": published.version, "run_id": published.run_id}
        word = "registered" if published.created else "was registered before"
        console.print(f"{member} {word} as {published.name} v{published.version}")
    write_json(Path("reports/registered.json"), registered)


if __name__ == "__main__":
    with report_errors("register_models"):
        main()
