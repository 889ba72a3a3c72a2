"""DVC stage `benchmark_formats`: speed and memory of one member's exports that are no version of their own."""

import argparse
from pathlib import Path
from typing import Any

from resnet_ops.benchmark.survey import check_written, survey_export
from resnet_ops.console import console, progress_bar, report_errors
from resnet_ops.files import read_json, write_json
from resnet_ops.measurement import measurements_to_json
from resnet_ops.model_files import DESCRIPTION
from resnet_ops.provenance import hardware
from resnet_ops.tasks.task import task_from_json
from resnet_ops_pipelines.exported_formats import read_formats
from resnet_ops_pipelines.project_params import read_params


def main(member: str) -> None:
    params = read_params()
    settings, deployed = params.benchmark, params.deployments.values()
    parity = read_json(Path("reports/export") / member / "measurements.json")
    machine, formats = hardware(), dict[str, Any]()
    for format_, told in read_formats(member).items():
        if any((each.member, each.format) == (member, format_) for each in deployed):
            continue
        if told["digest"] is None:
            console.print(f"{member} as {format_}: {told['verdict']}", style="yellow")
            continue
        folder = Path("exports") / member / format_
        check_written(folder, told["digest"])
        with progress_bar(f"{member} as {format_}") as progress:
            found = survey_export(
                folder,
                settings.profiles,
                settings.survey,
                settings.interference,
                settings.confidence,
                progress,
            )
        description = read_json(folder / DESCRIPTION)
        headline = task_from_json(description.get("task")).headline.name
        known = {
            f"test.{headline}": parity[f"{format_}.{headline}"],
            "size.bytes": parity[f"{format_}.bytes"],
        }
        formats[format_] = {
            "exported_from": description["exported_from"],
            "metrics": known | measurements_to_json(found.measured),
            "hardware": {label: machine | facts for label, facts in found.facts.items()},
            "skipped": found.skipped,
        }
        p95s = [f"{label} {found.measured[f'{label}.latency_p95_ms'].value:.2f} ms" for label in found.facts]
        console.print(f"{member} as {format_}: p95 {', '.join(p95s)}")
    write_json(Path("reports/formats") / f"{member}.json", {"member": member, "formats": formats})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--member", required=True, help="a name under `family` in params.yaml")
    name = parser.parse_args().member
    with report_errors(f"benchmark_formats {name}"):
        main(name)
