"""An export that is perturbed on purpose is refused by name, and the rest of the family goes on."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.project import Project

pytestmark = pytest.mark.e2e


def read(project: Project, name: str) -> Any:
    return json.loads((project.folder / name).read_text())


def spoil_int8(project: Project) -> None:
    """Ranges from a single image, in 8 bits a weight; and no processor's int8 comes within this limit of a logit."""
    file = project.folder / "params.yaml"
    text = file.read_text()
    for before, after in (
        ("images: 512, reduce_range: true", "images: 1, reduce_range: false"),
        ("int8: {max_logit_difference: 2.0", "int8: {max_logit_difference: 0.001"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    file.write_text(text)


@pytest.fixture(scope="module")
def perturbed(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """As after a first run on a machine that spoils int8: the registry is empty before, nothing is trained again."""
    project = reproduced.copy(tmp_path_factory.mktemp("spoilt") / "checkout", without=("var",))
    spoil_int8(project)
    said = project.repro()
    assert "Running stage 'train_model" not in said
    assert "Running stage 'export_model@resnet20'" in said
    return project


def test_three_members_are_registered_and_judged_without_the_refused_export(perturbed: Project) -> None:
    assert {version["member"] for version in perturbed.versions()} == {"resnet8", "resnet14", "resnet20"}
    gates, registered = read(perturbed, "reports/gates.json"), read(perturbed, "reports/registered.json")
    assert [each["member"] for each in gates["candidates"]] == ["resnet8", "resnet14", "resnet20"]
    refusal = gates["refused"]["resnet20-int8"]
    assert refusal == registered["resnet20-int8"]["refused"]
    assert refusal.startswith("refused, a logit differs by ")
    assert re.search(r" \(\d+ images\)$", refusal)


def test_the_refused_format_leaves_no_file_and_no_number(perturbed: Project) -> None:
    for member in ("resnet8", "resnet14", "resnet20"):
        formats = read(perturbed, f"reports/export/{member}/formats.json")
        assert {name for name, each in formats.items() if each["digest"]} == {"pt2", "onnx"}
        assert {path.name for path in (perturbed.folder / "exports" / member).iterdir()} == {"pt2", "onnx"}
        assert f"{member}-int8" not in (perturbed.folder / "reports/portfolio/portfolio.csv").read_text()
    for stage in ("evaluation", "benchmark"):
        folder = perturbed.folder / "reports" / stage / "resnet20-int8"
        assert [path.name for path in folder.iterdir()] == ["refused.json"]
    shown = json.loads(perturbed.run("dvc", "metrics", "show", "--json").stdout)
    told = shown[""]["data"]["reports/evaluation/resnet20-int8.json"]["data"]
    assert told.keys() == {"refused"}


def test_summary_portfolio_and_card_name_the_refused_export(perturbed: Project) -> None:
    refusal = read(perturbed, "reports/gates.json")["refused"]["resnet20-int8"]
    summary = perturbed.run("python", "-m", "resnet_ops_pipelines.show_summary", COLUMNS="400")
    assert summary.returncode == 0, summary.stderr
    assert f"resnet20-int8: {refusal}" in summary.stdout
    assert f"resnet20-int8: {refusal}" in (perturbed.folder / "reports/portfolio/index.html").read_text()
    number = next(each["version"] for each in perturbed.versions() if each["member"] == "resnet20")
    card = perturbed.run("resnet-ops", "card", "digits-classifier", str(number), "--json", COLUMNS="400")
    assert card.returncode == 0, card.stderr
    assert f"As int8: {refusal}." in json.loads(card.stdout)["limits"]


def test_a_version_that_was_registered_before_its_export_was_refused_stays(
    perturbed: Project, reproduced: Project, tmp_path: Path
) -> None:
    project = reproduced.copy(tmp_path / "registered")
    before = project.versions()
    for name in ("params.yaml", "dvc.lock"):
        (project.folder / name).write_bytes((perturbed.folder / name).read_bytes())
    for name in ("reports", "exports"):
        project.run("rm", "-rf", name)
        project.run("cp", "-r", str(perturbed.folder / name), name)
    done = project.run("python", "-m", "resnet_ops_pipelines.register_models")
    assert done.returncode == 0, done.stderr
    assert [v["weights_digest"] for v in project.versions()] == [v["weights_digest"] for v in before]
    assert "resnet20-int8" in {version["member"] for version in project.versions()}


def test_repeating_changes_nothing_where_an_export_was_refused(perturbed: Project) -> None:
    lock = (perturbed.folder / "dvc.lock").read_bytes()
    said = perturbed.repro()
    assert "Running stage 'export_model" not in said
    assert "Running stage 'evaluate_export" not in said
    assert (perturbed.folder / "dvc.lock").read_bytes() == lock
