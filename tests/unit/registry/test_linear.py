"""Text from outside is read in time that grows with its length, not with its square."""

import base64
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image

from resnet_ops.preprocessing import read_preprocessing
from resnet_ops.tasks.detection.labels.coco import read_coco
from resnet_ops.tasks.detection.labels.csv_boxes import read_csv_boxes
from resnet_ops.tasks.detection.labels.listing import Listing
from resnet_ops.tasks.detection.labels.remedies import remedied
from resnet_ops.tasks.detection.labels.voc import read_voc
from resnet_ops.tasks.detection.labels.yolo import read_yolo
from resnet_ops_registry.attestations.envelope import parse_strict_json, read_envelope
from resnet_ops_registry.attestations.metrics_file import read_metrics
from resnet_ops_registry.attestations.predicates import read_predicate
from resnet_ops_registry.attestations.predictions_file import read_predictions
from resnet_ops_registry.attestations.statements import REFUSALS_AN_HOUR
from resnet_ops_registry.common.deadlines import read_until
from resnet_ops_registry.common.mlflow_errors import cause
from resnet_ops_registry.common.settings import mask_password
from resnet_ops_registry.database.ledger import list_entries
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate import gate
from resnet_ops_registry.gate.display import is_reserved
from resnet_ops_registry.gate.policy import Policy
from resnet_ops_registry.gate.policy_file import read_policy
from resnet_ops_registry.store import store
from tests.linear import is_linear
from tests.unit.registry.conftest import NAME, Publisher

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`

HEX = "0" * 64
NOW = datetime(2026, 11, 26, tzinfo=UTC)
HEAD = "model: m\nevidence_roles: [p]\nguards:\n  - rules:\n      - {rule: age, max_days: 1, why: w}\n"
RULES = "model: m\nevidence_roles: [p]\nguards:\n  - aliases: [a]\n    rules:\n"


def envelope(payload: str) -> str:
    encoded = base64.b64encode(payload.encode()).decode()
    return (
        f'{{"payload": "{encoded}", "payloadType": "application/vnd.in-toto+json",'
        f' "signatures": [{{"keyid": "{HEX}", "sig": ""}}]}}'
    )


def rules(count: int) -> str:
    return RULES + "".join(f"      - {{rule: age, id: r{n}, max_days: 1, why: w}}\n" for n in range(count))


def in_a_file(read: Callable[[Path], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            return read(Path(file.name))

    return parse


def in_a_folder(read: Callable[[Path], Any], name: str) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, name).write_text(text)
            return read(Path(folder))

    return parse


def yolo(names: Callable[[str], str], lines: Callable[[str], str]) -> Callable[[str], Any]:
    """The text makes the names of classes, or the labels of one image."""

    def parse(text: str) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            Image.new("L", (9, 9)).save(Path(folder, "a.png"))
            Path(folder, "data.yaml").write_text(f"names: [{names(text)}]")
            Path(folder, "a.txt").write_text(lines(text))
            return read_yolo(Path(folder), Path(folder))

    return parse


yolo_names = yolo(lambda text: text, lambda _: "")
yolo_lines = yolo(lambda _: "a", lambda text: text)


def boxes(read: Callable[[Path], Listing]) -> Callable[[str], Any]:
    return in_a_file(lambda file: remedied(read(file), file, "drop", None, None))


def coco(images: int, boxes: int, categories: int) -> str:
    parts = {
        "images": [{"id": n, "file_name": f"{n}", "width": 9, "height": 9} for n in range(images)],
        "annotations": [
            {"image_id": 0, "category_id": 0, "bbox": [0, 0, 1, n / boxes + 1]} for n in range(boxes)
        ],
        "categories": [{"id": n, "name": f"c{n}"} for n in range(categories)],
    }
    return json.dumps(parts)


def voc(objects: str) -> str:
    return f"<annotation><size><width>9</width><height>9</height></size>{objects}</annotation>"


PARSERS: dict[str, tuple[Callable[[str], Any], Callable[[int], str], int]] = {
    "escaped quotes": (parse_strict_json, lambda n: '\\"' * n, 20_000),
    "escaped quotes in a string": (parse_strict_json, lambda n: '"' + '\\"' * n, 20_000),
    "quotes": (parse_strict_json, lambda n: '"' * n, 20_000),
    "backslashes": (parse_strict_json, lambda n: '"' + "\\" * n, 20_000),
    "open strings": (parse_strict_json, lambda n: '"a' * n + "\\", 20_000),
    "brackets": (parse_strict_json, lambda n: "[]," * n, 20_000),
    "digits": (parse_strict_json, lambda n: "1" * n, 20_000),
    "a fraction": (parse_strict_json, lambda n: "1." + "1" * n, 20_000),
    "keys": (parse_strict_json, lambda n: "{" + ",".join(f'"{k}":0' for k in range(n)) + "}", 3_000),
    "an envelope": (read_envelope, lambda n: envelope('\\"' * n), 20_000),
    "a payload": (read_envelope, lambda n: envelope("{" * n), 20_000),
    "evidence": (
        lambda text: read_predicate(
            "https://resnet-ops.dev/evidence/v1", {"metrics": dict.fromkeys(text.split())}
        ),
        lambda n: " ".join(map(str, range(n))),
        2_000,
    ),
    "a team's metrics": (
        in_a_file(read_metrics),
        lambda n: "{" + ",".join(f'"m{k}":{{"value":0,"n":1}}' for k in range(n)) + "}",
        2_000,
    ),
    "metrics of one name": (
        in_a_file(read_metrics),
        lambda n: "{" + ",".join(['"m":{"value":0,"n":1}'] * n) + "}",
        3_000,
    ),
    "a team's predictions": (
        in_a_file(read_predictions),
        lambda n: "id,actual,predicted,group\n" + "".join(f"{k},a{k % 9},a0,{k // 9}\n" for k in range(n)),
        5_000,
    ),
    "columns of predictions": (
        in_a_file(read_predictions),
        lambda n: ",".join(["actual", "predicted", *(f"c{k}" for k in range(n))]) + "\n",
        5_000,
    ),
    "quotes in predictions": (in_a_file(read_predictions), lambda n: "actual,predicted\n" + '"' * n, 50_000),
    "images of boxes": (boxes(read_coco), lambda n: coco(n, 1, 1), 2_000),
    "boxes of an image": (boxes(read_coco), lambda n: coco(1, n, 1), 2_000),
    "classes of boxes": (boxes(read_coco), lambda n: coco(1, 1, n), 2_000),
    "boxes in XML": (
        boxes(lambda file: read_voc([file])),
        lambda n: voc("".join(f"<object><name>c{k}</name><bndbox/></object>" for k in range(n))),
        1_000,
    ),
    "a text in XML": (boxes(lambda file: read_voc([file])), lambda n: voc("&amp;" * n), 20_000),
    "rows of boxes": (
        boxes(read_csv_boxes),
        lambda n: "image,class,xmin,ymin,xmax,ymax,width,height\n" + "a,b,0,0,1,1,9,9\n" * n,
        2_000,
    ),
    "classes of YOLO's": (yolo_names, lambda n: ", ".join(f"c{k}" for k in range(n)), 500),
    "a number of YOLO's to the base 60": (yolo_names, lambda n: "1" + ":1" * n, 9_000),
    "lines of YOLO's": (yolo_lines, lambda n: "0 .5 .5 .1 .1\n" * n, 500),
    "values in a line of YOLO's": (yolo_lines, lambda n: "0 " * n, 20_000),
    "a value of YOLO's": (yolo_lines, lambda n: "0 1 1 1 " + "9" * n, 20_000),
    "how images are read": (
        in_a_folder(read_preprocessing, "preprocessing.json"),
        lambda n: "{" + ",".join(f'"m{k}":1' for k in range(n)) + "}",
        5_000,
    ),
    "digits of how images are read": (
        in_a_folder(read_preprocessing, "preprocessing.json"),
        lambda n: '{"background":' + "9" * n + "}",
        20_000,
    ),
    "a review's window": (
        lambda text: read_predicate("https://resnet-ops.dev/review/v1", {"window": text}),
        lambda n: "w." * n + "/",
        20_000,
    ),
    "aliases of a policy": (
        lambda text: read_policy(text, "p"),
        lambda n: HEAD + "    aliases: [" + ", ".join(f"a{k}" for k in range(n)) + "]\n",
        400,
    ),
    "rules of a policy": (lambda text: read_policy(text, "p"), rules, 40),
    "a number to the base 60": (lambda text: read_policy(text, "p"), lambda n: "model: 1" + ":1" * n, 9_000),
    "digits in a policy": (lambda text: read_policy(text, "p"), lambda n: "model: " + "9" * n, 19_000),
    "a key of a policy": (lambda text: read_policy(text, "p"), lambda n: "e" * n + ": 1", 19_000),
    "accents of a tag": (is_reserved, lambda n: "a" + "\u0316\u0301" * n, 20_000),
    "invisible signs of a tag": (is_reserved, lambda n: "\u200b" * n, 20_000),
    "a pattern": (
        lambda text: Policy(model="*a*a*a*b", evidence_roles=["p"], guards=[]).governs(text),
        lambda n: "a" * n,
        20_000,
    ),
    "a date": (lambda text: read_until(text, NOW), lambda n: "9" * n + "d", 20_000),
    "a password": (mask_password, lambda n: "://a:" * n, 20_000),
    "blanks of a password": (mask_password, lambda n: "://a: b " * n, 20_000),
    "ends of passwords with blanks": (mask_password, lambda n: "://a: b @" * n, 20_000),
    "the end of many passwords": (mask_password, lambda n: "://a:" * n + " @", 20_000),
    "a driver's error": (lambda text: cause(Exception(text)), lambda n: "(a." + "a." * n, 20_000),
}


@pytest.mark.parametrize("name", PARSERS)
def test_ten_times_the_length_costs_about_ten_times_the_work(name: str) -> None:
    assert is_linear(*PARSERS[name])


def test_nothing_is_hashed_for_a_statement_that_nobody_signed(
    client: MlflowClient, policy: None, published: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    version = str(published().version)

    def hash_files(of: Any) -> gate.Files:
        hashed.append(of)
        return gate.hash_files(of)

    monkeypatch.setattr(store, "hash_files", hash_files)
    for text in ("x", '\\"' * 60_000, envelope("{}"), "9" * 3_000_000):
        with pytest.raises(MlflowException):
            client.set_model_version_tag(NAME, version, "resnet_ops.statement", text)
    assert hashed == []


def test_refused_statements_of_one_sender_cannot_fill_the_ledger_and_that_is_told(
    client: MlflowClient, policy: None, published: Publisher
) -> None:
    version = str(published().version)
    for _ in range(REFUSALS_AN_HOUR + 5):
        with pytest.raises(MlflowException, match="not plain JSON"):
            client.set_model_version_tag(NAME, version, "resnet_ops.statement", "x")
    with open_database() as connection:
        refused = [entry.event for entry in list_entries(connection) if entry.event.action == "statement"]
    assert len(refused) == REFUSALS_AN_HOUR
    told = ["not written down" in " ".join(event.detail["reasons"]) for event in refused]
    assert told == [False] * (REFUSALS_AN_HOUR - 1) + [True]
