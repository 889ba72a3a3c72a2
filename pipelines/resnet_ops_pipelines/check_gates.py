"""DVC stage `check_gates`: every candidate against the policy; the best that passes becomes @challenger."""

from dataclasses import asdict
from pathlib import Path

from resnet_ops.console import console, report_errors
from resnet_ops.files import read_json, write_json
from resnet_ops_pipelines.project_checks.policies import policy_files
from resnet_ops_pipelines.project_params import read_params
from resnet_ops_pipelines.serving import SERVING
from resnet_ops_registry.cards.publishing import refresh_card
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.settings import EXPERIMENT
from resnet_ops_registry.gate.candidates import (
    apply_first_policies,
    judge_candidates,
    propose,
    serving_version,
    validation_scores,
)


def main() -> None:
    params = read_params()
    model = params.register.model
    client = connect()
    if EXPERIMENT is None:
        for news in apply_first_policies(policy_files()):
            console.print(news)
    registered = read_json(Path("reports/registered.json"))
    told = {name: registered[name] for name in (*params.family, *params.deployments)}
    versions = {name: each["version"] for name, each in told.items() if "version" in each}
    refused = {name: each["refused"] for name, each in told.items() if "refused" in each}
    candidates = judge_candidates(client, model, versions)
    challenger = None
    if EXPERIMENT is None:  # which changes nothing in production
        challenger = propose(client, model, candidates, validation_scores(client, model, candidates))
    for candidate in candidates:
        refresh_card(client, model, candidate.version)
        for target, refusal in candidate.refusals.items():
            console.print(f"{candidate.member} v{candidate.version} {target}: {refusal or 'passes'}")
        for line in candidate.shortfalls:
            console.print(f"{candidate.member} v{candidate.version} {line}")
    for name, refusal in refused.items():
        console.print(f"{name}: {refusal}, so it is not a candidate")
    judged = [asdict(candidate) for candidate in candidates]
    gates = {"challenger": challenger, "candidates": judged, "refused": refused}
    write_json(Path("reports/gates.json"), gates)
    write_json(SERVING, serving_version(client, model))


if __name__ == "__main__":
    with report_errors("check_gates"):
        main()
