"""DVC stage `evaluate_model`: metrics of one member on the test split, and its predictions."""

import argparse
import csv
import io
from pathlib import Path

from project_params import read_params

from resnet_ops.console import console, report_errors
from resnet_ops.data import load_prepared
from resnet_ops.evaluation.metrics import measure_predictions
from resnet_ops.files import write_json, write_text
from resnet_ops.measurement import measurement_values, measurements_to_json
from resnet_ops.model import load_model


def main(name: str) -> None:
    params = read_params()
    test = load_prepared(Path("data/prepared")).split("test")
    predictions = load_model(Path("models") / name).predict(test.images)
    confidence = params.evaluate.confidence
    measured = measure_predictions(
        predictions.probabilities, test.labels, test.classes, "test", confidence, params.seed
    )
    folder = Path("reports/evaluation") / name
    write_json(folder / "measurements.json", measurements_to_json(measured))
    write_json(folder / "metrics.json", measurement_values(measured))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "path", "actual", "predicted", "confidence"])
    for row, label, probabilities in zip(test.rows, test.labels, predictions.probabilities, strict=True):
        predicted = int(probabilities.argmax())
        names = (test.classes[label], test.classes[predicted])
        writer.writerow([row.index, row.path, *names, f"{probabilities[predicted]:.6f}"])
    write_text(folder / "predictions.csv", text.getvalue())
    top1 = measured["test.top1"]
    console.print(f"{name}: test top-1 {top1.value:.4f} ({top1.low:.4f} to {top1.high:.4f}, n {top1.n})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", required=True, help="a name under `members` in params.yaml")
    member = parser.parse_args().member
    with report_errors(f"evaluate_model {member}"):
        main(member)
