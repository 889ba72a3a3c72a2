"""`resnet-ops portfolio` on a real gated store, with exports that were measured beside it."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from resnet_ops.errors import ConfigError, DataError
from resnet_ops.files import write_json
from resnet_ops.model_files import model_digest
from resnet_ops_registry.attestations.evidence import Evidence, Headline, Metric
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.trust import revoke_key
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.candidates import judge_candidates, propose
from resnet_ops_registry.gate.policies import apply_policy
from resnet_ops_registry.portfolio.publishing import publish_portfolio
from resnet_ops_registry.portfolio.reading import read_portfolio
from tests.unit.registry.conftest import (
    NAME,
    POLICY,
    Publisher,
    Runner,
    evidence_of,
    make_model,
    publish_model,
)

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`

EDGE = """\
  - aliases: [champion-edge]
    rules:
      - {rule: threshold, metric: edge-cpu.latency_p95_ms, max: 2, why: promised}
      - {rule: threshold, metric: edge-cpu.memory_share, max: 1, why: the device has no more}
"""


def measured(folder: Path, name: str, top1: float, p95: float) -> Evidence:
    found = evidence_of(folder, low=top1 - 0.02)
    metrics = {
        "test.top1": Metric(value=top1, n=360, low=top1 - 0.02, high=top1 + 0.005, method="wilson 0.95"),
        "size.bytes": Metric(value=4000, n=1, unit="bytes"),
        **{
            f"{profile}.latency_p95_ms": Metric(value=p95, n=400, low=0.9 * p95, high=1.1 * p95, unit="ms")
            for profile in ("edge-cpu", "server-cpu")
        },
        "edge-cpu.batch8.latency_p95_ms": Metric(value=8 * p95, n=100, unit="ms"),
        "edge-cpu.peak_memory_mb": Metric(value=256, n=1, unit="MiB"),
        "edge-cpu.memory_share": Metric(value=0.5, n=1),
    }
    hardware: Any = {"edge-cpu": {"interference": True}, "server-cpu": {"interference": False}}
    return found.model_copy(update={"member": name, "metrics": metrics, "hardware": hardware})


@pytest.fixture
def registered(client: MlflowClient, project: Path) -> dict[str, Path]:
    """Two members in a gated store: `slow` may become @champion, `fast` @champion-edge."""
    with open_database() as connection:
        apply_policy(connection, POLICY + EDGE, "digits.yaml")
    folders = {
        name: make_model(project / "models" / name, seed) for seed, name in enumerate(("slow", "fast"))
    }
    publish_model(client, folders["slow"], evidence=measured(folders["slow"], "slow", 0.98, 5))
    publish_model(client, folders["fast"], evidence=measured(folders["fast"], "fast", 0.95, 1))
    return folders


def test_versions_of_another_task_than_the_newest_are_named_and_not_held_against_it(
    registered: dict[str, Path], client: MlflowClient, project: Path
) -> None:
    folder = make_model(project / "models" / "masks", 7)
    about = measured(folder, "masks", 0.98, 5)
    miou = {"test.miou": Metric(value=0.4, n=99), "validation.miou": Metric(value=0.4, n=50)}
    by = Headline(metric="test.miou", chosen_by="validation.miou", label="mIoU")
    changes = {"task": "segmentation", "headline": by, "metrics": miou}
    publish_model(client, folder, evidence=about.model_copy(update=changes))
    found = read_portfolio(NAME, project / "reports")
    assert [entry.name for entry in found.entries] == ["masks"]
    assert sorted(each.split(":")[0] for each in found.unknown) == ["v1 slow", "v2 fast"]
    assert all("top-1" in each and "mIoU" in each for each in found.unknown)


def write_export(reports: Path, member: str, exported_from: str, **more: Any) -> None:
    metrics = {
        "test.top1": {"value": 0.98, "n": 360, "low": 0.96, "high": 0.99, "method": "wilson 0.95"},
        "edge-cpu.latency_p95_ms": {"value": 0.5, "n": 100, "unit": "ms"},
    }
    found = {"exported_from": exported_from, "metrics": metrics, "hardware": {}, "skipped": {}} | more
    write_json(reports / "formats" / f"{member}.json", {"member": member, "formats": {"onnx": found}})


def test_the_command_says_what_is_proposed_for_each_alias_and_why(
    registered: dict[str, Path], run: Runner, project: Path
) -> None:
    said = run("portfolio", "--output", "page.html")
    assert "@champion: v1 slow" in said
    assert "@champion-edge: v2 fast" in said
    assert "v1 slow refused: edge-cpu.latency_p95_ms 5 ms" in said
    assert "…" not in said, "nothing is cut off"
    assert "v2 fast" in (project / "page.html").read_text()


def test_for_programs_it_gives_numbers_with_intervals_budgets_and_choices(
    registered: dict[str, Path], run: Runner
) -> None:
    found = json.loads(run("portfolio", NAME, "--json"))
    assert found["profiles"] == ["edge-cpu", "server-cpu"]
    slow, fast = found["entries"]
    assert slow["metrics"]["test.top1"] == {
        "value": 0.98, "n": 360, "low": 0.96, "high": 0.985, "method": "wilson 0.95", "unit": None,
    }  # fmt: skip
    assert (slow["version"], slow["disturbed"], fast["dominated_by"]) == (1, ["edge-cpu"], None)
    limits = {(each["target"], each["metric"]): each["limit"] for each in found["budgets"]}
    assert limits == {
        ("@champion", "test.top1"): 0.95,
        ("@champion-edge", "edge-cpu.latency_p95_ms"): 2,
        ("@champion-edge", "edge-cpu.peak_memory_mb"): 512,
    }
    proposed = {each["target"]: each["proposed"] for each in found["choices"]}
    assert proposed == {"@champion": 1, "@champion-edge": 2}


def test_the_proposal_is_the_one_that_becomes_challenger(
    registered: dict[str, Path], client: MlflowClient
) -> None:
    found = read_portfolio(NAME, Path("reports"))
    scores = {entry.name: entry.score for entry in found.entries}
    candidates = judge_candidates(client, NAME, {"slow": 1, "fast": 2})
    chosen = found.choices[0].proposed
    assert chosen is not None
    assert propose(client, NAME, candidates, scores) == chosen.name == "slow"
    assert read_portfolio(NAME, Path("reports")).entries[0].aliases == ("challenger",)


def test_an_export_measured_here_is_shown_where_it_was_made_from_a_version_and_is_none_itself(
    registered: dict[str, Path], project: Path
) -> None:
    write_export(Path("reports"), "slow", model_digest(registered["slow"]))
    write_export(Path("reports"), "stranger", "f" * 64)
    found = read_portfolio("", Path("reports"))
    assert [(entry.label, entry.format) for entry in found.entries][2:] == [("slow-onnx", "onnx")]
    assert "slow-onnx, which is" not in found.choices[0].reason, "its memory was not measured"


def test_an_export_that_was_refused_is_named_by_the_word_of_its_members_evidence(
    client: MlflowClient, registered: dict[str, Path], project: Path, run: Runner
) -> None:
    refusal = "refused, loses 1.1 points (0.3-2.8), allowed 0.5 (360 images)"
    said = measured(registered["slow"], "slow", 0.98, 5)
    told = said.model_copy(update={"exports": {"onnx": "written", "int8": refusal}})
    publish_model(client, registered["slow"], evidence=told)
    assert json.loads(run("portfolio", "--json"))["refused"] == [f"slow-int8: {refusal}"]
    assert f"slow-int8: {refusal}" in run("portfolio", "--output", "page.html")
    page = (project / "page.html").read_text()
    assert f"<h2>Exports that were refused</h2><ul><li>slow-int8: {refusal}</li></ul>" in page


@pytest.mark.parametrize(
    "more", [{"metrics": {}}, {"metrics": {"test.top1": {"value": "x"}}}, {"hardware": 1}]
)
def test_a_damaged_report_is_named(registered: dict[str, Path], more: dict[str, Any]) -> None:
    write_export(Path("reports"), "slow", model_digest(registered["slow"]), **more)
    with pytest.raises(DataError, match=r"reports/formats/slow.json holds no measured exports"):
        read_portfolio("", Path("reports"))


def test_of_a_member_trained_again_the_newest_version_is_shown_and_the_one_with_an_alias(
    registered: dict[str, Path], client: MlflowClient, project: Path
) -> None:
    client.set_registered_model_alias(NAME, "champion", "1")
    for seed in (2, 3):
        folder = make_model(project / "models" / f"slow{seed}", seed)
        publish_model(client, folder, evidence=measured(folder, "slow", 0.97, 4))
    labels = [entry.label for entry in read_portfolio(NAME, Path("reports")).entries]
    assert labels == ["v1 slow", "v2 fast", "v4 slow"]


def test_a_version_whose_evidence_is_not_believed_is_named_and_not_drawn(
    registered: dict[str, Path], run: Runner
) -> None:
    with open_database() as connection:
        revoke_key(connection, open_key("pipeline").public.id)
    said = run("portfolio")
    assert "Not shown: v1 slow" in said
    assert "No version passes" in said


def test_nothing_registered_and_a_name_that_nobody_has_are_told(
    client: MlflowClient, published: Publisher
) -> None:
    with pytest.raises(ConfigError, match="Nothing is registered yet"):
        read_portfolio("", Path("reports"))
    published()
    with pytest.raises(ConfigError, match="resnet-ops registry ls"):
        read_portfolio("nobody", Path("reports"))
    publish_model(client, Path("models/tiny"), registered_model="other")
    with pytest.raises(ConfigError, match="digits-classifier, other"):
        read_portfolio("", Path("reports"))


def test_without_a_policy_there_are_no_choices_and_the_command_says_how_to_apply_one(
    client: MlflowClient, published: Publisher, run: Runner
) -> None:
    published()
    assert "No policy governs digits-classifier" in run("portfolio")


def test_a_page_is_published_once_and_again_only_when_it_changed(client: MlflowClient, project: Path) -> None:
    links = {publish_portfolio(client, "digits", NAME, "<p>1</p>") for _ in range(2)}
    other = publish_portfolio(client, "digits", "other", "<p>2</p>")
    assert len(links) == 1
    link = links.pop()
    assert other != link
    experiment, run_id = link.split("/")[2], link.split("/")[4]
    changed = client.get_run(run_id).data.tags
    assert publish_portfolio(client, "digits", NAME, "<p>3</p>") == link
    assert client.get_run(run_id).data.tags != changed
    assert len(client.search_runs([experiment])) == 2
    path = client.download_artifacts(run_id, "portfolio/index.html", str(project))
    assert Path(path).read_text() == "<p>3</p>"
