"""Places with evidence: what is refused there, however a place is spelled, whoever writes, and how long it takes."""

import asyncio
import threading
from abc import ABC
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import (
    _artifact_repository_registry,
    get_artifact_repository,
)
from sqlalchemy import text

from resnet_ops.errors import EvidenceError
from resnet_ops_registry.attestations.digest import local_folder, location_digest
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.client.attesting import attest
from resnet_ops_registry.common.settings import database_uri
from resnet_ops_registry.database.tables import open_database, places
from resnet_ops_registry.store.artifacts import _WRITES, WriteOnceRepository, _engine
from resnet_ops_registry.store.places import sealed_by
from tests.unit.registry.conftest import NAME, EvidenceMaker, Publisher

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
    # MLflow takes these for the same folder, too
    spelled_out = "".join(f"%{byte:02x}" for byte in served.name.encode())
    spellings += [f"{served.parent}/{spelled_out}", f"{served.parent.as_uri()}/{spelled_out}"]
    spellings += [f"file://{host}{served}" for host in ("LOCALHOST", "localhost:80", "127.0.0.1", "else")]
    spellings.append(f"c:{'/..' * len(project.parts)}{served}")
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


async def _chunks() -> AsyncIterator[bytes]:
    yield b"evil"


@pytest.mark.slow
def test_what_is_streamed_to_a_place_with_evidence_is_refused(served: Path) -> None:
    """The route of uploads streams, where the server's destination is a plain folder."""
    repository: Any = get_artifact_repository(served.parent.as_uri())
    write = repository.log_artifact_from_async_stream
    for name, folder in (("evil.py", f"{served.name}/code"), (served.name, None)):
        with pytest.raises(MlflowException, match=f"belongs to {NAME} v1"):
            asyncio.run(write(_chunks(), name, artifact_path=folder))
    asyncio.run(write(_chunks(), "beside.py"))
    assert (served.parent / "beside.py").read_bytes() == b"evil"
    with open_database() as connection:
        assert connection.execute(text("SELECT count(*) FROM resnet_ops_uploads")).scalar_one() == 0


def test_every_way_of_mlflows_repositories_to_write_is_asked_about() -> None:
    """A method that a new release brings is named here, and belongs among the writes or the others."""
    by_others = {"upload_trace_data", "upload_archived_trace_data", "upload_attachment"}
    reading = ("list_", "download_", "get_", "parse_", "convert_", "is_", "split_")
    harmless = {"flush_async_logging", "abort_multipart_upload"}
    kinds = {each for each in _artifact_repository_registry._registry.values() if isinstance(each, type)}
    for kind in {parent for each in kinds for parent in each.__mro__} - {ABC, object}:
        methods = {name for name, each in vars(kind).items() if callable(each) and name[0] != "_"}
        others = {name for name in methods if not name.startswith(reading)}
        assert others - {*_WRITES} - by_others - harmless == set(), kind


@pytest.mark.slow
def test_files_that_are_named_by_their_run_are_kept_where_they_lie(
    client: MlflowClient, published: Publisher, make_evidence: EvidenceMaker, project: Path
) -> None:
    run_id = str(client.get_model_version(NAME, str(published().version)).run_id)
    (project / "weights").write_text("good")
    client.log_artifact(run_id, str(project / "weights"), "model")
    version = client.create_model_version(NAME, f"runs:/{run_id}/model", run_id)
    attest(client, NAME, int(version.version), make_evidence(), open_key())
    folder = local_folder(str(client.get_run(run_id).info.artifact_uri))
    assert folder is not None
    with open_database() as connection:
        assert sealed_by(connection, str(folder / "model" / "weights")) == f"{NAME} v{version.version}"


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
    "spelled",
    [
        "S3://bucket/prefix",
        "s3://BUCKET/prefix/",
        "s3://bucket/prefix?a=b",
        "wasbs://box@Account.blob.core.windows.net/prefix",
        "WASBS://box@account.BLOB.core.windows.net/prefix#a",
    ],
)
def test_a_bucket_is_the_same_however_it_is_spelled(client: MlflowClient, spelled: str) -> None:
    buckets = ("s3://bucket/prefix", "wasbs://box@account.blob.core.windows.net/prefix")
    with open_database() as connection:
        for bucket in buckets:
            values = {"place": f"{bucket}/1/model", "workspace": "default", "model": "m", "version": 1}
            connection.execute(places.insert().values(values))
        assert sealed_by(connection, spelled, "1/model/weights") == "m v1"
        assert sealed_by(connection, spelled.replace("prefix", "prefix/1/model/code")) == "m v1"
        assert sealed_by(connection, spelled, "1/Model/weights") is None


@pytest.mark.parametrize(
    "root", ["dbfs:/prefix", "hdfs:/prefix", "hdfs://HACluster/prefix", "sftp://Me@Host/a"]
)
def test_a_place_that_an_older_release_wrote_down_as_it_was_spelled_is_kept(
    client: MlflowClient, root: str
) -> None:
    with open_database() as connection:
        values = {"place": f"{root}/1/model", "workspace": "default", "model": "m", "version": 1}
        connection.execute(places.insert().values(values))
        assert sealed_by(connection, root, "1/model/weights") == "m v1"
        assert sealed_by(connection, f"{root}/", "1") == "m v1"
        assert sealed_by(connection, root, "1/mode") is None


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
        "https://elsewhere/model",
        "http://127.0.0.1:5000/api/2.0/mlflow-artifacts/artifacts/1/model",
        "file://elsewhere/model",
        "file://LOCALHOST/model",
        "//elsewhere/model",
        "runs:/no-such-run/model",
        "1/model",
        "FILE:///model",
        "c:/model",
    ],
)
def test_a_location_that_is_read_otherwise_elsewhere_is_not_hashed(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    for folder in ("1/model", "1/mo", "1/mo?del", "FILE:/model", "c:/model"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "weights").write_text("x")
    monkeypatch.chdir(tmp_path)
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
