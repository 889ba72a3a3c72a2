"""DVC stage `check_gates`: every candidate against the policy; the best that passes becomes @challenger."""

from dataclasses import asdict
from pathlib import Path

from project_params import read_params
from serving import SERVING

from resnet_ops.console import console, report_errors
from resnet_ops.files import read_json, write_json
from resnet_ops_registry.candidates import apply_first_policies, judge_candidates, propose, serving_version
from resnet_ops_registry.cards import refresh_card
from resnet_ops_registry.settings import connect


def main() -> None:
    params = read_params()
    model = params.register.model
    client = connect()
    for news in apply_first_policies(sorted(Path("policies").glob("*.yaml"))):
        console.print(news)
    registered = read_json(Path("reports/registered.json"))
    names = [*params.family, *params.deployments]
    versions = {name: registered[name]["version"] for name in names}
    candidates = judge_candidates(client, model, versions)
    scores = {
        name: read_json(Path("reports/evaluation") / name / "measurements.json")["test.top1"]["value"]
        for name in names
    }
    challenger = propose(client, model, candidates, scores)
    for candidate in candidates:
        refresh_card(client, model, candidate.version)
        for target, refusal in candidate.refusals.items():
            console.print(f"{candidate.member} v{candidate.version} {target}: {refusal or 'passes'}")
    gates = {"challenger": challenger, "candidates": [asdict(candidate) for candidate in candidates]}
    write_json(Path("reports/gates.json"), gates)
    write_json(SERVING, serving_version(client, model))


if __name__ == "__main__":
    with report_errors("check_gates"):
        main()
