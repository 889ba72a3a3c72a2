"""What goes wrong on a bad day: one message that names the setting or file and the remedy; a later run continues."""

import csv
import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from resnet_ops.model import load_model
from resnet_ops.model_files import model_digest
from tests.e2e.disks import Disk, mount_namespace, run_with_disk
from tests.e2e.project import Project
from tests.serving import free_port

pytestmark = pytest.mark.e2e

DISKS: tuple[Disk, ...] = ("full", "read-only")


@pytest.fixture
def project(reproduced: Project, tmp_path: Path) -> Project:
    """A checkout in which everything has run, with a short recipe for the next training."""
    copy = reproduced.copy(tmp_path / "project")
    copy.change("epochs: 30", "epochs: 1")
    return copy


def stage(name: str, *arguments: str) -> list[str]:
    return ["python", "-m", f"resnet_ops_pipelines.{name}", *arguments]


def says(done: Any, task: str, *parts: str) -> None:
    """The command failed with one message, and these parts (regular expressions) are in it."""
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.startswith(f"{task}: "), done.stderr
    assert done.stderr.count(f"{task}: ") == 1
    for part in parts:
        assert re.search(part, done.stderr), f"no {part!r} in {done.stderr}"


def works(project: Project, *command: str) -> str:
    done = project.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- params.yaml

MISTAKES = {  # what: what stands there, what is written instead, what is said
    "a wrong key": (
        "epochs: 1\n",
        "epocs: 1\n",
        r"recipes\.digits\.epochs is missing; recipes\.digits\.epocs is not a known setting",
    ),
    "a wrong type": (
        "epochs: 1\n",
        "epochs: twelve\n",
        r"recipes\.digits\.epochs: .*valid integer.*got 'twelve'",
    ),
    "out of range": ("epochs: 1\n", "epochs: -1\n", r"recipes\.digits\.epochs is -1, but must be above 0"),
    "no such member": (
        "family: {resnet8:",
        "family: {resnet9:",
        r"family names resnet9; members are resnet8, ",
    ),
    "broken YAML": (
        "seed: 0\n\n",
        "seed: [0\n\n",
        r"(?s)not valid YAML.*line 2.*git checkout -- params\.yaml",
    ),
}


def test_a_mistake_in_a_setting_is_named_and_correcting_it_is_enough(project: Project) -> None:
    for right, wrong, message in MISTAKES.values():
        project.change(right, wrong)
        says(project.run(*stage("prepare_data")), "prepare_data", r"params\.yaml", message)
        project.change(wrong, right)
    works(project, *stage("prepare_data"))


def test_dvc_says_which_stage_failed_and_runs_on_once_it_is_corrected(project: Project) -> None:
    project.change("epochs: 1\n", "epochs: twelve\n")
    done = project.run("dvc", "repro", "train_model@resnet8")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    assert "train_model resnet8: params.yaml: recipes.digits.epochs: " in done.stderr
    assert "failed to reproduce 'train_model@resnet8'" in done.stderr
    project.change("epochs: twelve\n", "epochs: 1\n")
    assert "epoch 1/1" in project.repro("train_model@resnet8")


def test_make_repro_explains_what_dvc_would_not(project: Project) -> None:
    make = ("make", "--silent", "--old-file", ".venv/.installed", "repro")
    project.change("seed: 0\n\n", "seed: [0\n\n")
    says(project.run(*make), "check_project", r"params\.yaml is not valid YAML")
    project.change("seed: [0\n\n", "seed: 0\n\n")
    project.change("root: resnet_ops/data/sources.py", "root: null")
    says(project.run(*make), "check_project", r"params\.yaml: data\.root is None", "Name your image folder")
    project.change("source: digits", "source: imagefolder")
    project.change("root: null", "root: nowhere")
    says(
        project.run(*make),
        "check_project",
        "image folder nowhere is missing",
        r"Set data\.root in params\.yaml",
    )


def test_what_the_machine_cannot_do_is_said_before_anything_is_trained(checkout: Project) -> None:
    checkout.change("  threads: 1              # of each", "  threads: 4096              # of each")
    checkout.change("  server-cpu: {device: cpu, threads: 1", "  server-cpu: {device: cpu, threads: 4096")
    said = works(checkout, *stage("check_project"))
    assert re.search(r"train\.threads is 4096, but this process may use \d+ core", said)
    assert re.search(
        r"benchmark\.profiles\.server-cpu\.threads is 4096, .* is not what that device does", said
    )
    checkout.change("device: cpu             # cpu or cuda", "device: cuda")
    if not torch.cuda.is_available():
        says(
            checkout.run(*stage("check_project")),
            "check_project",
            r"train\.device is cuda",
            "to cpu in params",
        )


# --- one's own images

CLASSES = {"bolt": (200, 60, 60), "nut": (60, 200, 60), "washer": (60, 60, 200)}


@pytest.fixture
def photos(project: Project) -> Project:
    """A checkout that reads colour photographs, 40 of each of three classes."""
    random = np.random.default_rng(0)
    for name, colour in CLASSES.items():
        folder = project.folder / "photos" / name
        folder.mkdir(parents=True)
        for number in range(40):
            pixels = np.clip(random.normal(0, 40, (32, 32, 3)) + colour, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:02d}.{'jpg' if number % 2 else 'png'}")
    for old, new in {
        "source: digits": "source: imagefolder",
        "root: resnet_ops/data/sources.py": "root: photos",
        "image_size: 8": "image_size: 32",
        "channels: 1": "channels: 3",
        "min_rows: 500": "min_rows: 100",
        "min_class_rows: 5 ": "min_class_rows: 2 ",
        "epochs: 1\n": "epochs: 2\n",
    }.items():
        project.change(old, new)
    return project


def test_ones_own_images_go_all_the_way_to_an_evaluated_model(photos: Project) -> None:
    photos.repro("evaluate_model@resnet8")
    model = load_model(photos.folder / "models" / "resnet8")
    assert (model.classes, model.image_size, model.channels) == (tuple(CLASSES), 32, 3)
    measured = json.loads((photos.folder / "reports/evaluation/resnet8/measurements.json").read_text())
    with (photos.folder / "data/prepared/manifest.csv").open(newline="") as file:
        tested = sum(row["split"] == "test" for row in csv.DictReader(file))
    assert measured["test.top1"]["n"] == tested > 9
    assert {f"test.recall.{name}" for name in CLASSES} <= set(measured)
    assert "didn't change" in photos.repro("prepare_data")
    shutil.copy(photos.folder / "photos/nut/00.png", photos.folder / "photos/nut/99.png")
    assert "Running stage 'prepare_data'" in works(photos, "dvc", "repro", "--dry", "prepare_data")


def test_a_missing_image_folder_is_named_with_its_setting(photos: Project) -> None:
    (photos.folder / "photos").rename(photos.folder / "elsewhere")
    says(
        photos.run(*stage("prepare_data")),
        "prepare_data",
        "folder photos is missing",
        r"data\.root in params\.yaml",
    )
    (photos.folder / "elsewhere").rename(photos.folder / "photos")
    works(photos, *stage("prepare_data"))


def test_all_images_that_cannot_be_read_are_listed_by_the_stage(photos: Project) -> None:
    before = (photos.folder / "data/prepared/images.npy").read_bytes()
    whole = (photos.folder / "photos/nut/01.jpg").read_bytes()
    (photos.folder / "photos/nut/01.jpg").write_bytes(whole[:300])
    (photos.folder / "photos/bolt/notes.png").write_text("not a picture")
    says(
        photos.run(*stage("prepare_data")),
        "prepare_data",
        "photos: 2 of 121 images cannot be read; replace or remove them",
        r"nut/01\.jpg \(.*[Tt]runcated",
        r"bolt/notes\.png \(.*cannot identify",
    )
    assert (photos.folder / "data/prepared/images.npy").read_bytes() == before
    done = photos.run("dvc", "repro", "prepare_data")
    assert done.returncode != 0
    assert "nut/01.jpg" in done.stderr
    assert "failed to reproduce 'prepare_data'" in done.stderr
    (photos.folder / "photos/nut/01.jpg").write_bytes(whole)
    (photos.folder / "photos/bolt/notes.png").unlink()
    found = re.findall(r"data/\w+: (\d+) images of 3 classes", photos.repro("prepare_data"))
    assert sum(map(int, found)) == 120


def test_an_empty_class_is_named(photos: Project) -> None:
    (photos.folder / "photos/screw").mkdir()
    says(
        photos.run(*stage("prepare_data")),
        "prepare_data",
        "no image in class folder screw",
        "photos/CLASS/IMAGE",
    )
    (photos.folder / "photos/screw").rmdir()
    works(photos, *stage("prepare_data"))


# --- MLflow's server


@pytest.fixture
def dead_port() -> int:
    """A port on which nothing listens."""
    return free_port()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_training_goes_on_without_mlflow_and_what_needs_it_says_so(project: Project, dead_port: int) -> None:
    server = f"http://127.0.0.1:{dead_port}"
    done = project.run(*stage("train_model", "--member", "resnet8"), MLFLOW_TRACKING_URI=server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"without a live view in MLflow. The MLflow server at {server}") == 1
    assert "epoch 1/1" in done.stdout
    for name in ("register_models", "check_gates"):
        began = time.monotonic()
        done = project.run(*stage(name), MLFLOW_TRACKING_URI=server)
        assert time.monotonic() - began < 60
        says(
            done,
            name,
            rf"{server} \(MLFLOW_TRACKING_URI\) does not answer",
            "Start it with `make ui`, .*or unset it",
        )
    said = works(project, *stage("check_gates"))
    assert "resnet20 v3 @champion: passes" in said


def test_a_server_that_never_answers_is_given_up_within_seconds(project: Project, silent_port: int) -> None:
    began = time.monotonic()
    done = project.run(*stage("check_gates"), MLFLOW_TRACKING_URI=f"http://127.0.0.1:{silent_port}")
    assert time.monotonic() - began < 60
    says(done, "check_gates", r"does not answer \(ReadTimeout\)")


# --- disks


def test_a_disk_that_refuses_the_weights_keeps_the_model_as_it_was(project: Project) -> None:
    folder = project.folder / "models" / "resnet8"
    before = model_digest(folder)
    for disk in DISKS:
        done = run_with_disk(project, disk, "models/resnet8", *stage("train_model", "--member", "resnet8"))
        says(
            done,
            "train_model resnet8",
            r"Cannot write models/resnet8/weights\.safetensors",
            "run the same command",
        )
        assert model_digest(folder) == before
    works(project, *stage("train_model", "--member", "resnet8"))
    assert model_digest(folder) != before


def test_a_disk_that_refuses_reports_is_named(project: Project) -> None:
    reports = project.folder / "reports/evaluation/resnet8"
    before = {path.name: path.read_bytes() for path in reports.iterdir()}
    for disk in DISKS:
        done = run_with_disk(project, disk, "reports", *stage("evaluate_model", "--member", "resnet8"))
        says(done, "evaluate_model resnet8", r"Cannot write reports/evaluation/resnet8/", "Free some space")
    works(project, *stage("evaluate_model", "--member", "resnet8"))
    assert {path.name: path.read_bytes() for path in reports.iterdir()} == before


def test_a_disk_that_refuses_the_registry_is_named_and_does_not_stop_training(project: Project) -> None:
    for disk in DISKS:
        done = run_with_disk(project, disk, "var", *stage("check_gates"))
        says(done, "check_gates", r"Cannot write the database var/mlflow\.db", "Free some space")
    done = run_with_disk(project, "full", "var", *stage("train_model", "--member", "resnet8"))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Cannot write the database var/mlflow.db" in done.stdout
    works(project, *stage("check_gates"))


def test_a_registry_cannot_begin_on_a_full_disk_but_can_later(project: Project) -> None:
    for name in ("var/artifacts", "var/cache"):
        shutil.rmtree(project.folder / name)
    (project.folder / "var/mlflow.db").unlink()
    done = run_with_disk(project, "full", "var", *stage("register_models"))
    says(done, "register_models", r"Cannot write the database var/mlflow\.db", "Free some space")
    assert "resnet20 registered as digits-classifier v3" in works(project, *stage("register_models"))


def test_a_disk_that_refuses_the_inference_log_is_named(project: Project) -> None:
    if not mount_namespace():
        pytest.skip("no mounting here, and a limit on all files would stop at the registry")
    command = ["env", "RESNET_OPS_INFERENCE_LOG=sqlite:///log/inference.db", *stage("score_production")]
    for disk in DISKS:
        done = run_with_disk(project, disk, "log", *command)
        says(done, "score_production", r"inference log sqlite:///log/inference\.db", "Free some space")
    sent = re.findall(r"(\d+) requests to .*, (\d+) new", works(project, *command))
    assert len(sent) == 2
    assert all(requests == new != "0" for requests, new in sent)


# --- files changed by hand


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("file", ["images.npy", "manifest.csv", "classes.json"])
def test_damaged_images_are_noticed_and_restored(project: Project, file: str) -> None:
    path = project.folder / "data/prepared" / file
    before = path.read_bytes()
    path.unlink() if file == "classes.json" else cut(path)
    says(
        project.run(*stage("train_model", "--member", "resnet8")),
        "train_model resnet8",
        "data/prepared",
        "dvc repro",
    )
    project.repro("prepare_data")
    assert path.read_bytes() == before


def test_damaged_weights_are_noticed_and_restored(project: Project) -> None:
    project.change("epochs: 1\n", "epochs: 30\n")
    folder = project.folder / "models" / "resnet8"
    before = model_digest(folder)
    cut(folder / "weights.safetensors")
    done = project.run(*stage("evaluate_model", "--member", "resnet8"))
    says(done, "evaluate_model resnet8", "models/resnet8 holds no usable model", "dvc repro")
    project.repro("evaluate_model@resnet8")
    assert model_digest(folder) == before


def test_every_setting_of_the_file_is_known_to_dvc(project: Project) -> None:
    """A setting that no stage declares would change nothing when it is changed.

    Checkpoints shape no result, and `resnet-ops serve` is no stage.
    """
    watched = {
        name.split(".")[0]
        for definition in yaml.safe_load((project.folder / "dvc.yaml").read_text())["stages"].values()
        for name in definition.get("do", definition).get("params", [])
    }
    assert set(yaml.safe_load((project.folder / "params.yaml").read_text())) <= watched | {
        "checkpoint",
        "serve",
    }
