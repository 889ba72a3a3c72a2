"""A log of an older program is brought up to date where it stands, by one of many processes, or stays as it was."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from resnet_ops.errors import StorageError
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.reference import Reference, build_reference
from resnet_ops_monitoring.drift.time_ranges import judge_time_range
from resnet_ops_monitoring.inference_log.database import metadata
from resnet_ops_monitoring.inference_log.frames import matrix
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.labels import count_right
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.revisions import VERSION_TABLE
from tests.unit.monitoring.conftest import PARAMS, make_predictions
from tests.unit.monitoring.inference_log.old_log import FRAME_COLUMNS, make_old_log
from tests.unit.monitoring.inference_log.writing import label

WHO = ModelIdentity("made-up", "1", "d" * 64)
CLASSES = tuple("0123456789")
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return build_reference(make_predictions(np.random.default_rng(1), 400), WHO, CLASSES, rows=400, seed=0)


def old_frame(rows: int = 300) -> pd.DataFrame:
    """Rows of which every third has a label."""
    frame = make_predictions(np.random.default_rng(0), rows)
    labels: Any = [each if place % 3 == 0 else None for place, each in enumerate(frame["label"])]
    return frame.assign(label=labels, window=None)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/inference.db"


def judged(log: InferenceLog, reference: Reference) -> dict[str, Any]:
    end = START + timedelta(hours=1)
    return judge_time_range(log, reference, PARAMS, name="w", start=START, end=end).verdict.to_dict()


def check_migrated(url: str, reference: Reference) -> None:
    """What a log with `old_frame` and one origin of each kind must be like afterwards."""
    frame, log = old_frame(), InferenceLog(url)
    back = log.read("made-up", all_kept=True)
    for name in FRAME_COLUMNS:
        if name in ("embedding", "probabilities"):
            np.testing.assert_array_equal(matrix(back, name), matrix(frame, name))
        else:
            known = [None if pd.isna(each) else each for each in back[name]]
            assert known == frame[name].tolist(), name
    right, wrong = count_right(log)
    assert right + wrong == 98, "two of the hundred labels were of requests that were not drawn"
    assert label(log, ["r3"], ["8"], "complaint") == 1
    assert count_right(log, log.table.c.request_id == "r3") == (0, 0), "listed for being hard, as before"
    assert (
        log.append(make_predictions(np.random.default_rng(5), 10).assign(request_id=list("abcdefghij"))) == 10
    )
    log.close()


ORIGINS = {"r0": "random", "r3": "hard", "r6": "chosen"}


def test_rows_and_labels_of_a_version_1_log_survive_and_mean_the_same(url: str, reference: Reference) -> None:
    make_old_log(url, old_frame(), ORIGINS)
    check_migrated(url, reference)


@pytest.mark.parametrize("origins", [None, {}])
def test_a_version_1_log_is_judged_as_its_rows_were_to_the_last_digit(
    url: str, reference: Reference, origins: dict[str, str] | None
) -> None:
    make_old_log(url, old_frame(), origins)
    log = InferenceLog(url)
    assert judged(log, reference) == judge(old_frame(), reference, PARAMS, window="w").to_dict()
    log.close()


def test_the_migrations_make_exactly_the_tables_of_the_code(url: str, tmp_path: Path) -> None:
    make_old_log(url, old_frame(3))
    for each in (url, f"sqlite:///{tmp_path}/new.db"):
        InferenceLog(each).close()
        engine = create_engine(each)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            assert compare_metadata(context, metadata) == []
        engine.dispose()


def test_a_log_beside_mlflows_tables_leaves_their_revision_alone(
    mlflow_tables: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(mlflow_tables)
    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        InferenceLog(f"sqlite:///{path}").close()
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == before


def test_a_program_of_before_is_told_and_can_write_nothing(url: str) -> None:
    make_old_log(url, old_frame(3))
    InferenceLog(url).close()
    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        # it looks at this when it opens the log, and refuses what is not 1
        assert connection.execute("SELECT max(version) FROM inference_log_schema").fetchone() == (2,)
        # a server that had it open goes on, and keeps its rows in segments while this fails
        with pytest.raises(sqlite3.OperationalError):
            connection.execute(
                "INSERT INTO inferences (request_id, time, model, version, digest, embedding, probabilities, predicted)"
                " VALUES ('x', '2026-01-05 08:00:00.000000', 'm', '1', 'd', '', '', '7')"
                " ON CONFLICT (request_id) DO NOTHING"
            )


def test_a_log_that_cannot_be_written_is_not_brought_up_to_date_and_stays_as_it_was(url: str) -> None:
    make_old_log(url, old_frame(3))
    path = Path(url.removeprefix("sqlite:///"))
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"Cannot open .*readonly.*writable"):
        InferenceLog(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert path.read_bytes() == before


_KILLED = """
import os, signal, sys
from sqlalchemy import Engine, event
from resnet_ops_monitoring.inference_log.log import InferenceLog
left = [int(sys.argv[2])]
@event.listens_for(Engine, "before_cursor_execute")
def count(*_):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
InferenceLog(sys.argv[1])
"""


def killed_at(url: str, statement: int) -> bool:
    """Whether a process that opens a log was killed before it gave the database this statement."""
    done = subprocess.run([sys.executable, "-c", _KILLED, url, str(statement)], check=False, timeout=300)
    return done.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_kill_9_at_any_statement_leaves_the_old_log_or_the_new_one(
    url: str, tmp_path: Path, reference: Reference
) -> None:
    killed = 0
    for statement in (3, 9, 15, 21, 27, 33):
        path = tmp_path / f"{statement}.db"
        make_old_log(f"sqlite:///{path}", old_frame(), ORIGINS)
        killed += killed_at(f"sqlite:///{path}", statement)
        check_migrated(f"sqlite:///{path}", reference)
    assert killed >= 4


_OPENS = """
import sys, time
from resnet_ops_monitoring.inference_log.log import InferenceLog
sys.stdin.readline()
log = InferenceLog(sys.argv[1])
print(len(log.read("made-up")))
"""


def open_at_once(url: str, processes: int) -> list[str]:
    """What each of so many processes finds that open a log at the same moment."""
    command = [sys.executable, "-c", _OPENS, url]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = [subprocess.Popen(command, text=True, **pipes) for _ in range(processes)]
    for each in running:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    found = []
    for each in running:
        said, complaint = each.communicate(timeout=300)
        found.append(said.strip() or complaint)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("rows", [0, 300])
def test_processes_that_open_a_new_or_an_old_log_at_once_all_find_it_whole(url: str, rows: int) -> None:
    if rows:
        make_old_log(url, old_frame(rows))
    assert open_at_once(url, 3) == [str(rows)] * 3
