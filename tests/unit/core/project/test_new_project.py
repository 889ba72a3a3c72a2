"""`resnet-ops init` writes a project that stands on its own."""

import csv
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops.data import load_prepared
from resnet_ops.errors import ConfigError
from resnet_ops.files import read_json
from resnet_ops.params import parse_params
from resnet_ops.tasks.task import Segmentation
from resnet_ops_pipelines import prepare_data, validate_data
from resnet_ops_pipelines.new_project.commands import add_commands
from resnet_ops_pipelines.new_project.telling import is_parted
from resnet_ops_pipelines.new_project.writing import (
    refuse_existing,
    refuse_overlap,
    write_project,
)
from resnet_ops_pipelines.project_checks.names import check_names, left_from_digits
from resnet_ops_pipelines.project_params import Params
from resnet_ops_registry.gate.policy_file import read_policy
from tests.unit.core.project.new_images import write_csv, write_folder


def init(*words: str) -> tuple[int, str]:
    app = build_app()
    if "init" not in {command.name for command in app.registered_commands}:
        add_commands(app)  # the installation is of an earlier commit
    done = CliRunner().invoke(app, ["init", *words], env={"COLUMNS": "200"})
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_project_has_valid_settings_a_valid_policy_and_the_splits_that_it_was_promised(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(place / "parts", {"good": 150, "bad": 40})
    status, said = init("parts", "--into", "line 1", "--positive", "bad", "--minutes", "5")
    assert status == 0, said
    project = place / "line 1"
    params = parse_params(project / "params.yaml", Params)
    check_names(params)
    assert left_from_digits(params) == []
    assert params.register.model == "line-1"
    assert (params.data.channels, params.data.image_size, params.data.root) == (1, 8, str(place / "parts"))
    cameras = {name: window.camera for name, window in params.monitor.windows.items()}
    assert cameras == {"as-recorded": "as_recorded", "ageing-lamp": "darkened 4"}
    point = params.evaluate.operating_point
    assert point is not None
    assert point.positive == ("bad",)
    recipe = params.recipes["one-cycle"]
    assert recipe.imbalance is None, "the operating point makes up for 3.75 good ones to a bad one"
    policy = read_policy((project / "policies/line-1.yaml").read_text(), "line-1.yaml")
    assert {each.metric for each in policy.guards[0].rules if each.rule == "threshold"} == {  # type: ignore[attr-defined]
        "operating.sensitivity",
        "operating.specificity",
    }
    first = [line for line in (project / "params.yaml").read_text().splitlines() if line[:1].isalpha()]
    assert [line.partition(":")[0] for line in first][:4] == ["register", "data", "family", "members"]
    monkeypatch.chdir(project)
    prepare_data.main()
    with (project / "data/prepared/manifest.csv").open() as file:
        splits = Counter(row["split"] for row in csv.DictReader(file))
    assert all(f"{split} {count}" in said for split, count in splits.items()), (splits, said)


@pytest.mark.slow
def test_images_in_folders_of_splits_become_a_project_that_keeps_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(
        place / "parts", {"train/good": 90, "train/bad": 90, "test/good": 60, "test/bad": 60, "notes": 1}
    )
    status, said = init("parts", "--into", "kept", "--minutes", "1")
    assert status == 0, said
    assert "train for train and validation; test for test and production" in said
    project = place / "kept"
    assert parse_params(project / "params.yaml", Params).data.source == "split_folders"
    monkeypatch.chdir(project)
    prepare_data.main()
    found = Counter[tuple[str, str]]()
    for folder in ("prepared", "production"):
        with (project / f"data/{folder}/manifest.csv").open() as file:
            found.update((row["path"].split("/")[0], row["split"]) for row in csv.DictReader(file))
    assert found.keys() == {
        ("train", "train"),
        ("train", "validation"),
        ("test", "test"),
        ("test", "production"),
    }
    assert found.total() == 300


def test_the_file_by_which_yolos_own_tools_know_a_data_set_stands_for_its_folder(place: Path) -> None:
    (place / "parts").mkdir()
    (place / "parts/data.yaml").write_text("names: [nut]\n")
    status, said = init("parts/data.yaml", "--into", "parts/project")
    assert status != 0
    assert "inside of the image folder parts," in said
    (place / "parts/data.yaml").unlink()
    assert "parts/data.yaml does not exist" in init("parts/data.yaml", "--into", "made")[1]
    (place / "parts/data.yaml").mkdir()
    assert "parts/data.yaml: 0 class folder(s)" in init("parts/data.yaml", "--into", "made")[1]


@pytest.mark.parametrize(
    ("folders", "parted"),
    [
        (("test/images", "valid/images"), True),
        (("images/Val", "images/test"), True),
        (("train", "nuts"), False),
        ((".",), False),
    ],
)
def test_folders_that_seem_to_be_splits_are_known(
    tmp_path: Path, folders: tuple[str, ...], parted: bool
) -> None:
    assert is_parted([tmp_path / folder / "1.png" for folder in folders], tmp_path) == parted


@pytest.mark.slow
def test_images_with_masks_become_a_project_that_reads_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws, folders = np.random.default_rng(0), [place / "parts" / part / "line" for part in ("train", "test")]
    for folder in folders:
        folder.mkdir(parents=True)
    for number in range(100):
        image, mask = draws.integers(0, 90, (16, 16)), np.zeros((16, 16))
        if number % 4:
            mask[number % 8 : number % 8 + 6, 4:9] = 255
        Image.fromarray((image + mask / 3).astype(np.uint8)).save(folders[number % 2] / f"{number}.png")
        Image.fromarray(mask.astype(np.uint8)).save(folders[number % 2] / f"{number}_mask.png")
    status, said = init("parts", "--into", "scratches", "--minutes", "5")
    assert status == 0, said
    assert "segmentation: masks *_mask.png" in said
    assert "train for train and validation; test for test and production" in said
    project = place / "scratches"
    params = parse_params(project / "params.yaml", Params)
    check_names(params)
    assert isinstance(params.data.chosen_task, Segmentation)
    assert params.data.source == "split_folders"
    read_policy((project / "policies/scratches.yaml").read_text(), "scratches.yaml")
    monkeypatch.chdir(project)
    prepare_data.main()
    prepared = load_prepared(project / "data/prepared")
    assert prepared.classes == ("background", "foreground")
    assert {(row.path.split("/")[0], row.split) for row in prepared.rows} == {
        ("train", "train"),
        ("train", "validation"),
        ("test", "test"),
    }
    assert f"train {len(prepared.split('train'))}" in said


@pytest.mark.slow
def test_grey_of_12_bits_is_kept_up_to_the_network(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(place / "parts", {"good": 60, "bad": 60}, bits=12)
    status, said = init("parts", "--into", "deep", "--minutes", "1")
    assert status == 0, said
    assert "grey of 12 bits" in said
    assert "depth: 16" in said
    project = place / "deep"
    data = parse_params(project / "params.yaml", Params).data
    assert (data.channels, data.grey_bits, data.depth) == (1, 12, 16)
    monkeypatch.chdir(project)
    prepare_data.main()
    prepared = load_prepared(project / "data/prepared")
    assert prepared.images.dtype == np.uint16
    assert len(np.unique(prepared.images)) > 256
    validate_data.main()
    assert read_json(project / "reports/data/validation.json")["passed"]


@pytest.mark.slow
def test_images_with_boxes_become_a_project_that_reads_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")
    from tests.unit.core.tasks.drawn_boxes import CLASSES, write_boxes

    root = write_boxes(place / "parts", 120)
    with (root / "boxes.csv").open("a") as file:
        file.write("001.png,bright,30,4,40,9\n")
    status, said = init("parts", "--into", "found", "--minutes", "0.1")
    assert status == 0, said
    assert "1 faults" in said
    assert "reaches out of the image" in said
    project = place / "found"
    params = parse_params(project / "params.yaml", Params)
    check_names(params)
    assert params.data.detection is not None
    assert (params.data.detection.classes, params.data.fit) == (CLASSES, "pad")
    read_policy((project / "policies/found.yaml").read_text(), "found.yaml")
    monkeypatch.chdir(project)
    prepare_data.main()
    prepared = load_prepared(project / "data/prepared")
    assert prepared.classes == ("background", *CLASSES)
    assert f"train {len(prepared.split('train'))}" in said


@pytest.mark.slow
def test_a_csv_file_with_patients_becomes_a_grouped_project_and_a_second_init_changes_nothing(
    place: Path,
) -> None:
    file = write_csv(place, patients=120, each=2)
    status, said = init(str(file), "--into", "study", "--minutes", "5")
    assert status == 0, said
    params = parse_params(place / "study/params.yaml", Params)
    assert (params.data.source, params.data.group) == ("csv", "patient")
    assert "120 by column patient" in said
    before = {path: path.read_bytes() for path in (place / "study").rglob("*") if path.is_file()}
    status, said = init(str(file), "--into", "study")
    assert status != 0
    assert "nothing is overwritten" in said
    assert {path: path.read_bytes() for path in (place / "study").rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_what_cannot_be_a_project_leaves_no_folder_behind(place: Path) -> None:
    write_folder(place / "one", {"good": 30})
    write_folder(place / "few", {"a": 6, "b": 6})
    for words, reason in (
        (["one"], "not 2"),
        (["few"], "no policy could tell"),
        (["few", "--positive", "c"], "an operating point is proposed for one of two classes"),
        (["nowhere"], "does not exist"),
    ):
        status, said = init(*words, "--into", "project")
        assert status != 0
        assert reason in said
    assert not (place / "project").exists()


@pytest.mark.parametrize(
    ("name", "instead"), [("parts: v2", "parts-v2"), ("a/b", "a-b"), ("#parts", "parts"), ("..", "parts")]
)
def test_a_name_that_no_file_or_address_takes_is_refused_with_one_that_they_take(
    place: Path, name: str, instead: str
) -> None:
    write_folder(place / "images", {"good": 3, "bad": 3})
    status, said = init("images", "--into", "project", "--name", name)
    assert status != 0
    assert f"Write: --name {instead}" in said
    assert not (place / "project").exists()


@pytest.mark.parametrize(
    ("images", "into", "remedy"),
    [
        ("images", "images", "--into {place}/images-model"),
        ("images", "images/model", "--into {place}/model"),
        ("images", ".", ""),
        ("project/data", "project", "Move them to {place}/project/images"),
        ("project/data/prepared/raw", "project", "Move them to {place}/project/images"),
        ("project/models", "project", "Move them to {place}/project/images"),
        ("project/var/images", "project", "Move them to {place}/project/images"),
        ("project/data/raw", "project", ""),
        ("project/images", "project", ""),
    ],
)
def test_images_where_stages_write_or_a_project_lies_are_refused_before_anything_is_written(
    place: Path, images: str, into: str, remedy: str
) -> None:
    write_folder(place / images, {"good": 3, "bad": 3})
    before = sorted(place.rglob("*"))
    status, said = init(images, "--into", into, "--name", "parts")
    assert status != 0
    said = " ".join(said.split())
    assert (remedy.format(place=place) if remedy else "has only 3 different images") in said
    assert sorted(place.rglob("*")) == before


def test_a_list_of_images_may_lie_in_the_project_but_not_where_stages_write(tmp_path: Path) -> None:
    for name in ("images.csv", "data/images.csv", "data/reference/images.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("path,class\n")
    refuse_overlap(tmp_path / "images.csv", tmp_path)
    refuse_overlap(tmp_path / "data/images.csv", tmp_path)
    with pytest.raises(ConfigError, match="write data/reference"):
        refuse_overlap(tmp_path / "data/reference/images.csv", tmp_path)


def test_a_project_below_a_git_repository_gets_dvc_of_its_own_and_keeps_what_is_there(place: Path) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    inside = place / "models/parts"
    inside.mkdir(parents=True)
    (inside / "README.md").write_text("ours\n")
    (inside / ".gitignore").write_text("/var/\nsecret")
    write_project(inside, {"README.md": "new\n", "params.yaml": "seed: 0\n"})
    assert not (inside / ".git").exists()
    assert (inside / ".dvc/config").exists()
    assert (inside / "README.md").read_text() == "ours\n"
    ignored = (inside / ".gitignore").read_text().splitlines()
    assert ignored[:2] == ["/var/", "secret"]
    assert ignored.count("/var/") == 1
    assert "/reports/" in ignored
    with pytest.raises(ConfigError, match=r"params.yaml, dvc.yaml already, and nothing is overwritten"):
        refuse_existing(inside, "parts")
