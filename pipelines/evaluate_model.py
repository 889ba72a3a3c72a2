"""DVC stage `evaluate_model`: measure a member or an export on the test split, and show where numbers come from."""

import argparse
from pathlib import Path

from project_params import read_params

from resnet_ops.console import console, progress_bar, report_errors
from resnet_ops.data import load_columns, load_prepared
from resnet_ops.evaluation.evaluate import evaluate, save_evaluation
from resnet_ops.export.exported import load_deployed

PREPARED = Path("data/prepared")


def main(name: str) -> None:
    params = read_params()
    model, columns = load_deployed(params.model_folder(name)), load_columns(PREPARED, "test")
    with progress_bar(f"{name} on corrupted images") as progress:
        found = evaluate(model, load_prepared(PREPARED), columns, params.evaluate, params.seed, progress)
    save_evaluation(found, name, params.evaluate, Path("reports/evaluation") / name)
    for metric in ("test.top1", "test.worst_slice", "calibrated.ece", "robustness.mean_accuracy"):
        if metric in found.measured:
            each = found.measured[metric]
            console.print(
                f"{name}: {metric} {each.value:.4f} ({each.low:.4f} to {each.high:.4f}, n {each.n})"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--member", required=True, help="a name under `family` or `deployments` in params.yaml"
    )
    member = parser.parse_args().member
    with report_errors(f"evaluate_model {member}"):
        main(member)
