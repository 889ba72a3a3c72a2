"""The whole pipeline, as a person runs it: `dvc repro` in a checkout."""

import base64
import json
import shutil
import sqlite3
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from tests.e2e.project import ROOT, Project

pytestmark = pytest.mark.e2e


def read(project: Project, name: str) -> object:
    return json.loads((project.folder / name).read_text())


def test_the_best_member_reads_more_than_97_percent_of_the_test_images(reproduced: Project) -> None:
    folder = reproduced.folder / "reports/evaluation"
    best = max(json.loads(path.read_text())["test"]["top1"] for path in folder.glob("*/metrics.json"))
    assert best > 0.97


def test_some_members_pass_the_gate_and_others_are_refused_with_numbers(reproduced: Project) -> None:
    gates = read(reproduced, "reports/gates.json")
    assert isinstance(gates, dict)
    verdicts = {c["member"]: c["refusals"] for c in gates["candidates"]}
    assert verdicts["resnet8"]["@champion-edge"] is None
    assert "test.top1" in verdicts["resnet8"]["@champion"]
    assert verdicts["resnet20"]["@champion"] is None
    assert "size.bytes" in verdicts["resnet20"]["@champion-edge"]
    assert verdicts["resnet20-int8"]["@champion-edge"] is None, "in 8 bits it is small enough"
    assert gates["challenger"] in ("resnet14", "resnet20", "resnet20-int8")


def test_the_portfolio_holds_every_member_in_every_format_and_proposes_for_each_alias(
    reproduced: Project,
) -> None:
    done = reproduced.run("resnet-ops", "portfolio", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    members, written = ("resnet8", "resnet14", "resnet20"), set()
    for member in members:
        formats = read(reproduced, f"reports/export/{member}/formats.json")
        assert isinstance(formats, dict)
        assert set(formats) == {"pt2", "onnx", "int8"}
        written |= {f"{member}-{name}" for name, made in formats.items() if made["digest"]}
    assert {f"{member}-onnx" for member in members} <= written, "8 bits may lose too much on some processors"
    assert {entry["name"] for entry in found["entries"]} == {*members, *written}
    for entry in found["entries"]:
        for metric in ("test.top1", "server-cpu.latency_p95_ms", "edge-cpu.latency_p95_ms"):
            measured = entry["metrics"][metric]
            assert measured["low"] <= measured["value"] <= measured["high"]
    proposed = {choice["target"]: choice["proposed"] for choice in found["choices"]}
    gates, registered = read(reproduced, "reports/gates.json"), read(reproduced, "reports/registered.json")
    assert isinstance(gates, dict)
    assert isinstance(registered, dict)
    assert proposed["@champion"] == registered[gates["challenger"]]["version"]
    assert proposed["@champion-edge"] == registered["resnet20-int8"]["version"]
    page = (reproduced.folder / "reports/portfolio/index.html").read_text()
    assert "@champion-edge: v4 resnet20-int8" in page


DOCUMENTED = [
    *(
        "validation.top1",
        "test.top1",
        "test.top5",
        "test.recall.*",
        "test.precision.*",
        "test.worst_class_recall",
        "test.macro_f1",
    ),
    *("test.slice.class_name.*", "test.slice.brightness.1of4", "test.worst_slice", "test.unmeasured.*"),
    "test.worst_slice.class_name",
    *("test.ece", "test.brier", "test.nll", "calibrated.temperature"),
    *("calibrated.ece", "calibrated.brier", "calibrated.nll"),
    *("robustness.accuracy.fog", "robustness.mean_accuracy", "robustness.severity.5"),
    *("robustness.worst_accuracy", "robustness.clean_accuracy", "robustness.drop"),
    *(
        "edge-cpu.latency_p50_ms",
        "edge-cpu.latency_p95_ms",
        "edge-cpu.latency_p99_ms",
        "edge-cpu.memory_share",
    ),
    *("server-cpu.latency_p99_ms", "server-cpu.batch64.latency_p99_ms", "server-cpu.throughput_ips"),
    *(
        "server-cpu.best_batch",
        "server-cpu.load_ms",
        "server-cpu.first_request_ms",
        "server-cpu.peak_memory_mb",
    ),
    *("size.bytes", "size.parameters", "compute.flops", "data.test.images"),
]
"""What docs/evaluation.md and docs/benchmark.md promise. Energy is there where the machine tells."""
OF_EXPORTS = ["export.accuracy_loss", "export.equal_predictions", "export.max_logit_difference"]


def test_the_signed_evidence_of_members_and_exports_holds_every_documented_measure(
    reproduced: Project,
) -> None:
    copies = list(reproduced.folder.glob("var/artifacts/*/*/artifacts/evidence/statement.json"))
    signed = [json.loads(base64.b64decode(json.loads(path.read_text())["payload"])) for path in copies]
    assert sorted(each["predicate"]["member"] for each in signed) == [
        *("resnet14", "resnet20", "resnet20-int8", "resnet8")
    ]
    for each in (statement["predicate"] for statement in signed):
        names = [*DOCUMENTED, *(OF_EXPORTS if each["exported_from"] else [])]
        found = each["metrics"]
        lacking = [name for name in names if not any(fnmatchcase(metric, name) for metric in found)]
        assert lacking == [], each["member"]


def test_the_clean_window_is_quiet_and_the_dirty_camera_alarms_with_a_reason(reproduced: Project) -> None:
    summary = read(reproduced, "reports/drift/summary.json")
    assert isinstance(summary, list)
    verdicts = [(window["traffic"], window["verdict"]) for window in summary]
    assert verdicts == [
        *[("as-recorded", "ok")] * 2,
        ("dirty-camera", "warning"),  # one alone is not an alarm
        ("dirty-camera", "alarm"),
    ]
    assert "class" in summary[-1]["reason"]


def test_the_monitor_gives_the_same_verdicts_over_the_same_log_to_the_number(
    reproduced: Project, tmp_path: Path
) -> None:
    project = reproduced.copy(tmp_path / "watched")
    with sqlite3.connect(project.folder / "var/inference.db") as log:
        log.execute("DELETE FROM verdicts")
    log.close()
    watching = (
        "resnet-ops",
        "monitor",
        "run",
        "--alias",
        "challenger",
        "--until",
        "2026-01-06T10:05Z",
        "--json",
    )
    done = project.run(*watching)
    assert done.returncode == 1, "an alarm lasts: " + done.stderr
    folders = sorted((project.folder / "reports/drift").glob("*/verdict.json"))
    assert len(folders) == 4
    found = [read(project, f"reports/drift/{path.parent.name}/verdict.json") for path in folders]
    assert found == [read(project, f"var/monitor/{path.parent.name}/verdict.json") for path in folders]


def test_repeating_changes_nothing_and_makes_no_second_version(reproduced: Project) -> None:
    lock, before = (reproduced.folder / "dvc.lock").read_bytes(), reproduced.versions()
    said = reproduced.repro()
    assert "Running stage 'train_model" not in said
    assert "Running stage 'monitor_drift'" not in said
    assert reproduced.versions() == before
    assert (reproduced.folder / "dvc.lock").read_bytes() == lock


def test_a_clone_with_dvcs_cache_fills_an_empty_registry_without_training(
    reproduced: Project, tmp_path: Path
) -> None:
    outputs = ("var", "data", "models", "exports", "reports")
    clone = reproduced.copy(tmp_path / "clone", without=outputs)
    said = clone.repro()
    assert "Running stage 'train_model" not in said
    assert len(clone.versions()) == 4
    assert read(clone, "reports/gates.json") == read(reproduced, "reports/gates.json")


def test_a_wiped_registry_is_filled_again(reproduced: Project, tmp_path: Path) -> None:
    project = reproduced.copy(tmp_path / "wiped")
    before = project.versions()
    shutil.rmtree(project.folder / "var")
    said = project.repro()
    assert "Running stage 'train_model" not in said
    assert [v["weights_digest"] for v in project.versions()] == [v["weights_digest"] for v in before]
    assert "Running stage 'monitor_drift'" in said, "the reports must be published into the new registry too"


def test_a_policy_that_nobody_passes_ends_in_the_table_and_monitoring_waits(
    reproduced: Project, tmp_path: Path
) -> None:
    project = reproduced.copy(tmp_path / "strict", without=("var",))
    policy = project.folder / "policies/digits-classifier.yaml"
    policy.write_text(policy.read_text().replace("min: 0.95\n", "min: 0.9999\n"))
    assert "nothing to monitor" in project.repro()
    assert read(project, "reports/serving.json")["version"] is None  # type: ignore[index]
    assert (read(project, "reports/windows.json"), read(project, "reports/drift/summary.json")) == ({}, [])
    done = project.run("python", "-m", "resnet_ops_pipelines.show_summary")
    assert done.returncode == 0, done.stderr
    gates = read(project, "reports/gates.json")
    assert isinstance(gates, dict)
    assert all(candidate["refusals"]["@champion"] for candidate in gates["candidates"])
    assert done.stdout.count("@champion: test.top1") == len(gates["candidates"])
    assert "nothing to monitor. The table says what each version lacks" in done.stdout
    assert project.run("resnet-ops", "promote", "digits-classifier", "1", "champion").returncode == 1


def test_the_commands_that_dvc_users_know_work(reproduced: Project, tmp_path: Path) -> None:
    project = reproduced.copy(tmp_path / "dvc")
    assert project.run("git", "add", "dvc.lock").returncode == 0
    assert project.run("git", "commit", "-qm", "first").returncode == 0
    shown = json.loads(project.run("dvc", "metrics", "show", "--json").stdout)
    assert "reports/evaluation/resnet20/metrics.json" in shown[""]["data"]
    plots = json.loads(project.run("dvc", "plots", "show", "--json").stdout)
    assert "errors" not in plots
    assert "reports/training/resnet20.csv" in plots["data"]
    assert "reports/portfolio/portfolio.csv" in plots["data"]
    experiment = project.run("dvc", "exp", "run", "-S", "recipes.digits.epochs=2", "evaluate_model@resnet8")
    assert experiment.returncode == 0, experiment.stdout + experiment.stderr
    changed = json.loads(project.run("dvc", "params", "diff", "--json").stdout)
    assert changed["params.yaml"]["recipes.digits.epochs"] == {"old": 30, "new": 2, "diff": -28}
    moved = json.loads(project.run("dvc", "metrics", "diff", "--json").stdout)
    assert moved["reports/evaluation/resnet8/metrics.json"]["test.top1"]["diff"] < 0


def test_changing_a_recipe_that_no_member_has_trains_none(reproduced: Project, tmp_path: Path) -> None:
    project = reproduced.copy(tmp_path / "recipe")
    project.change("weight_decay: 0.02", "weight_decay: 0.03")
    planned = project.run("dvc", "repro", "--dry").stdout
    assert "Running stage 'register_models'" in planned
    assert "Running stage 'train_model" not in planned


def test_changing_one_member_trains_that_member_only(reproduced: Project, tmp_path: Path) -> None:
    project = reproduced.copy(tmp_path / "member")
    project.change("widths: [4, 4, 8]", "widths: [4, 8, 8]")
    planned = project.run("dvc", "repro", "--dry").stdout
    assert "Running stage 'train_model@resnet8'" in planned
    assert "Running stage 'train_model@resnet20'" not in planned


STAGES = [
    stage.get("do", stage)["cmd"].split()[2].removeprefix("resnet_ops_pipelines.")
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
]


NEWER = "cross_validate_model"
"""A stage that never was a script."""


@pytest.mark.parametrize(
    "stage", sorted({*STAGES, "check_project", "show_summary", "clean_outputs"} - {"lock_code", NEWER})
)
def test_every_stage_has_its_script(stage: str) -> None:
    assert (ROOT / "pipelines" / f"{stage}.py").read_bytes() == (ROOT / "pipelines/run_stage.py").read_bytes()


def test_a_script_is_its_stage_wherever_the_packages_are_found(checkout: Project) -> None:
    found = (str(checkout.folder / part) for part in (".", "registry", "monitoring"))
    for stage in ("check_project", "prepare_data"):
        done = checkout.run("python", f"pipelines/{stage}.py", PYTHONPATH=":".join(found))
        assert done.returncode == 0, done.stderr
        assert f"python -m resnet_ops_pipelines.{stage}" in done.stderr
    assert (checkout.folder / "data/prepared/manifest.csv").is_file()
    checkout.change("seed: 0\n\n", "seed: [0\n\n")
    assert checkout.run("python", "pipelines/check_project.py").returncode == 1
