"""DVC stage `export_model`: one member in each format that predicts the same on the test split."""

import argparse
from pathlib import Path

from resnet_ops.console import console, report_errors
from resnet_ops.data import load_prepared
from resnet_ops.data.trained_on import leave_out, read_trained_on
from resnet_ops.export.formats import export_model
from resnet_ops.files import write_json
from resnet_ops.measurement import measurements_to_json
from resnet_ops.model import load_model
from resnet_ops.model_files import model_digest
from resnet_ops.provenance import environment, hardware
from resnet_ops_pipelines.project_params import read_params


def main(name: str) -> None:
    params = read_params()
    source = Path("models") / name
    data, _ = leave_out(load_prepared(Path("data/prepared")), read_trained_on(source) or (), "test")
    model, confidence = load_model(source), params.evaluate.confidence
    folder, reports = Path("exports") / name, Path("reports/export") / name
    folder.mkdir(parents=True, exist_ok=True)  # DVC wants it also where every format is refused
    results = export_model(model, model_digest(source), data, params.export, confidence, folder)
    measured = {
        f"{format_}.{metric}": each
        for format_, result in results.items()
        for metric, each in result.measured.items()
    }
    write_json(reports / "measurements.json", measurements_to_json(measured))
    write_json(reports / "machine.json", {"environment": environment(), "hardware": hardware()})
    formats = {
        format_: {
            "verdict": str(result.verdict),
            "doubts": result.verdict.doubts,
            "digest": None if result.verdict.refusals else model_digest(folder / format_),
        }
        for format_, result in results.items()
    }
    write_json(reports / "formats.json", formats)
    headline = data.task.headline
    for format_, result in results.items():
        size, equal, score = (result.measured[each] for each in ("bytes", "equal_predictions", headline.name))
        console.print(
            f"{name} as {format_}: {result.verdict}. {size.value:,.0f} bytes, predicts as the original on "
            f"{equal.value:.1%} of {equal.n} test images, {headline.label} {score.value:.4f}",
            style="yellow" if result.verdict.refusals else None,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", required=True, help="a name under `members` in params.yaml")
    member = parser.parse_args().member
    with report_errors(f"export_model {member}"):
        main(member)
