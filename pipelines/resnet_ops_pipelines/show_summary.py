"""What a run of the pipeline found, for people: members with verdicts, windows, and what to open next."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.table import Table

from resnet_ops.console import console, report_errors
from resnet_ops.files import read_json
from resnet_ops_pipelines.exported_formats import read_formats
from resnet_ops_pipelines.project_params import Params, read_params
from resnet_ops_pipelines.serving import NOBODY, SERVING
from resnet_ops_registry.common.settings import is_direct, ui_address
from resnet_ops_registry.operations.server import TRAINING_VIEW


def measured(member: str) -> dict[str, Any]:
    names = ("evaluation", "benchmark")
    parts = [read_json(Path("reports") / name / member / "measurements.json") for name in names]
    return {**parts[0], **parts[1]}


def p95(found: dict[str, Any], profile: str) -> str:
    latency = found.get(f"{profile}.latency_p95_ms")
    return f"{latency['value']:.2f}" if latency else "-"


def shown(score: dict[str, Any]) -> str:
    if score["low"] is None:
        return f"{score['value']:.3f} (n {score['n']})"
    return f"{score['value']:.3f} ({score['low']:.3f}-{score['high']:.3f})"


def page_of(model: str, server: str) -> str:
    """Where a registered model's page opens in MLflow, whatever its name."""
    return f"{server}/#/models/{quote(model, safe='')}?{TRAINING_VIEW}"


def aliases_of(candidate: dict[str, Any], challenger: str | None, serving: dict[str, Any]) -> list[str]:
    """Of the two that a run gives or follows, those that a candidate carries."""
    held = {"champion": serving["alias"] == "champion" and serving["version"] == candidate["version"]}
    held["challenger"] = candidate["member"] == challenger
    return [f"@{alias}" for alias, holds in held.items() if holds]


def members_table(model: str, serving: dict[str, Any]) -> Table:
    headline = read_params().data.chosen_task.headline
    gates = read_json(Path("reports/gates.json"))
    reports = [measured(candidate["member"]) for candidate in gates["candidates"]]
    profiles = [
        profile
        for profile in read_params().benchmark.profiles
        if any(f"{profile}.latency_p95_ms" in found for found in reports)
    ]
    table = Table(title=model, title_justify="left", show_lines=True)
    for name in (
        "version",
        f"test {headline.label} (95 % interval)",
        "p95 ms " + " / ".join(profiles),
        "KB",
        "gate",
    ):
        table.add_column(name)
    for candidate, found in zip(gates["candidates"], reports, strict=True):
        score = found[f"test.{headline.name}"]
        aliases = aliases_of(candidate, gates["challenger"], serving)
        table.add_row(
            "\n".join([f"v{candidate['version']} {candidate['member']}", *aliases]),
            shown(score),
            " / ".join(p95(found, profile) for profile in profiles),
            f"{found['size.bytes']['value'] / 1000:,.0f}",
            "\n".join(
                f"{target}: {(refusal or 'passes').split('; ')[0]}"
                for target, refusal in candidate["refusals"].items()
                if target.startswith("@")
            ),
        )
    for name in gates["refused"]:
        table.add_row(name, "-", "-", "-", "no export to register, see below")
    return table


def export_lines(params: Params) -> list[str]:
    """Exports that were refused, and deployed ones that were written with something left to be shown."""
    deployed = {f"{each.member} {each.format}": name for name, each in params.deployments.items()}
    lines = []
    for member in params.family:
        for format_, each in read_formats(member).items():
            name = deployed.get(f"{member} {format_}")
            if each["digest"] is None or (name and each["doubts"]):
                lines.append(f"{name or f'{member}-{format_}'}: {each['verdict']}")
    return lines


def shortfall_lines(params: Params) -> list[str]:
    """By how much versions miss limits of the policy, and, where each misses some, what helps."""
    model, candidates = params.register.model, read_json(Path("reports/gates.json"))["candidates"]
    missed = {f"v{each['version']} {each['member']}": each.get("shortfalls", ()) for each in candidates}
    lines = [f"{who}, {line}" for who, found in missed.items() for line in found]
    counts = class_counts()
    if lines and all(missed.values()) and counts and params.data.chosen_task.per_image:
        rarest, count = min(counts.items(), key=lambda item: item[1])
        others = f" of other groups ({params.data.group})" if params.data.group else ""
        lines.append(
            f"What helps: more images{others}, above all of {rarest} ({count:,} of {sum(counts.values()):,} now; "
            f"{params.data.split.test:.0%} of all go to the test split), larger ones (data.image_size), or weights to "
            "start from (docs/training.md, Starting from other weights). How many images a limit takes: "
            f"resnet-ops policy power policies/{model}.yaml"
        )
    return lines


def class_counts() -> Counter[str]:
    """Images of each class, in all splits; none where the data are elsewhere."""
    counts = Counter[str]()
    for manifest in (Path("data/prepared/manifest.csv"), Path("data/production/manifest.csv")):
        if manifest.exists():
            with manifest.open(newline="", encoding="utf-8") as file:
                counts.update(row["class_name"] for row in csv.DictReader(file))
    return counts


def main() -> None:
    params = read_params()
    model, server = params.register.model, ui_address(params.monitor.alerts.mlflow)
    serving, windows = read_json(SERVING), read_json(Path("reports/drift/summary.json"))
    console.print(members_table(model, serving))
    for line in export_lines(params):
        console.print(line)
    for line in shortfall_lines(params):
        console.print(line)
    if serving["version"] is None:
        console.print(
            f"{NOBODY} The table says what each version lacks. In full: resnet-ops gate explain {model} VERSION"
        )
    else:
        console.print(f"Windows of simulated traffic, scored by v{serving['version']} (@{serving['alias']}):")
    for window in windows:
        console.print(
            f"  {window['traffic']}, {window['window']}: {window['verdict'].upper()}. {window['reason']}"
        )
    command = "make ui" if Path("Makefile").exists() else "resnet-ops ui"
    console.print(f"Next: {command}, then open" if is_direct() else "Next: open")
    todo = "to see its versions" if serving["alias"] == "champion" else "to promote a version to @champion"
    console.print(f"  {page_of(model, server)}   {todo}")
    portfolio = read_json(Path("reports/portfolio/published.json"))["link"]
    if portfolio:
        console.print(f"  {server}/{portfolio}   to see what each costs, and which is proposed and why")
    for window in filter(lambda window: window["link"], windows):
        console.print(f"  {server}/{window['link']}   {window['traffic']}")


if __name__ == "__main__":
    with report_errors("show_summary"):
        main()
