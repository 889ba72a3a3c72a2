"""DVC stage `build_reference`: the served model's predictions of the held-out test split, as it is and perturbed."""

from pathlib import Path

from resnet_ops.console import console, progress_bar, report_errors
from resnet_ops_monitoring.drift.held_out import held_out_reference
from resnet_ops_pipelines.project_params import read_params
from resnet_ops_pipelines.serving import read_serving

FOLDER = Path("data/reference")


def main() -> None:
    params, serving = read_params(), read_serving()
    FOLDER.mkdir(parents=True, exist_ok=True)  # which DVC looks for, also where it stays empty
    if serving is None:
        return
    identity, test = serving.identity, serving.unseen(Path("data/prepared"), "test")
    with progress_bar(f"Calibrating with {identity}") as progress:
        reference = held_out_reference(
            serving.model,
            identity,
            test,
            params.monitor,
            params.seed,
            progress,
            serving.operating,
            params.data.group,
        )
    reference.save(FOLDER / "reference.parquet")
    console.print(f"{FOLDER}: {len(reference.rows)} labelled predictions of {identity}")


if __name__ == "__main__":
    with report_errors("build_reference"):
        main()
