"""What is deleted of the log: the ledger has it, and rows that are young go with an operator's signature only."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from resnet_ops.errors import ConfigError
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.service.purging import purge
from resnet_ops_registry.attestations import authority
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.trust import OPERATOR, list_trusted, trust_key
from resnet_ops_registry.database.ledger import Entry, list_entries, verify
from resnet_ops_registry.database.tables import open_database
from tests.unit.monitoring.conftest import make_predictions
from tests.unit.monitoring.scene import at

NOW = at(24 * 200)
OLD, YOUNG = NOW - timedelta(days=184), NOW - timedelta(days=182)


@pytest.fixture
def log(project: object) -> InferenceLog:
    """30 rows from before OLD, 40 between it and YOUNG."""
    log = InferenceLog.open()
    for rows, moment, name in ((30, OLD - timedelta(days=1), "a"), (40, YOUNG - timedelta(hours=1), "b")):
        frame = make_predictions(np.random.default_rng(0), rows)
        log.append(frame.assign(request_id=[f"{name}{i}" for i in range(rows)], time=moment))
    return log


def purged() -> list[Entry]:
    with open_database() as connection:
        verify(connection)
        return [entry for entry in list_entries(connection) if entry.event.action == "log purged"]


def test_old_rows_go_and_the_ledger_has_it(log: InferenceLog) -> None:
    assert purge(log, OLD, keep_days=183, by=None, why="", now=NOW) == (30, True)
    (entry,) = purged()
    assert (entry.event.detail["rows"], entry.event.detail["before"]) == (30, OLD.isoformat())


def test_young_rows_stay_without_a_reason_an_operator_or_the_operators_signature(log: InferenceLog) -> None:
    ops, mine = open_key("ops"), open_key("mine")
    with pytest.raises(ConfigError, match=r"younger than 183 days .* --why TEXT"):
        purge(log, YOUNG, keep_days=183, by=ops, why=" ", now=NOW)
    with pytest.raises(ConfigError, match=r"no operator's key is trusted\. Make one"):
        purge(log, YOUNG, keep_days=183, by=ops, why="asked by the court", now=NOW)
    with open_database() as connection:
        trust_key(connection, ops.public, "ops", OPERATOR)
        trust_key(connection, mine.public, "mine", "reviewer", by=ops)
    for key in (None, mine):
        with pytest.raises(ConfigError, match=r"an operator must sign it"):
            purge(log, YOUNG, keep_days=183, by=key, why="asked by the court", now=NOW)
    assert log.count_before(NOW) == 70
    assert purged() == []


def test_an_operator_signs_young_rows_away_and_the_signature_is_in_the_ledger(log: InferenceLog) -> None:
    ops = open_key("ops")
    with open_database() as connection:
        trust_key(connection, ops.public, "ops", OPERATOR)
    assert purge(log, YOUNG, keep_days=183, by=ops, why="asked by the court", now=NOW) == (70, True)
    (entry,) = purged()
    detail = entry.event.detail
    assert (detail["why"], detail["keep_days"], detail["operator"]) == (
        "asked by the court",
        183,
        ops.public.id,
    )
    with open_database() as connection:
        keys = {key.id: key.public for key in list_trusted(connection)}
        assert list(authority.unsigned(list_entries(connection), keys)) == []


def test_behind_a_server_old_rows_go_unrecorded_and_young_ones_not_at_all(
    log: InferenceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert purge(log, OLD, keep_days=183, by=None, why="", now=NOW) == (30, False)
    with pytest.raises(ConfigError, match="this command needs its database"):
        purge(log, YOUNG, keep_days=183, by=open_key("ops"), why="asked by the court", now=NOW)
    assert log.count_before(NOW) == 40
