"""MLflow's registry API gives the same answers through the gate as without it, request by request."""

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import Any

import mlflow
import pytest
import requests

from tests.attacks.servers import Config, Running, start

pytestmark = pytest.mark.e2e

Call = tuple[str, str, dict[str, Any]]
MODELS, VERSIONS = "registered-models", "model-versions"


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, mlflow_tables: bytes
) -> Iterator[tuple[Running, Running]]:
    folder = tmp_path_factory.mktemp("contract")
    for name in ("plain", "gated"):
        (folder / f"{name}.db").write_bytes(mlflow_tables)
    with (
        start(Config(False, "sqlite"), folder / "plain", f"sqlite:///{folder}/plain.db") as plain,
        start(Config(True, "sqlite"), folder / "gated", f"sqlite:///{folder}/gated.db") as gated,
    ):
        yield plain, gated


def version(name: str, number: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": str(number), **more}


def tag(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value}


CREATION: list[Call] = [
    ("POST", f"{MODELS}/create", {"name": "a", "description": "first", "tags": [tag("team", "vision")]}),
    ("POST", f"{MODELS}/create", {"name": "a"}),
    ("POST", f"{MODELS}/create", {"name": ""}),
    ("POST", f"{MODELS}/create", {}),
    ("POST", f"{MODELS}/create", {"name": "x/y"}),
    ("POST", f"{MODELS}/create", {"name": "ünïcode 模型"}),
    *[("POST", f"{MODELS}/create", {"name": f"many-{number:02}"}) for number in range(12)],
    ("GET", f"{MODELS}/get", {"name": "a"}),
    ("GET", f"{MODELS}/get", {"name": "nobody"}),
    ("PATCH", f"{MODELS}/update", {"name": "a", "description": "new"}),
    ("PATCH", f"{MODELS}/update", {"name": "nobody", "description": "new"}),
    *[
        ("POST", f"{VERSIONS}/create", {"name": "a", "source": f"s3://bucket/{number}", "description": "v"})
        for number in range(4)
    ],
    ("POST", f"{VERSIONS}/create", {"name": "a", "source": "models:/a/1", "tags": [tag("k", "v")]}),
    ("POST", f"{VERSIONS}/create", {"name": "a", "source": "models:/a/77"}),
    ("POST", f"{VERSIONS}/create", {"name": "nobody", "source": "s3://bucket/1"}),
    ("POST", f"{VERSIONS}/create", {"name": "a", "source": "/etc"}),
    ("POST", f"{VERSIONS}/create", {"name": "a", "source": "s3://bucket/../x"}),
    ("POST", f"{VERSIONS}/create", {"name": "a"}),
    ("GET", f"{VERSIONS}/get", version("a", 2)),
    ("GET", f"{VERSIONS}/get", version("a", 99)),
    ("GET", f"{VERSIONS}/get", {"name": "a", "version": "two"}),
    ("GET", f"{VERSIONS}/get-download-uri", version("a", 2)),
    ("PATCH", f"{VERSIONS}/update", version("a", 2, description="better")),
    ("PATCH", f"{VERSIONS}/update", version("a", 99, description="better")),
]
TAGS: list[Call] = [
    ("POST", f"{MODELS}/set-tag", {"name": "a", **tag("stage", "trial")}),
    ("POST", f"{MODELS}/set-tag", {"name": "a", **tag("stage", "again")}),
    ("POST", f"{MODELS}/set-tag", {"name": "a", **tag("", "x")}),
    ("POST", f"{MODELS}/set-tag", {"name": "nobody", **tag("k", "x")}),
    ("POST", f"{MODELS}/set-tag", {"name": "a", **tag("long", "x" * 6000)}),
    ("DELETE", f"{MODELS}/delete-tag", {"name": "a", "key": "stage"}),
    ("DELETE", f"{MODELS}/delete-tag", {"name": "a", "key": "stage"}),
    ("POST", f"{VERSIONS}/set-tag", version("a", 1, **tag("reviewed", "yes"))),
    ("POST", f"{VERSIONS}/set-tag", version("a", 1, **tag("reviewed", "no"))),
    ("POST", f"{VERSIONS}/set-tag", version("a", 99, **tag("reviewed", "no"))),
    ("POST", f"{VERSIONS}/set-tag", version("a", 1, **tag("gateway", "not ours"))),
    ("POST", f"{VERSIONS}/set-tag", version("a", 1, **tag("bad#key", "x"))),
    ("DELETE", f"{VERSIONS}/delete-tag", version("a", 1, key="gateway")),
    ("DELETE", f"{VERSIONS}/delete-tag", version("a", 1, key="never")),
    ("GET", f"{VERSIONS}/get", version("a", 1)),
]
ALIASES: list[Call] = [
    ("POST", f"{MODELS}/alias", version("a", 1, alias="challenger")),
    ("POST", f"{MODELS}/alias", version("a", 1, alias="challenger")),
    ("POST", f"{MODELS}/alias", version("a", 2, alias="challenger")),
    ("POST", f"{MODELS}/alias", version("a", 3, alias="Shadow-1_x")),
    ("POST", f"{MODELS}/alias", version("a", 99, alias="challenger")),
    ("POST", f"{MODELS}/alias", version("nobody", 1, alias="challenger")),
    ("POST", f"{MODELS}/alias", version("a", 1, alias="latest")),
    ("POST", f"{MODELS}/alias", version("a", 1, alias="v12")),
    ("POST", f"{MODELS}/alias", version("a", 1, alias="with space")),
    ("POST", f"{MODELS}/alias", version("a", 1, alias="")),
    ("POST", f"{MODELS}/alias", {"name": "a", "version": "one", "alias": "challenger"}),
    ("GET", f"{MODELS}/alias", {"name": "a", "alias": "challenger"}),
    ("GET", f"{MODELS}/alias", {"name": "a", "alias": "latest"}),
    ("GET", f"{MODELS}/alias", {"name": "a", "alias": "champion"}),
    ("GET", f"{MODELS}/alias", {"name": "nobody", "alias": "challenger"}),
    ("GET", f"{MODELS}/get", {"name": "a"}),
    ("DELETE", f"{MODELS}/alias", {"name": "a", "alias": "Shadow-1_x"}),
    ("DELETE", f"{MODELS}/alias", {"name": "a", "alias": "Shadow-1_x"}),
]


def moved(number: int, stage: str, archive: bool) -> Call:
    """A version into a stage, from which others are archived then."""
    return (
        "POST",
        f"{VERSIONS}/transition-stage",
        version("a", number, stage=stage, archive_existing_versions=archive),
    )


STAGES: list[Call] = [
    moved(1, "Staging", archive=False),
    moved(2, "staging", archive=True),
    moved(2, "Staging", archive=True),
    moved(3, "Archived", archive=True),
    moved(3, "None", archive=False),
    moved(3, "Prod", archive=False),
    moved(99, "Staging", archive=False),
    ("POST", f"{VERSIONS}/transition-stage", version("a", 1)),
    ("POST", f"{MODELS}/get-latest-versions", {"name": "a"}),
    ("GET", f"{MODELS}/get-latest-versions", {"name": "a", "stages": ["staging"]}),
    ("GET", f"{MODELS}/get-latest-versions", {"name": "nobody"}),
]
SEARCHES: list[Call] = [
    *[
        ("GET", f"{MODELS}/search", {"filter": text, "max_results": 100})
        for text in (
            "",
            "name = 'a'",
            "name LIKE 'many-%'",
            "name ILIKE 'MANY-0%'",
            "tags.team = 'vision'",
            "tags.team != 'vision'",
            "version = 1",
            "name =",
        )
    ],
    ("GET", f"{MODELS}/search", {"max_results": 100, "order_by": ["name DESC"]}),
    ("GET", f"{MODELS}/search", {"max_results": 100, "order_by": ["size ASC"]}),
    ("GET", f"{MODELS}/search", {"max_results": 1001}),
    ("GET", f"{MODELS}/search", {"max_results": 5, "page_token": "nonsense"}),
    *[
        ("GET", f"{VERSIONS}/search", {"filter": text, "order_by": ["version_number ASC"]})
        for text in (
            "",
            "name = 'a'",
            "name = 'a' AND tags.reviewed = 'no'",
            "tags.`k` LIKE 'v%'",
            "version_number > 2",
            "run_id = 'none'",
            "source_path = 's3://bucket/1'",
            "name IN ('a', 'b')",
            "stage = 'Staging'",
        )
    ],
    ("GET", f"{VERSIONS}/search", {"max_results": 0}),
    ("GET", f"{VERSIONS}/search", {"order_by": ["stage ASC"]}),
]
MLFLOW = tuple(int(part) for part in mlflow.__version__.split(".")[:2])
ALIAS_OF_DELETED: Call = ("GET", f"{MODELS}/alias", {"name": "b", "alias": "challenger"})
"""MLflow 3.16 keeps the alias of a version that is deleted, and finds no version for it; the gate takes it off, as
MLflow 3.17 does."""
ENDINGS: list[Call] = [
    ("POST", f"{MODELS}/rename", {"name": "a", "new_name": "b"}),
    ("POST", f"{MODELS}/rename", {"name": "many-01", "new_name": "many-02"}),
    ("POST", f"{MODELS}/rename", {"name": "nobody", "new_name": "c"}),
    ("POST", f"{MODELS}/rename", {"name": "b", "new_name": ""}),
    ("GET", f"{MODELS}/get", {"name": "b"}),
    ("GET", f"{MODELS}/get", {"name": "a"}),
    ("DELETE", f"{VERSIONS}/delete", version("b", 2)),
    ("DELETE", f"{VERSIONS}/delete", version("b", 2)),
    ("GET", f"{VERSIONS}/get", version("b", 2)),
    ALIAS_OF_DELETED,
    ("POST", f"{VERSIONS}/create", {"name": "b", "source": "s3://bucket/9"}),
    ("DELETE", f"{MODELS}/delete", {"name": "b"}),
    ("DELETE", f"{MODELS}/delete", {"name": "b"}),
    ("POST", f"{MODELS}/create", {"name": "b"}),
    ("POST", f"{VERSIONS}/create", {"name": "b", "source": "s3://bucket/1"}),
    ("GET", f"{VERSIONS}/search", {"filter": "name = 'b'"}),
]
PROMPT = tag("mlflow.prompt.is_prompt", "true")
PROMPT_TEXT = [PROMPT, tag("mlflow.prompt.text", "Say {{word}}")]
PROMPTS: list[Call] = [
    ("POST", f"{MODELS}/create", {"name": "greeting", "tags": [PROMPT]}),
    ("POST", f"{VERSIONS}/create", {"name": "greeting", "source": "dummy-source", "tags": PROMPT_TEXT}),
    ("POST", f"{MODELS}/alias", version("greeting", 1, alias="staging")),
    ("GET", f"{MODELS}/search", {"filter": "name = 'greeting'"}),
    ("GET", f"{MODELS}/search", {"filter": "tags.`mlflow.prompt.is_prompt` = 'true'"}),
    ("GET", f"{VERSIONS}/search", {"filter": "name = 'greeting'"}),
    ("POST", f"{MODELS}/create", {"name": "greeting"}),
    ("DELETE", f"{MODELS}/alias", {"name": "greeting", "alias": "staging"}),
    ("DELETE", f"{VERSIONS}/delete", version("greeting", 1)),
    ("DELETE", f"{MODELS}/delete", {"name": "greeting"}),
]


def send(server: Running, call: Call, api: str = "2.0") -> tuple[int, Any]:
    """Status and answer, without what differs between any two servers: times, ids, addresses."""
    method, path, body = call
    where = {"params": body} if method == "GET" else {"json": body}
    answer = requests.request(method, f"{server.uri}/api/{api}/mlflow/{path}", timeout=60, **where)  # type: ignore[arg-type]
    try:
        return answer.status_code, _comparable(answer.json(), server)
    except requests.JSONDecodeError:
        return answer.status_code, answer.text


def _comparable(value: Any, server: Running) -> Any:
    if isinstance(value, dict):
        return {
            key: "TIME" if "timestamp" in key else "ID" if key == "webhook_id" else _comparable(item, server)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_comparable(item, server) for item in value]
    if isinstance(value, str):
        text = value.replace(server.uri, "SERVER").replace(str(server.folder), "FOLDER")
        # the SQL that MLflow quotes in an error names times
        return re.sub(r"\b1[6-9]\d{11}\b", "TIME", text)
    return value


@pytest.mark.parametrize(
    "calls",
    [CREATION, TAGS, ALIASES, STAGES, SEARCHES, ENDINGS, PROMPTS],
    ids=["creation", "tags", "aliases", "stages", "searches", "endings", "prompts"],
)
def test_the_gated_server_answers_as_plain_mlflow_does(
    servers: tuple[Running, Running], calls: list[Call]
) -> None:
    plain, gated = servers
    for call in calls:
        through, without = send(gated, call), send(plain, call)
        if call == ALIAS_OF_DELETED and MLFLOW < (3, 17):
            assert (through[0], without[0]) == (400, 404), call
        else:
            assert through == without, call


def test_pages_are_cut_alike(servers: tuple[Running, Running]) -> None:
    for path, body in (
        (f"{MODELS}/search", {"filter": "name LIKE 'many-%'"}),
        (f"{VERSIONS}/search", {"order_by": ["name ASC", "version_number ASC"]}),
    ):
        tokens = ["", ""]
        for _ in range(4):
            answers = [
                send(server, ("GET", path, {**body, "max_results": 5, "page_token": token}))
                for server, token in zip(servers, tokens, strict=True)
            ]
            assert answers[0] == answers[1]
            tokens = [answer[1].get("next_page_token", "") for answer in answers]
            if not tokens[0]:
                break


@pytest.fixture
def receiver() -> Iterator[tuple[str, "Queue[tuple[str, Any]]"]]:
    """A web server that takes webhooks: its address, and what arrived (path and body)."""
    arrived: Queue[tuple[str, Any]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.put((self.path, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", arrived
        server.shutdown()
        thread.join()


def test_webhooks_work_alike(
    servers: tuple[Running, Running], receiver: tuple[str, "Queue[tuple[str, Any]]"]
) -> None:
    """They tell of aliases and tags; the gate must neither lose nor change them, nor tell of what it refused."""
    url, arrived = receiver
    events = [
        {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"},
        {"entity": "MODEL_VERSION_TAG", "action": "SET"},
    ]
    ids = []
    for server, path in zip(servers, ("plain", "gated"), strict=True):
        body: Any = {"name": "hook", "url": f"{url}/{path}", "events": events, "secret": "s"}
        made = requests.post(f"{server.uri}/api/2.0/mlflow/webhooks", json=body, timeout=60)
        assert made.ok, made.text
        ids.append(made.json()["webhook"]["webhook_id"])
    for call in (
        ("POST", f"{MODELS}/create", {"name": "hooked"}),
        ("POST", f"{VERSIONS}/create", {"name": "hooked", "source": "s3://bucket/1"}),
        ("POST", f"{VERSIONS}/set-tag", version("hooked", 1, **tag("team", "vision"))),
        ("POST", f"{MODELS}/alias", version("hooked", 1, alias="challenger")),
    ):
        for server in servers:
            assert send(server, call)[0] == 200
    assert send(servers[1], ("POST", f"{MODELS}/alias", version("hooked", 1, alias="champion")))[0] == 409
    told: dict[str, list[str]] = {"/plain": [], "/gated": []}
    for _ in range(4):
        path, said = arrived.get(timeout=30)
        told[path].append(json.dumps(said["data"], sort_keys=True))
    assert sorted(told["/plain"]) == sorted(told["/gated"])
    assert len(told["/plain"]) == 2
    assert arrived.empty()
    for build in (
        lambda hook: ("GET", "webhooks", {}),
        lambda hook: ("GET", f"webhooks/{hook}", {}),
        lambda hook: ("PATCH", f"webhooks/{hook}", {"status": "DISABLED", "description": "off"}),
        lambda hook: ("PATCH", f"webhooks/{hook}", {"url": "ftp://nowhere"}),
        lambda hook: ("DELETE", f"webhooks/{hook}", {}),
        lambda hook: ("GET", f"webhooks/{hook}", {}),
        lambda hook: ("POST", "webhooks", {"name": "bad", "url": url, "events": []}),
    ):
        answers = [send(server, build(hook)) for server, hook in zip(servers, ids, strict=True)]
        texts = [repr(answer).replace(hook, "ID") for answer, hook in zip(answers, ids, strict=True)]
        assert texts[0] == texts[1].replace("/gated", "/plain")
