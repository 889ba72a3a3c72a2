"""DVC stage `build_reference`: the served model's predictions of the held-out test split, as it is and spoilt."""

from pathlib import Path

from project_params import read_params
from serving import read_serving

from resnet_ops.console import console, progress_bar, report_errors
from resnet_ops.data import load_prepared
from resnet_ops_monitoring.held_out import held_out_reference


def main() -> None:
    params = read_params()
    test = load_prepared(Path("data/prepared")).split("test")
    model, identity, _ = read_serving()
    with progress_bar(f"Rehearsing with {identity}") as progress:
        reference = held_out_reference(model, identity, test, params.monitor, params.seed, progress)
    reference.save(Path("data/reference.parquet"))
    console.print(f"data/reference.parquet: {len(reference.rows)} labelled predictions of {identity}")


if __name__ == "__main__":
    with report_errors("build_reference"):
        main()
