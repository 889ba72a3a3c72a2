"""A whole project for the command line: registry, keys, inference log, and files that are not what they should be."""

import io
import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from resnet_ops.cli import main
from resnet_ops_registry.attestations.keys import open_key
from tests.unit.registry.command_words import Word
from tests.unit.registry.detectors import detect, write_truth

__all__ = ["SECRET", "Answer", "Registered", "Scene", "write_hostile_files"]

SECRET = "a-secret-that-nobody-may-read"


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit status and what it printed."""

    status: object
    out: str
    err: str


@dataclass(frozen=True)
class Registered:
    """All that a command may have changed. `refusals`: how many of the ledger's entries are refusals."""

    aliases: tuple[tuple[object, ...], ...]
    stages: tuple[tuple[object, ...], ...]
    kept: tuple[tuple[object, ...], ...]
    entries: tuple[tuple[object, ...], ...]
    refusals: int

    @property
    def champion(self) -> tuple[object, ...]:
        return tuple(row for row in self.aliases if row[1] == "champion")


class Stopped(Exception):
    """Stands where the process would become a server."""


@dataclass(frozen=True)
class Scene:
    """The project in `folder`, which is the current one; `copy` is its registry as it was made."""

    folder: Path
    copy: Path
    words: dict[str, str]

    @property
    def database(self) -> Path:
        return self.folder / "var" / "mlflow.db"

    def run(self, line: Sequence[Word]) -> Answer:
        """Run `resnet-ops` as its console script does, in this process."""
        out, err = (
            io.TextIOWrapper(io.BytesIO(), "utf-8", errors, write_through=True)
            for errors in ("strict", "backslashreplace")
        )
        words = [self._word(each) for each in line]
        status: object = 0
        with patch.object(sys, "argv", ["resnet-ops", *words]), redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as stop:
                status = stop.code
            except Stopped:
                pass
        printed = [each.buffer.getvalue().decode() for each in (out, err)]
        return Answer(0 if status is None else status, *printed)

    def registered(self) -> Registered:
        with closing(sqlite3.connect(self.database)) as connection:

            def rows(query: str) -> tuple[tuple[object, ...], ...]:
                return tuple(connection.execute(query).fetchall())

            entries = rows("SELECT seq, previous, hash FROM resnet_ops_ledger ORDER BY seq")
            return Registered(
                rows("SELECT name, alias, version FROM registered_model_aliases ORDER BY 1, 2"),
                rows("SELECT name, version, current_stage FROM model_versions ORDER BY 1, 2"),
                rows(
                    "SELECT 'key', key_id, revoked_at FROM resnet_ops_trusted_keys"
                    " UNION ALL SELECT 'policy', digest, version FROM resnet_ops_policies"
                    " UNION ALL SELECT 'statement', envelope_digest, 0 FROM resnet_ops_statements"
                    " UNION ALL SELECT 'state', name, value FROM resnet_ops_state ORDER BY 1, 2"
                ),
                entries,
                len(rows("""SELECT seq FROM resnet_ops_ledger WHERE entry LIKE '%"outcome":"refused"%'""")),
            )

    def restore(self) -> None:
        """The registry as it was made."""
        with closing(sqlite3.connect(self.copy)) as made, closing(sqlite3.connect(self.database)) as now:
            made.backup(now)

    def secrets(self) -> list[str]:
        """What no output may hold: the webhook's secret, and the private keys' lines."""
        pems = [path.read_text() for path in (self.folder / "var" / "keys").glob("*.pem")]
        private = [pem.splitlines()[1] for pem in pems if "PRIVATE" in pem]
        return [SECRET, *private]

    def _word(self, word: Word) -> str:
        if isinstance(word, str):
            return self.words.get(word, word.replace("KEY_KIM", self.words["KEY_KIM"]))
        content = (self.folder / word.file).read_bytes()
        at = int(len(content) * word.at)
        rest = b"" if word.cut else content[at + len(word.put) :]
        path = self.folder / "hostile" / "changed" / Path(word.file).name
        path.write_bytes(content[:at] + word.put + rest)
        return str(path.relative_to(self.folder))


def write_hostile_files(folder: Path) -> None:
    """The files, folders and links that `command_words.py` names under hostile/."""
    (folder / "changed").mkdir(parents=True)
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    texts = {
        "empty": "",
        "deep.json": "[" * 100_000,
        "deep.yaml": "{a: " * 3_000,
        "twice.json": '{"acc": {"value": 1, "n": 1}, "acc": {"value": 2, "n": 1}}',
        "twice.yaml": "model: a\nmodel: b\n",
        "aliases.yaml": "a: &a [x, x]\nb: &b [*a, *a]\nmonitor: {drift: [*b, *b]}\n",
        "nan.json": '{"acc": {"value": NaN, "n": 1}}',
        "numbers.json": '{"acc": {"value": 1e400, "n": "+2"}}',
        "list.json": "[1, 2]",
        "scalar.yaml": "2026-99-99",
        "huge.yaml": "model: " + "x" * 300_000,
        "certificate.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "ids.csv": "request_id,request_id,label\na,b,c\n",
        "ragged.csv": 'request_id,label\na,b,c,d\n"unclosed\n',
        "long.csv": "request_id,label\ncalm-0," + "x" * 5_000 + "\n",
        "[x]": "[/]",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "utf16").write_text("model: é", encoding="utf-16")
    (folder / "latin1").write_bytes("model: é\nrequest_id,label\né,é\n".encode("latin-1"))
    (folder / "nul").write_bytes(b"model: a\0b\nrequest_id,label\n\0,\0\n")
    _write_keys(folder)
    _write_tables(folder)
    for name, link in (("model", False), ("links", True)):
        (folder / name).mkdir()
        (folder / name / "member.json").write_text("{}")
        weights = folder / name / "weights.safetensors"
        weights.symlink_to("/dev/null") if link else weights.write_bytes(b"\xff" * 64)
    _write_reports(folder)


def _write_keys(folder: Path) -> None:
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    (folder / "rsa.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    open_key("private", folder)
    (folder / "private.pub.pem").unlink()


def _write_tables(folder: Path) -> None:
    table = pa.table({"label": [1, 2]})
    pq.write_table(table, folder / "other.parquet")
    about = {"format": 2, "identity": {"name": 1}, "classes": None, "seen": "+2"}
    keys = (b"resnet_ops", b"resnet_ops.reference", b"reference")
    pq.write_table(
        table.replace_schema_metadata({key: json.dumps(about).encode() for key in keys}),
        folder / "about.parquet",
    )


def _write_reports(folder: Path) -> None:
    contents = [
        "{}",
        "[" * 10_000,
        '{"window": "w", "rows": 1e400}',
        "null",
        "\ufeff{}",
        '{"status": "\\ud800"}',
    ]
    for number, content in enumerate(contents):
        (folder / f"reports-{number}" / "w").mkdir(parents=True)
        (folder / f"reports-{number}" / "w" / "verdict.json").write_text(content)
    (folder / "reports" / "w" / "verdict.json").mkdir(parents=True)


def write_settings(folder: Path, drift: dict[str, object]) -> None:
    """Files that are right: settings, labels, measurements, what a team measured."""
    (folder / "params.yaml").write_text(yaml.safe_dump({"monitor": {"drift": drift}}))
    (folder / "labels.csv").write_text("request_id,label\nr0,1\nr1,2\n")
    (folder / "metrics.json").write_text('{"test.rmse": {"value": 0.98, "n": 360, "low": 0.9, "high": 1}}')
    (folder / "predictions.csv").write_text(
        "id,actual,predicted,group,p.a,p.b\n1,a,a,g,0.9,0.1\n2,b,a,,0.6,0.4\n"
    )
    write_truth(folder / "boxes.json", images=9)
    detect(folder / "detections.json", missed=0.1, images=9)
    (folder / "measurements.json").write_text('{"test.top1": {"value": 0.98, "n": 360}}')


@contextmanager
def nothing_stays() -> Iterator[None]:
    """Servers end where the process would become one, and `resnet-ops ui` starts nothing beside it."""

    def become(*_: object) -> None:
        raise Stopped

    with (
        patch.object(os, "execv", become),
        patch("resnet_ops_monitoring.sink.server.tell_in_json", become),
        patch("resnet_ops_registry.operations.server._start_sender"),
    ):
        yield
