"""DVC stage `register_models`: every member as an MLflow run and version with signed evidence; idempotent."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_ops.console import console, report_errors
from resnet_ops.data.trained_on import NOTED_IN, read_trained_on
from resnet_ops.export.params import Deployment
from resnet_ops.files import read_json, write_json
from resnet_ops.measurement import measurements_from_json
from resnet_ops.model_files import DESCRIPTION, model_digest
from resnet_ops.preprocessing import Preprocessing
from resnet_ops.tasks.task import task_from_json, tiles_of
from resnet_ops.training.history import read_history
from resnet_ops.training.recipe import Recipe
from resnet_ops_pipelines.exported_formats import format_words, refusal_of
from resnet_ops_pipelines.project_params import Params, read_params
from resnet_ops_registry.attestations.evidence import Evidence, Headline, Metric, metrics_from
from resnet_ops_registry.attestations.lineage import data_digests, source_of
from resnet_ops_registry.attestations.outcomes import read_outcomes, split_sizes
from resnet_ops_registry.client.publish import publish
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.settings import EXPERIMENT

if TYPE_CHECKING:
    from mlflow import MlflowClient

MACHINES, EXPORTS = Path("reports/machines"), Path("reports/export")
FOLDS = Path("reports/cross_validation")
MANIFEST, VALIDATION = Path("data/prepared/manifest.csv"), Path("reports/data/validation.json")


def evidence_of(name: str, params: Params) -> Evidence:
    """What was found about a member, or about an export under `deployments`."""
    benchmark, evaluation = Path("reports/benchmark") / name, Path("reports/evaluation") / name
    measured = read_json(evaluation / "measurements.json") | read_json(benchmark / "measurements.json")
    machine, deployment = read_json(benchmark / "machine.json"), params.deployments.get(name)
    member = deployment.member if deployment else name
    trained, seen = read_json(MACHINES / f"{member}.json"), read_trained_on(params.trained_folder(name))
    exports, origin = format_words(member), dict[str, Any]()
    made_on = {
        "training": trained["hardware"],
        "evaluation": read_json(evaluation / "machine.json")["hardware"],
    }
    if params.evaluate.cross_validation and not deployment:
        measured |= read_json(FOLDS / name / "measurements.json")
    if deployment:
        measured |= parity_of(deployment)
        exports = {deployment.format: exports[deployment.format]}
        made_on["export"] = read_json(EXPORTS / member / "machine.json")["hardware"]
        origin = {"format": deployment.format, "exported_from": model_digest(params.trained_folder(name))}
    return Evidence(
        member=name,
        weights_digest=model_digest(params.model_folder(name)),
        metrics=metrics_from(measurements_from_json(measured))
        | split_sizes(MANIFEST, seen or ())
        | read_by(read_json(params.model_folder(name) / DESCRIPTION)),
        data=data_digests(Path("dvc.lock"), "prepare_data")
        | start_digest(params.recipes[params.family[member]]),
        source=source_of(Path("dvc.lock"), stages_of(name, deployment, params), trained["source"]),
        environment=machine["environment"],
        hardware=made_on | machine["hardware"],
        seeds={"training": params.seed},
        positive=positive_of(evaluation),
        outcomes=read_outcomes(evaluation / "predictions.csv", MANIFEST, "test", seen or ()),
        **task_of(name, params),
        checks={"data_validation": read_json(VALIDATION)["passed"]},
        exports=exports,
        created=datetime.now(UTC),
        **origin,
    )


def task_of(name: str, params: Params) -> dict[str, Any]:
    """What evidence says of the task: nothing of the one that came first."""
    task = task_from_json(read_json(params.model_folder(name) / DESCRIPTION).get("task"))
    if task.per_image:
        return {}
    return {"task": task.name, "headline": Headline.of(task.headline)}


def read_by(description: dict[str, Any]) -> dict[str, Metric]:
    """How the model itself says that it reads images: `data.bits`, but 8 of them, and `data.tiles`, if in tiles."""
    found = {}
    if (bits := description.get("depth", 8)) != 8:
        found["data.bits"] = Metric(value=bits, n=1, unit="bits")
    if (tiles := tiles_of(task_from_json(description.get("task")))) is not None:
        places = tiles.places(description["image_size"], description["image_size"])
        found["data.tiles"] = Metric(value=len(places), n=1, unit="tiles")
    return found


def positive_of(evaluation: Path) -> tuple[str, ...]:
    """The classes that the operating point looks for; none where there is none."""
    found = read_json(evaluation / "operating_point.json")
    return () if found is None or found["threshold"] is None else tuple(found["positive"])


def stages_of(name: str, deployment: Deployment | None, params: Params) -> list[str]:
    if deployment is None:
        folds = ("cross_validate_model",) if params.evaluate.cross_validation else ()
        stages = ("train_model", "evaluate_model", *folds, "benchmark_model", "export_model")
        return [f"{stage}@{name}" for stage in stages]
    made = [f"{stage}@{deployment.member}" for stage in ("train_model", "export_model")]
    return [*made, f"evaluate_export@{name}", f"benchmark_export@{name}"]


def parity_of(deployment: Deployment) -> dict[str, Any]:
    """How equal the export is to what it was made from, as `export.<metric>`."""
    measured = read_json(EXPORTS / deployment.member / "measurements.json")
    prefix = f"{deployment.format}."
    return {
        f"export.{name.removeprefix(prefix)}": each
        for name, each in measured.items()
        if name.startswith(prefix)
    }


def start_digest(recipe: Recipe) -> dict[str, str]:
    """The weights that training started from, beside the images: what the model was made of."""
    return {recipe.start.source: f"sha256:{recipe.start.sha256}"} if recipe.start else {}


def settings_of(name: str, params: Params) -> dict[str, Any]:
    if deployment := params.deployments.get(name):
        quantisation = asdict(params.export.quantisation) if deployment.format == "int8" else {}
        return {**asdict(deployment), **quantisation}
    recipe = params.family[name]
    settings = asdict(params.members[name]) | params.recipes[recipe].as_dict() | asdict(params.train)
    nested = {group: settings.pop(group, None) or {} for group in ("start", "imbalance")}
    workers = read_json(MACHINES / f"{name}.json")["hardware"]["workers"]
    return {"seed": params.seed, "recipe": recipe, "workers": workers, **settings} | {
        f"{group}.{k}": v for group, values in nested.items() for k, v in values.items()
    }


def register(client: "MlflowClient", name: str, params: Params) -> dict[str, Any]:
    """Publish a member or an export; what `check_gates` needs to know of it."""
    if refusal := refusal_of(name, params):
        kept = "a version that was registered before stays as it is"
        console.print(f"{name}: {refusal}. It is not registered; {kept}", style="yellow")
        return {"refused": refusal}
    artifacts = {"evaluation": Path("reports/evaluation") / name}
    history = []
    if name in params.family:
        artifacts["export"] = Path("exports") / name
        history = read_history(Path("reports/training") / f"{name}.csv")
        if params.evaluate.cross_validation:
            artifacts["cross_validation"] = FOLDS / name
    published = publish(
        client,
        registered_model=params.register.model,
        experiment=params.register.experiment,
        member=name,
        model_folder=params.model_folder(name),
        evidence=evidence_of(name, params),
        history=history,
        params=settings_of(name, params),
        artifacts=artifacts,
        card=params.register.card,
        trained_on=params.trained_folder(name) / NOTED_IN,
        preprocessing=Preprocessing.of(params.data),
        dvc_experiment=EXPERIMENT,
    )
    word = "registered" if published.created else "was registered before"
    where = f" (experiment {EXPERIMENT})" if EXPERIMENT and published.created else ""
    console.print(f"{name} {word} as {published.name} v{published.version}{where}")
    return {"version": published.version, "run_id": published.run_id}


def main() -> None:
    params = read_params()
    client = connect()
    # in this order: an export's run belongs to its training's
    registered = {name: register(client, name, params) for name in (*params.family, *params.deployments)}
    write_json(Path("reports/registered.json"), registered)


if __name__ == "__main__":
    with report_errors("register_models"):
        main()
