"""What `export_model` said of each format: which was written, and which refused and why."""

from pathlib import Path
from typing import Any

from resnet_ops.console import console
from resnet_ops.files import read_json, write_json
from resnet_ops_pipelines.project_params import Params

__all__ = ["format_words", "read_formats", "refusal_of", "report_refused"]


def read_formats(member: str) -> dict[str, dict[str, Any]]:
    """Of each format the `verdict` in words, its `doubts`, and the `digest` of what was written; None where refused."""
    return dict(read_json(Path("reports/export") / member / "formats.json"))


def format_words(member: str) -> dict[str, str]:
    """Of each format, what came of it in words."""
    return {format_: each["verdict"] for format_, each in read_formats(member).items()}


def refusal_of(name: str, params: Params) -> str | None:
    """Why the export that is to be deployed under this name was refused; None where nothing was."""
    if (deployment := params.deployments.get(name)) is None:
        return None
    told = read_formats(deployment.member)[deployment.format]
    return None if told["digest"] else str(told["verdict"])


def report_refused(name: str, refusal: str, reports: Path) -> None:
    """Leave word, instead of numbers, that a deployment's export was refused: there is nothing to measure."""
    for file in (reports / name / "refused.json", reports / f"{name}.json"):
        write_json(file, {"refused": refusal})
    console.print(f"{name}: {refusal}; so there is nothing to measure", style="yellow")
