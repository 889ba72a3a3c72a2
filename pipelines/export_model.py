"""DVC stage `export_model`: one member in deployable formats, each checked on the whole test split."""

import argparse
from pathlib import Path

from project_params import read_params

from resnet_ops.console import console, report_errors
from resnet_ops.data import load_prepared
from resnet_ops.export.formats import export_model
from resnet_ops.files import write_json
from resnet_ops.measurement import measurement_values, measurements_to_json
from resnet_ops.model import load_model
from resnet_ops.model_files import model_digest


def main(name: str) -> None:
    params = read_params()
    source, data = Path("models") / name, load_prepared(Path("data/prepared"))
    model, confidence = load_model(source), params.evaluate.confidence
    folder = Path("exports") / name
    measured = export_model(model, model_digest(source), data, params.export, confidence, folder)
    reports = Path("reports/export") / name
    write_json(reports / "measurements.json", measurements_to_json(measured))
    write_json(reports / "metrics.json", measurement_values(measured))
    digests = {format_: model_digest(folder / format_) for format_ in params.export.formats}
    write_json(reports / "digests.json", digests)
    for format_ in params.export.formats:
        size, equal, top1 = (measured[f"{format_}.{each}"] for each in ("bytes", "equal_predictions", "top1"))
        console.print(
            f"{folder / format_}: {size.value:,.0f} bytes, predicts as the original on {equal.value:.1%} of {equal.n} "
            f"test images, top-1 {top1.value:.4f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", required=True, help="a name under `members` in params.yaml")
    member = parser.parse_args().member
    with report_errors(f"export_model {member}"):
        main(member)
