"""Places with evidence: what is refused there, however a place is spelled, whoever writes, and how long it takes."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from sqlalchemy import text

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.digest import location_digest
from resnet_ops_registry.common.settings import database_uri
from resnet_ops_registry.database.tables import open_database, places
from resnet_ops_registry.store.artifacts import WriteOnceRepository, _engine
from resnet_ops_registry.store.places import sealed_by
from tests.unit.registry.conftest import NAME, Publisher

pytestmark = pytest.mark.usefixtures("policy")


@pytest.fixture
def served(project: Path, published: Publisher, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a version with evidence, seen from inside of a server's process."""
    published()
    monkeypatch.setenv("_MLFLOW_SERVER_REGISTRY_STORE", f"gated:{database_uri()}")
    with open_database() as connection:
        place = connection.execute(places.select()).one().place
    yield Path(place)
    _engine.cache_clear()


@pytest.mark.slow
def test_a_write_through_any_repository_of_the_server_is_refused_at_a_place_with_evidence(
    served: Path, project: Path
) -> None:
    file = project / "evil.py"
    file.write_text("x")
    spellings = [str(served), served.as_uri(), f"{served.as_uri()}/", f"{served}/code", str(served.parent)]
    for root in spellings:
        repository: Any = get_artifact_repository(root)
        path = served.name if root == str(served.parent) else None
        with pytest.raises(MlflowException, match=f"belongs to {NAME} v1"):
            repository.log_artifact(str(file), path)
        with pytest.raises(MlflowException, match=f"belongs to {NAME} v1"):
            repository.log_artifacts(str(file.parent), path)
        with pytest.raises(MlflowException, match=f"belongs to {NAME} v1"):
            repository.delete_artifacts(path or "")
    repository = get_artifact_repository(str(served.parent))
    repository.log_artifact(str(file), "elsewhere")
    assert (served.parent / "elsewhere" / "evil.py").exists()


@pytest.mark.slow
def test_what_a_client_writes_by_itself_is_nobodys_business(project: Path, published: Publisher) -> None:
    published()
    (project / "x").write_text("x")
    repository: Any = get_artifact_repository(str(project / "free"))
    repository.log_artifact(str(project / "x"))
    assert (project / "free" / "x").exists()


@pytest.mark.parametrize("name", ["fo?o", "fo#o", "fo;o", "fo%20o", "fo o", "fo_o", "fo!o", "fö"])
@pytest.mark.parametrize("root", ["file://{}", "{}", "s3://bucket/{}"])
def test_no_sign_in_a_folders_name_ends_the_comparison(
    client: MlflowClient, tmp_path: Path, name: str, root: str
) -> None:
    destination = root.format(tmp_path if "s3" not in root else "prefix")
    plain = str(tmp_path) if "s3" not in root else destination
    with open_database() as connection:
        connection.execute(
            places.insert().values(place=f"{plain}/1/{name}", workspace="default", model="m", version=1)
        )
        assert sealed_by(connection, destination, f"1/{name}/weights") == "m v1"
        assert sealed_by(connection, destination, f"1/{name}") == "m v1"
        assert sealed_by(connection, destination, "1") == "m v1"
        for other in ("fo", "fox", "f", "fo-o", f"{name}o"):
            if other != name:
                assert sealed_by(connection, destination, f"1/{other}/weights") is None


@pytest.mark.parametrize(
    "location",
    [
        "mlflow-artifacts://elsewhere/1/model",
        "mlflow-artifacts://user@elsewhere:80/1/model",
        "mlflow-artifacts:/1/mo?del",
        "mlflow-artifacts:/1/mo#del",
        "mlflow-artifacts:/1/mo;del",
        "mlflow-artifacts:/1/mo%2fdel",
        "mlflow-artifacts:/1/mo\\del",
        "s3://bucket/model?versionId=1",
        "https://elsewhere/model?a",
        "file://elsewhere/model",
    ],
)
def test_a_location_that_is_read_otherwise_elsewhere_is_not_hashed(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    for folder in ("1/model", "1/mo", "1/mo?del"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "weights").write_text("x")
    monkeypatch.setenv("RESNET_OPS_ARTIFACTS", str(tmp_path))
    with pytest.raises(EvidenceError):
        location_digest(location)
    assert location_digest("mlflow-artifacts:/1/model")


@pytest.mark.slow
def test_no_evidence_is_accepted_while_a_slow_store_still_writes(
    served: Path, project: Path, client: MlflowClient
) -> None:
    """It was asked before the upload; evidence and promotion would come before its end."""
    file, begun, go = project / "weights.safetensors", threading.Event(), threading.Event()
    file.write_text("evil")
    with open_database() as connection:
        connection.execute(text("DELETE FROM resnet_ops_places"))
        envelope = connection.execute(text("SELECT envelope FROM resnet_ops_statements")).scalar_one()
    repository = WriteOnceRepository(f"write-once:{served.parent.as_uri()}")
    store = repository._inner.log_artifact

    def slow(*values: str) -> None:
        begun.set()
        go.wait(60)
        store(*values)

    repository._inner.log_artifact = slow
    upload = threading.Thread(target=repository.log_artifact, args=(str(file), f"{served.name}/code"))
    upload.start()
    assert begun.wait(60)
    with pytest.raises(MlflowException, match="are being written"):
        client.set_model_version_tag(NAME, "1", "resnet_ops.statement", envelope)
    go.set()
    upload.join(60)
    (served / "code" / file.name).unlink()
    client.set_model_version_tag(NAME, "1", "resnet_ops.statement", envelope)
    with pytest.raises(MlflowException, match="belongs to"):
        repository.log_artifact(str(file), served.name)


@pytest.mark.slow
def test_a_write_that_was_killed_is_forgotten_after_a_while(served: Path, client: MlflowClient) -> None:
    with open_database() as connection:
        envelope = connection.execute(text("SELECT envelope FROM resnet_ops_statements")).scalar_one()
        connection.execute(text(f"INSERT INTO resnet_ops_uploads (place, until) VALUES ('{served}', 1)"))
    client.set_model_version_tag(NAME, "1", "resnet_ops.statement", envelope)
