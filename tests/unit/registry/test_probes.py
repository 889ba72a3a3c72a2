"""What a setting names is asked before it is used, and the answer is in words."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from multiprocessing.context import ForkServerContext
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from resnet_ops.errors import ConfigError, ServiceError, StorageError
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import cause, is_disk_problem
from resnet_ops_registry.common.new_database import make_database
from resnet_ops_registry.common.probes import probe


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and does not talk about it."""

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[str]:
    """The address of a web server that is not MLflow."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
@pytest.mark.parametrize(
    "uri", ["localhost:5000", "./mlruns", "file:///mlruns", "sqlite://var/x.db", "databricks"]
)
def test_a_setting_that_names_nothing_is_refused_with_an_example(
    variable: str, uri: str, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, uri)
    with pytest.raises(ConfigError, match=rf"{variable} is '{uri}'.*http://127\.0\.0\.1:5000"):
        connect()


def test_a_refused_setting_does_not_give_its_password_away(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "oracle://me:secret@host/x")
    with pytest.raises(ConfigError, match=r"oracle://me:\*\*\*@host/x"):
        connect()


def test_another_web_server_is_not_taken_for_mlflow(
    web_server: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", web_server)
    with pytest.raises(ServiceError, match=r"\(MLFLOW_TRACKING_URI\) answers with status 404"):
        connect()


def test_https_to_a_server_without_it_is_told_from_a_certificate_that_is_not_trusted(
    web_server: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", web_server.replace("http:", "https:"))
    with pytest.raises(ServiceError, match="Write http://"):
        connect()
    for name in ("MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"):
        with monkeypatch.context() as patched:
            patched.setenv(name, str(project / "gone.pem"))
            with pytest.raises(ServiceError, match=f"Correct .*{name}"):
                connect()


def test_a_certificate_of_ones_own_is_trusted_where_mlflows_setting_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "MLFLOW_TRACKING_INSECURE_TLS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "health").write_text("OK")
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        uri = f"https://127.0.0.1:{server.server_port}"
        with pytest.raises(ServiceError, match="MLFLOW_TRACKING_SERVER_CERT_PATH"):
            probe(uri, "MLFLOW_TRACKING_URI")
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(tmp_path / "own.pem"))
        probe(uri, "MLFLOW_TRACKING_URI")
        server.shutdown()
        thread.join()


def certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that it signed itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "own")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = (
        made.not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "own.pem").write_bytes(text + signed.public_bytes(Encoding.PEM))
    return folder / "own.pem"


def test_a_damaged_database_is_told_from_one_that_cannot_be_written(project: Path) -> None:
    (project / "var").mkdir()
    (project / "var" / "mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match=r"mlflow\.db \(MLFLOW_TRACKING_URI\) is not a database"):
        connect()


def test_asking_a_database_does_not_change_it(database: Path) -> None:
    connect()
    before = database.read_bytes()
    connect()
    assert database.read_bytes() == before


@pytest.mark.slow
def test_a_new_database_is_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    make_database(tmp_path / "mlflow.db")
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        assert connection.execute("SELECT count(*) FROM registered_models").fetchone() == (0,)
    connection.close()
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.slow
def test_what_a_killed_process_left_of_a_new_database_is_swept_up(tmp_path: Path) -> None:
    killed = subprocess.Popen(["sleep", "60"])
    killed.kill()
    killed.wait()
    left = [tmp_path / f".mlflow.db.{killed.pid}.part{end}" for end in ("", "-journal")]
    others = [tmp_path / f".mlflow.db.{os.getppid()}.part", tmp_path / ".mlflow.db.notes.part"]
    for path in (*left, *others):
        path.write_bytes(b"half")
    make_database(tmp_path / "mlflow.db")
    assert [path.exists() for path in (*left, *others)] == [False, False, True, True]


@pytest.mark.slow
def test_a_database_that_somebody_else_made_meanwhile_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"theirs")
    make_database(tmp_path / "mlflow.db")
    assert (tmp_path / "mlflow.db").read_bytes() == b"theirs"


@pytest.mark.slow
def test_two_processes_may_make_it_at_once(tmp_path: Path, elsewhere: ForkServerContext) -> None:
    processes = [elsewhere.Process(target=make_database, args=(tmp_path / "mlflow.db",)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_the_cause_is_the_drivers_line_without_the_statement() -> None:
    text = (
        "(raised as a result of Query-invoked autoflush)\n(sqlite3.OperationalError) database or disk is full\n"
        "[SQL: INSERT INTO runs]"
    )
    assert cause(RuntimeError(text)) == "(sqlite3.OperationalError) database or disk is full"
    assert cause(RuntimeError("Run 'x' not found\nmore")) == "Run 'x' not found"
    assert cause(RuntimeError("These failed:\n\n a: no space left")) == "These failed: a: no space left"
    assert is_disk_problem(text)
    assert not is_disk_problem("database is locked")
