import os
import sys
from pathlib import Path

import pytest
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.digest import folder_digest, local_folder, location_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "data").mkdir(parents=True)
    (root / "MLmodel").write_text("flavors")
    (root / "data" / "weights").write_bytes(b"\0\1\2")
    return root


def test_equal_files_have_equal_digests_wherever_they_lie(folder: Path) -> None:
    copy = folder.rename(folder.parent / "moved")
    assert folder_digest(copy) == location_digest(copy.as_uri()) == location_digest(str(copy))


@pytest.mark.parametrize("change", ["content", "name", "added", "removed", "moved"])
def test_any_change_changes_the_digest(folder: Path, change: str) -> None:
    before, weights = folder_digest(folder), folder / "data" / "weights"
    match change:
        case "content":
            weights.write_bytes(b"\0\1\3")
        case "name":
            weights.rename(folder / "data" / "weight")
        case "added":
            (folder / "extra").write_bytes(b"")
        case "removed":
            weights.unlink()
        case "moved":
            weights.rename(folder / "weights")
    assert folder_digest(folder) != before


def test_what_mlflow_adds_when_downloading_is_left_out(folder: Path) -> None:
    before = folder_digest(folder)
    (folder / "registered_model_meta").write_text("model_name: x")
    assert folder_digest(folder) == before
    (folder / "data" / "registered_model_meta").write_text("smuggled")
    assert folder_digest(folder) != before


@pytest.mark.parametrize("kind", ["file link", "folder link", "pipe", "odd name", "two ways to write a name"])
def test_what_could_mean_two_things_is_refused(folder: Path, kind: str) -> None:
    match kind:
        case "file link":
            (folder / "link").symlink_to(folder / "MLmodel")
        case "folder link":
            (folder / "link").symlink_to(folder / "data")
        case "pipe":
            os.mkfifo(folder / "pipe")
        case "odd name":
            (folder / "a\nb").write_text("")
        case _:
            (folder / "e\u0301").write_text("")
    with pytest.raises(EvidenceError):
        folder_digest(folder)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(EvidenceError):
            folder_digest(path)


def test_a_proxied_location_is_read_at_the_servers_destination(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.delenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", raising=False)
    monkeypatch.delenv("RESNET_OPS_ARTIFACTS", raising=False)
    with pytest.raises(EvidenceError, match="behind an MLflow server"):
        location_digest("mlflow-artifacts:/model")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(folder.parent))
    assert location_digest("mlflow-artifacts:/model") == folder_digest(folder)
    with pytest.raises(EvidenceError, match="odd path"):
        location_digest("mlflow-artifacts:/x/../model")


def test_a_plain_path_with_percent_signs_is_the_folder_that_mlflow_reads(folder: Path) -> None:
    """Else one folder were hashed and another loaded."""
    proven = folder.parent / "mo%64el"
    proven.mkdir()
    (proven / "MLmodel").write_text("proven")
    assert location_digest(str(proven)) == folder_digest(folder)


def test_a_destination_with_percent_signs_in_its_path_is_read_where_it_lies(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "100%25 of a%20b"
    odd.mkdir()
    folder = folder.rename(odd / "model")
    monkeypatch.setenv("RESNET_OPS_ARTIFACTS", odd.as_uri())
    assert location_digest("mlflow-artifacts:/model") == folder_digest(folder)


@pytest.mark.parametrize(
    "location",
    [
        "/a/%41",
        "/a%2Fb",
        "/a b",
        "/a?b#c;d",
        "file:///a/%41b",
        "file:///a?b",
        "file://127.0.0.1/a",
        "FILE:///a",
        "c:/a",
        "a/b",
    ],
)
def test_a_place_on_this_machine_is_the_one_that_mlflow_takes_it_for(location: str) -> None:
    assert str(local_folder(location)) == str(Path(LocalArtifactRepository(location).artifact_dir))


def test_a_library_that_a_store_needs_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("boto3", "botocore"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EvidenceError, match=r"boto\w+ is not installed here"):
        location_digest("s3://bucket/model")


def test_a_run_whose_files_lie_with_another_run_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments may be made so that it never ends."""
    monkeypatch.setattr(RunsArtifactRepository, "get_underlying_uri", lambda uri: f"{uri}/artifacts")
    with pytest.raises(EvidenceError, match="names a run"):
        location_digest("runs:/1/model")
