"""Hostile words to every command: refused in words, the registry as it was; or done, and the ledger whole."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resnet_ops_monitoring.drift.reference import build_reference
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_registry import promote
from resnet_ops_registry.attestations.keys import make_key, open_key
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.database.ledger import head, verify
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy
from tests.unit.monitoring.conftest import PARAMS, make_predictions
from tests.unit.registry.command_scene import (
    SECRET,
    Answer,
    Registered,
    Scene,
    nothing_stays,
    write_hostile_files,
    write_settings,
)
from tests.unit.registry.command_words import COMMANDS, ENDLESS, RIGHT, Word, lines, parameter
from tests.unit.registry.conftest import make_model, publish_model

EXAMPLES = 8
POLICY = """\
model: digits-classifier
evidence_roles: [pipeline]
waivers: {roles: [reviewer], rules: [accuracy], max_days: 30}
guards:
  - aliases: [champion]
    stages: [Production]
    rules:
      - {rule: threshold, id: accuracy, metric: test.top1, bound: low, min: 0.95, why: promised}
"""
TAKING_WORDS = [
    name
    for name, command in COMMANDS.items()
    if any(not getattr(each, "is_flag", False) for each in command.params)
]
MAY_MOVE = {"promote", "rollback", "retire", "drift rollback"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, empty_database: bytes) -> Iterator[Scene]:
    """v1 is the champion, v2 does not pass; keys of a reviewer, an operator and the pipeline; a log of one window."""
    folder = tmp_path_factory.mktemp("hostile") / "a" / "b" / "c"
    (folder / "var").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch, nothing_stays():
        for name in (
            "MLFLOW_REGISTRY_URI",
            "RESNET_OPS_KEYS",
            "RESNET_OPS_INFERENCE_LOG",
            "RESNET_OPS_ARTIFACTS",
        ):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/var/mlflow.db")
        patch.setenv("RESNET_OPS_WEBHOOK_URL", "http://127.0.0.1:9/")
        patch.setenv("RESNET_OPS_WEBHOOK_SECRET", SECRET)
        (folder / "var" / "mlflow.db").write_bytes(empty_database)
        words = _fill_registry(folder)
        _fill_log(folder)
        write_hostile_files(folder / "hostile")
        copy = folder / "copy.db"
        copy.write_bytes((folder / "var" / "mlflow.db").read_bytes())
        yield Scene(folder, copy, words)


def _fill_registry(folder: Path) -> dict[str, str]:
    client = connect()
    with open_database() as connection:
        apply_policy(connection, POLICY, "policy.yaml")
        for name, role in (("pipeline", "pipeline"), ("kim", "reviewer"), ("olga", "operator")):
            trust_key(connection, open_key(name).public, name, role)
    make_key("lee")
    for seed, low in enumerate((0.96, 0.90)):
        publish_model(client, make_model(folder / "models" / f"seed{seed}", seed), low)
    promote("digits-classifier", 1, "champion")
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "stricter.yaml").write_text(POLICY.replace("0.95", "0.97"))
    with open_database() as connection:
        hashes = {"HEAD": head(connection)}
    return hashes | {f"KEY_{name.upper()}": open_key(name).public.id for name in ("kim", "pipeline")}


def _fill_log(folder: Path) -> None:
    write_settings(folder, dict(vars(PARAMS)))
    frame = make_predictions(np.random.default_rng(0), 200).assign(window="calm", model="digits-classifier")
    log = InferenceLog.open()
    log.append(frame)
    log.close()
    identity = ModelIdentity("digits-classifier", "1", "d" * 64)
    classes = tuple(str(digit) for digit in range(10))
    reference = build_reference(frame, identity, classes, rows=200, seed=0)
    reference.save(folder / "data/reference/reference.parquet")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_parameter_has_right_and_hostile_words(command: str) -> None:
    for each in COMMANDS[command].params:
        if not getattr(each, "is_flag", False):
            assert parameter(command, each.name).right, (
                f"give {command} {each.name} a line in command_words.RIGHT"
            )


def test_no_words_are_left_over_for_parameters_that_are_gone() -> None:
    known = {(name, each.name) for name, command in COMMANDS.items() for each in command.params}
    assert {each.rpartition(" ")[2] for each in RIGHT} | ENDLESS <= {name for _, name in known}


@pytest.mark.slow
@pytest.mark.parametrize("command", TAKING_WORDS)
def test_right_words_are_understood(scene: Scene, command: str) -> None:
    line = command.split()
    for each in COMMANDS[command].params:
        if each.required or each.name == "window":
            word = parameter(command, each.name).right[0]
            line += [word] if each.param_type_name == "argument" else [each.opts[0], word]
    answer = scene.run(line)
    scene.restore()
    assert answer.status in (0, 1), answer
    assert "Traceback" not in answer.err


@pytest.mark.slow
@pytest.mark.parametrize("command", TAKING_WORDS)
@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_hostile_words_are_refused_in_words_or_harmless(
    scene: Scene, command: str, data: st.DataObject
) -> None:
    line = data.draw(lines(command))
    before = scene.registered()
    try:
        answer = scene.run(line)
        _check_answer(answer, scene)
        _check_registered(before, scene.registered(), answer, command)
        if answer.status == 0:
            with open_database() as connection:
                verify(connection)
    finally:
        scene.restore()


TARGET = ["digits-classifier", "1"]
BY_KIM = ["--until", "14d", "--key", "kim"]
REFUSED: list[tuple[list[Word], int, str]] = [
    (["promote", "digits-classifier", "9223372036854775808", "champion"], 2, "2147483647"),
    (["promote", *TARGET, "a\udc80b"], 2, "Word 4 of the command, .* is not UTF-8"),
    (["ledger", "show", "--limit", "9223372036854775808"], 2, "2147483647"),
    (["ui", "--host", "é" * 70], 1, "Cannot listen on .*encoding"),
    (["gate", "check", *TARGET, "--alias", "x" * 301], 1, "cannot name an alias"),
    (["approve", *TARGET, "x" * 301, *BY_KIM], 1, "cannot name an alias"),
    (["rollback", "digits-classifier", "x" * 301], 1, "cannot name an alias"),
    (["approve", *TARGET, "champion", *BY_KIM, "--comment", "x" * 501], 1, "Such a comment"),
    (["waive", *TARGET, "champion", *BY_KIM, "--rule", "", "--why", "so"], 1, "Such a rule"),
    (["waive", *TARGET, "champion", *BY_KIM, "--rule", "accuracy", "--why", ""], 1, "Such a why"),
    (["retire", *TARGET, "--key", "kim", "--why", ""], 1, "Such a why"),
    (["registry", "ls", "none"], 1, "name=none not found. See what there is"),
    (["keys", "trust", "hostile/folder", "--role", "reviewer"], 1, "hostile/folder is not a public key"),
    (["keys", "trust", "/proc/self/mem", "--role", "reviewer"], 1, "/proc/self/mem is not a public key"),
    (["attest", "reproduction", *TARGET, "--key", "kim", "--weights", "x" * 300], 1, "name too long"),
    (["log", "label", "hostile/folder"], 1, "The CSV file hostile/folder cannot be read"),
    (["drift", "judge", "--window", "../../../x"], 1, "must be named by"),
    (["drift", "judge", "--window", "[/]"], 1, "must be named by"),
    (["drift", "judge", "--since", "0001-01-01T00:00+23:59"], 2, "is not a time"),
    (
        ["drift", "judge", "--window", "calm", "--reference", "hostile/about.parquet"],
        1,
        "The reference lacks the columns",
    ),
    (["drift", "judge", "--window", "calm", "--params", "hostile/deep.yaml"], 1, "is not valid YAML"),
    (["drift", "judge", "--window", "calm", "--params", "hostile/scalar.yaml"], 1, "is not valid YAML"),
    (["drift", "judge", "--window", "calm", "--params", "hostile/folder"], 1, "cannot be read"),
    (["drift", "report", "--reports", "hostile/reports-1"], 1, "is not valid JSON"),
    (["webhook", "send", "--every", "nan"], 2, "--every.*Input should be"),
    (["webhook", "send", "--follow", "--every", "1e300"], 2, "--every.*Input should be"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("line", "status", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_once_ended_in_a_traceback_is_said(
    scene: Scene, line: list[Word], status: int, message: str
) -> None:
    answer = scene.run(line)
    assert answer.status == status, answer
    assert re.search(message, " ".join(answer.err.replace("│", " ").split())), answer.err


@pytest.mark.parametrize("measurements", ["deep.json", "nan.json", "numbers.json", "list.json", "latin1"])
def test_measurements_that_are_none_are_refused_with_their_file(scene: Scene, measurements: str) -> None:
    line = ["attest", "reproduction", *TARGET, "--key", "kim", "--weights", "models/seed0"]
    answer = scene.run([*line, "--measurements", f"hostile/{measurements}"])
    assert answer.status == 1
    assert f"hostile/{measurements}" in answer.err


@pytest.mark.slow
def test_what_somebody_signed_is_shown_as_it_is_and_moves_no_terminal(scene: Scene) -> None:
    why = "[bold]fine[/] :warning: [/x] \x1b[2J\x9b2J\x07"
    assert scene.run(["retire", *TARGET, "--key", "kim", "--why", why]).status == 0
    shown = [
        scene.run(line).out
        for line in (["gate", "explain", *TARGET], ["gate", "check", *TARGET], ["registry", "ls", "--all"])
    ]
    scene.restore()
    for each in shown:
        assert "[bold]fine[/] :warning: [/x]" in " ".join(each.split()).replace("│ ", "") or "[bold]" in each
        assert "\x1b" not in each
        assert "\x9b" not in each
    assert "\N{REPLACEMENT CHARACTER}[2J" in shown[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["it's", 'a"b', "a'b\"c", "[x]"])
def test_a_registered_model_of_any_name_is_listed_and_hinders_no_other(scene: Scene, name: str) -> None:
    connect().create_registered_model(name)
    publish_model(connect(), scene.folder / "models" / "seed1", registered_model=name)
    assert [row["version"] for row in json.loads(scene.run(["registry", "ls", name, "--json"]).out)] == [1]
    assert len(json.loads(scene.run(["registry", "ls", "--json"]).out)) == 3
    assert scene.run(["registry", "ls"]).status == 0
    scene.restore()


def _check_answer(answer: Answer, scene: Scene) -> None:
    assert answer.status in (0, 1, 2), answer
    printed = answer.out + answer.err
    assert "Traceback" not in printed
    if answer.status != 0:
        assert len(printed.strip()) > 10, "a refusal says what is wrong"
    # what a user got wrong is no fault of the database, and trying it again does not help
    assert "Nothing is lost; run the same command again" not in answer.err, answer.err
    assert not [secret for secret in scene.secrets() if secret in printed]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", printed.replace("\r\n", "\n")), (
        "nothing moves the terminal"
    )


def _check_registered(before: Registered, after: Registered, answer: Answer, command: str) -> None:
    added = len(after.entries) - len(before.entries)
    assert after.entries[: len(before.entries)] == before.entries
    if answer.status != 0:
        assert (after.aliases, after.stages, after.kept) == (before.aliases, before.stages, before.kept)
        assert added == after.refusals - before.refusals, "only refusals are written down"
    if command.split()[0] not in MAY_MOVE:
        assert after.champion == before.champion
