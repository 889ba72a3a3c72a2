"""DVC stage `build_reference`: the served model's predictions of the held-out test split, as it is and spoilt."""

from datetime import UTC, datetime
from pathlib import Path

from project_params import read_params
from serving import read_serving

from resnet_ops.console import console, progress_bar, report_errors
from resnet_ops.data import load_prepared
from resnet_ops_monitoring.reference import build_reference
from resnet_ops_monitoring.rehearsing import rehearse
from resnet_ops_monitoring.scorer import Scorer

NO_TIME = datetime.fromtimestamp(0, UTC)  # held-out images were never requested; equal runs give equal bytes


def main() -> None:
    params = read_params()
    test = load_prepared(Path("data/prepared")).split("test")
    model, identity, _ = read_serving()
    frame = Scorer(model, identity).score(
        test.images,
        [row.path for row in test.rows],
        [NO_TIME] * len(test),
        labels=[row.class_name for row in test.rows],
    )
    rows, seed = params.monitor.reference_rows, params.seed
    reference = build_reference(frame, identity, model.classes, rows=rows, seed=seed)
    with progress_bar(f"Rehearsing with {identity}") as progress:
        reference = rehearse(
            reference,
            model,
            test.images,
            test.labels,
            each=params.monitor.rehearsal_images,
            seed=seed,
            progress=progress,
        )
    reference.save(Path("data/reference.parquet"))
    console.print(f"data/reference.parquet: {len(reference.rows)} labelled predictions of {identity}")


if __name__ == "__main__":
    with report_errors("build_reference"):
        main()
