"""Many promote at once, while a key is revoked and files are changed under way."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import pytest
from mlflow.exceptions import MlflowException

from resnet_ops_registry.attestations.digest import Fingerprint, fingerprint, folder_digest
from resnet_ops_registry.attestations.statements import Version
from resnet_ops_registry.attestations.trust import revoke_key
from resnet_ops_registry.database.ledger import list_entries, verify
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.gate import Files, hash_files
from resnet_ops_registry.operations import audit
from resnet_ops_registry.store import decisions
from tests.attacks.registry import MODEL, Registry

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PROCESSES, EACH = 4, 13


def test_fifty_promotions_at_once_never_give_an_unproven_champion(registry: Registry) -> None:
    revoked = registry.trust("leaving")
    proven = [registry.version(b"one"), registry.version(b"two")]
    fallen = [registry.version(b"three", "leaving"), registry.version(b"four", "leaving")]
    failing, silent = registry.version(b"five", low=0.90), registry.version(b"six", None)
    shifting = registry.version(b"seven")
    # the first two to set an alias collide on its row in plain MLflow as well
    registry.client.set_registered_model_alias(MODEL, "champion", str(proven[0]))
    digests = {number: folder_digest(registry.files(number)) for number in range(1, shifting + 1)}
    # each process is one that shares nothing with the others but the database
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.attacks.promoter",
                registry.database,
                str(seed),
                str(EACH),
                str(shifting),
            ],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    weights = registry.files(shifting) / "weights.safetensors"
    for turn in range(40):
        weights.write_bytes(b"evil!" if turn % 2 else b"seven")
        time.sleep(0.02)
        if turn == 10:
            with open_database(registry.database) as connection:
                revoke_key(connection, revoked.public.id)
    weights.write_bytes(b"evil!")
    outcomes: dict[str, int] = {}
    for process in processes:
        answer, _ = process.communicate(timeout=120)
        for outcome, times in json.loads(answer).items():
            outcomes[outcome] = outcomes.get(outcome, 0) + times
    assert set(outcomes) <= {"allowed", "RESOURCE_CONFLICT"}, outcomes
    assert sum(outcomes.values()) == PROCESSES * EACH >= 50

    with open_database(registry.database) as connection:
        verify(connection)
        entries = list_entries(connection)
        findings = audit.verify(connection).findings
    decisions = [entry for entry in entries if entry.event.target == "@champion"]
    allowed = [entry for entry in decisions if entry.event.outcome == "allowed"]
    assert len(decisions) == PROCESSES * EACH + 1
    assert len(allowed) == outcomes["allowed"] + 1
    (fall,) = [entry.seq for entry in entries if entry.event.action == "key revoked"]
    for entry in allowed:
        number = entry.event.version
        assert number in (*proven, *fallen, shifting)
        assert entry.event.detail["files"] == digests[number]
        assert number not in fallen or entry.seq < fall
    assert not {failing, silent} & {entry.event.version for entry in allowed}
    assert registry.champion() == allowed[-1].event.version
    for finding in findings:
        # whoever holds the alias may have lost its proof since: the audit says so, and nothing else
        assert finding.where == f"{MODEL} @champion"
        assert registry.champion() in (*fallen, shifting)


def test_two_who_publish_the_same_weights_at_once_get_one_version(registry: Registry) -> None:
    code = """
import sys
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
client = MlflowClient(sys.argv[1], "gated:" + sys.argv[1])
client.get_registered_model("attacked")
print("ready", flush=True)
sys.stdin.readline()
numbers = []
for weights in range(6):
    tags = {"resnet_ops.weights_digest": f"{weights:064x}"}
    made = client.create_model_version("attacked", f"models-{sys.argv[2]}-{weights}", tags=tags)
    numbers.append(int(made.version))
print(*numbers)
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, registry.database, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=120)[0] for process in processes}
    assert len(answers) == 1, "all three were given the same versions"
    assert len(set(answers.pop().split())) == 6
    assert len(registry.client.search_model_versions(f"name = '{MODEL}'")) == 6


def test_files_that_are_hidden_while_they_are_compared_are_hashed_again(registry: Registry) -> None:
    """An insider takes the folder away whenever the gate asks whether something was written there."""
    number = registry.version(b"good")
    folder = registry.files(number)
    away, look, read = folder.with_name("away"), fingerprint, hash_files

    def hidden(location: str, workspace: str | None = None) -> Fingerprint:
        folder.rename(away)
        try:
            return look(location, workspace)
        finally:
            away.rename(folder)

    def swapped(version: Version) -> Files:
        files = read(version)
        (folder / "weights.safetensors").write_bytes(b"evil")
        return files

    with (
        patch.object(decisions, "fingerprint", hidden),
        patch.object(decisions, "hash_files", swapped),
        pytest.raises(MlflowException, match="files were changed"),
    ):
        registry.client.set_registered_model_alias(MODEL, "champion", str(number))
    assert registry.champion() is None
