"""DVC stage `validate_data`: Great Expectations on the manifest, and nearly equal images; a critical failure stops."""

from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from resnet_ops.console import console, report_errors
from resnet_ops.data import load_prepared
from resnet_ops.files import write_json
from resnet_ops_monitoring.validation.manifest_checks import check_manifest
from resnet_ops_monitoring.validation.near_duplicates import check_near_duplicates
from resnet_ops_pipelines.project_params import read_params
from resnet_ops_pipelines.replay_order import shortage


def main() -> None:
    params = read_params()
    parts = [load_prepared(Path("data") / name) for name in ("prepared", "production")]
    whole = replace(parts[0], rows=[row for part in parts for row in part.rows])
    manifest = pd.DataFrame([asdict(row) for row in whole.rows])
    splits, classes = tuple(params.data.split.as_dict()), parts[0].classes
    report = check_manifest(manifest, classes, splits, params.validate, whole.labelled)
    nearly_equal, pictures = check_near_duplicates(parts[0])
    report = replace(report, checks=(*report.checks, nearly_equal))
    report.write_html(Path("reports/data/index.html"), pictures)
    write_json(Path("reports/data/validation.json"), report.to_dict())
    for check in report.warnings:
        console.print(f"Warning: {check.rule}: {check.found}", style="yellow")
    if few := shortage(parts[1], params.data.group, params.monitor):
        console.print(f"Warning: {few}", style="yellow")
    report.require()
    console.print(f"reports/data/index.html: {len(report.checks)} rules hold on {report.rows} images")


if __name__ == "__main__":
    with report_errors("validate_data"):
        main()
