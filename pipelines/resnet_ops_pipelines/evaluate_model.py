"""DVC stage `evaluate_model`: measure a member or an export on the test split, and show where numbers come from."""

import argparse
from pathlib import Path

from resnet_ops.console import console, progress_bar, report_errors
from resnet_ops.data import load_prepared
from resnet_ops.data.trained_on import leave_out, read_trained_on
from resnet_ops.export.exported import load_deployed
from resnet_ops.files import write_json
from resnet_ops.measurement import deciding_values
from resnet_ops.provenance import environment, hardware
from resnet_ops.tasks.measuring.measuring import measuring_of
from resnet_ops_pipelines.exported_formats import refusal_of, report_refused
from resnet_ops_pipelines.project_params import read_params

PREPARED, REPORTS = Path("data/prepared"), Path("reports/evaluation")


def main(name: str) -> None:
    params = read_params()
    if refusal := refusal_of(name, params):
        report_refused(name, refusal, REPORTS)
        return
    model = load_deployed(params.model_folder(name), device=params.evaluate.device)
    trained_on = read_trained_on(params.trained_folder(name)) or ()
    data = load_prepared(PREPARED)
    for split in ("test", "validation"):
        data, seen = leave_out(data, trained_on, split)
        if seen:
            console.print(
                f"{name}: {seen} images of split {split} are left out, because it has seen them",
                style="yellow",
            )
    measuring = measuring_of(data.task)
    with progress_bar(f"{name} on corrupted images") as progress:
        found = measuring.evaluate(model, data, params.evaluate, params.seed, progress, params.data.group)
    found.save(name, params.evaluate, REPORTS / name)
    write_json(REPORTS / name / "machine.json", {"environment": environment(), "hardware": hardware()})
    if name in params.deployments:  # where `dvc metrics` finds them whether there is an export or not
        write_json(REPORTS / f"{name}.json", deciding_values(found.measured))
    for metric in measuring.shown:
        if metric in found.measured:
            console.print(f"{name}: {metric} {found.measured[metric].shown}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--member", required=True, help="a name under `family` or `deployments` in params.yaml"
    )
    member = parser.parse_args().member
    with report_errors(f"evaluate_model {member}"):
        main(member)
