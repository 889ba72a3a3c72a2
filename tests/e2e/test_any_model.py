"""docs/any-model.md, every block of it in its order: the bare wheel, a real server, a scikit-learn model.

What is left out: `pip install`, in whose place the checkout's wheel is installed with what it demands and no more.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from resnet_ops_registry.attestations.metrics_file import read_metrics
from tests.e2e.browser import CHROMIUM, Ui, visit
from tests.e2e.installed import environment
from tests.e2e.project import ROOT
from tests.serving import answering, free_port

pytestmark = pytest.mark.e2e

DOCUMENT = (ROOT / "docs" / "any-model.md").read_text()
PORT = "5000"
PATTERN = re.compile(
    r"^## (?P<title>[^\n]+)$|(?:^<!-- exit status: (?P<status>\d) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
BEGINNING, EVIDENCE = "A server and a model to begin with", "3. Evidence"
WORSE, BETTER = "4. A worse version is refused", "5. A better one passes"


@dataclass(frozen=True)
class Block:
    """A block of the page. `status`: the exit status with which it must end."""

    section: str
    kind: str
    text: str
    status: int


def blocks() -> list[Block]:
    found, section = [], ""
    for match in PATTERN.finditer(DOCUMENT):
        section = match["title"] or section
        if match["kind"]:
            found.append(Block(section, match["kind"], match["text"], int(match["status"] or 0)))
    return found


@dataclass
class Reader:
    """Somebody who does what the page says, in a folder of their own."""

    folder: Path
    binaries: Path
    port: str
    exported: list[str] = field(default_factory=list)
    server: ExitStack | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def read(self, block: Block) -> str | None:
        """Do it. A file is written, a server started in place of the one before; gives what any other one printed."""
        text = block.text.replace(PORT, self.port)
        if name := re.match(r"# ([\w./-]+)\n", text):
            (self.folder / name[1]).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name[1]).write_text(text)
        elif text.startswith("mlflow server"):
            self.serve(text)
        elif block.kind == "sh" and not text.startswith("pip install"):
            status, said = self.run(text)
            assert status == block.status, said
            self.exported += re.findall("^export .*$", text, re.MULTILINE)
            return said
        return None

    def run(self, text: str, **settings: str) -> tuple[int, str]:
        """In a shell that stops where a command fails: its exit status, and what it printed."""
        done = subprocess.run(
            ["bash", "-ec", "\n".join([*self.exported, text])],
            cwd=self.folder,
            env={**self.environment(), **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1200,
        )
        return done.returncode, done.stdout

    def doctor(self) -> dict[str, str]:
        """What the doctor says is wrong, by its subject."""
        said = json.loads(self.run("resnet-ops doctor --json || true")[1])
        return {each["subject"]: each["text"] for each in said if each["state"] == "wrong"}

    def environment(self) -> dict[str, str]:
        known = environment()
        return {**known, "PATH": f"{self.binaries}{os.pathsep}{known['PATH']}"}

    def serve(self, text: str) -> None:
        self.stop()
        command, log = ["bash", "-c", f"exec {text}"], self.folder / "server.log"
        self.server = ExitStack()
        self.server.enter_context(answering(command, self.address, log, self.folder, self.environment()))

    def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None

    def champion(self) -> str | None:
        """The version that holds @champion, or None while there is no server or no such version."""
        if self.server is None:
            return None
        asked = {"name": "digits", "alias": "champion"}
        found = requests.get(
            f"{self.address}/api/2.0/mlflow/registered-models/alias", params=asked, timeout=60
        )
        return str(found.json()["model_version"]["version"]) if found.ok else None


@dataclass(frozen=True)
class Walk:
    """What came of each section: what was printed, who was the champion after it, and what the doctor found wrong."""

    reader: Reader
    said: dict[str, str]
    champions: dict[str, str | None]
    wrong: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def walk(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    reader = Reader(tmp_path_factory.mktemp("any-model"), bare.parent, str(free_port()))
    found = Walk(reader, {}, {}, {})
    try:
        for section, inside in groupby(blocks(), key=lambda block: block.section):
            found.said[section] = "".join(reader.read(block) or "" for block in inside)
            found.champions[section] = reader.champion()
            if section in (BEGINNING, BETTER):
                found.wrong[section] = reader.doctor()
            if section == BEGINNING:
                reader.exported.clear()  # as by who has a server and a model, and begins with step 1
        yield found
    finally:
        reader.stop()


def test_the_page_is_read_as_it_is_written() -> None:
    kinds = [(block.section, block.kind) for block in blocks()]
    assert len(kinds) == DOCUMENT.count("\n```") // 2
    assert {kind for _, kind in kinds} == {"sh", "python", "yaml", "json"}
    assert [block.section for block in blocks() if block.status] == [WORSE]


def test_what_somebody_made_by_hand_stays_when_the_gate_comes(walk: Walk) -> None:
    assert walk.champions[BEGINNING] == "1"
    assert "digits v1 is @champion, which the gate did not decide" in walk.said["2. A key and a policy"]
    assert walk.champions[EVIDENCE] == "1"
    assert "The gate says of @champion: passes" in walk.said[EVIDENCE]
    assert "torch" not in walk.said[EVIDENCE]


def test_the_champion_that_was_set_by_hand_is_the_gates_once_it_is_promoted_again(walk: Walk) -> None:
    assert re.search(r"alias @champion \W+ digits v1 \W+ allowed", walk.said[WORSE]), "the ledger"


def test_the_doctor_tells_a_server_without_the_gate_from_one_with_it(walk: Walk) -> None:
    assert list(walk.wrong[BEGINNING]) == ["server's gate"]
    assert "--registry-store-uri gated:" in walk.wrong[BEGINNING]["server's gate"]
    assert walk.wrong[BETTER] == {}


def test_a_worse_version_is_refused_with_the_reason(walk: Walk) -> None:
    assert "digits v2 may not become @champion: " in walk.said[WORSE]
    assert re.search(r"points against @champion v1 \(\d+ won, \d+ lost of 899", walk.said[WORSE])
    assert walk.said[WORSE].count("FAILS") == 2, "every rule"
    assert re.search(r"alias @champion \W+ digits v2 \W+ refused", walk.said[WORSE]), "the ledger"
    assert "gate explain digits 2, on the server's machine" in walk.said[WORSE]
    assert walk.champions[WORSE] == "1"
    asked = {"name": "digits", "alias": "champion", "version": "2"}
    address = f"{walk.reader.address}/api/2.0/mlflow/registered-models/alias"
    refused = requests.post(address, json=asked, timeout=60)
    assert refused.status_code in (400, 409)
    assert "digits v2 may not become @champion: " in refused.json()["message"]


def test_a_better_version_replaces_the_champion(walk: Walk) -> None:
    assert walk.champions[BETTER] == "3"
    assert "{'@champion': None}" in walk.said["From Python"]


@pytest.mark.parametrize(("name", "status"), [("better", 0), ("worse", 1)])
@pytest.mark.parametrize("file", [".github/workflows/model.yml", ".gitlab-ci.yml"])
def test_the_jobs_of_the_page_gate_a_merge(walk: Walk, file: str, name: str, status: int) -> None:
    job, lines = scripts(yaml.safe_load((walk.reader.folder / file).read_text()))
    key = walk.reader.folder / "var" / "keys" / "ci.pem"
    settings = {**job, "RESNET_OPS_KEY": key.read_text() if ".github" in file else str(key)}
    *before, last = [line.replace("better", name) for line in lines if not line.startswith("pip install")]
    assert last.startswith("resnet-ops gate check")
    done, said = walk.reader.run("\n".join(before), **settings)
    assert done == 0, said
    assert walk.reader.run(last, **settings)[0] == status


def scripts(content: Any) -> tuple[dict[str, str], list[str]]:
    """A job's settings that hold no expression, and its commands."""
    if "jobs" in content:
        job = content["jobs"]["model"]
        settings, lines = job["env"], [step["run"] for step in job["steps"] if "run" in step]
    else:
        settings, lines = content["model"]["variables"], content["model"]["script"]
    return {name: value for name, value in settings.items() if "${{" not in value}, lines


def test_the_page_shows_metrics_as_they_are_read(tmp_path: Path) -> None:
    (block,) = [block for block in blocks() if block.kind == "json"]
    (tmp_path / "metrics.json").write_text(block.text)
    assert set(read_metrics(tmp_path / "metrics.json")) == {"test.rmse", "server-cpu.latency_p95_ms"}


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here (Debian: apt-get install chromium)")
def test_mlflows_own_dialog_refuses_the_worse_version(
    walk: Walk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from playwright.sync_api import expect

    from tests.e2e.test_browser import give_alias

    ui = Ui(walk.reader.address, f"{walk.reader.address}/#/models?workflowType=machine_learning")
    with visit(ui, tmp_path_factory.mktemp("profile")) as visitor:
        page = visitor.context.new_page()
        page.goto(f"{ui.address}/#/models/digits/versions/2")
        expect(page.get_by_role("heading", name="Version 2", exact=True)).to_be_visible()
        dialog = give_alias(page, "champion")
        expect(dialog).to_contain_text("digits v2 may not become @champion: ")
        assert ui.holder("digits", "champion") == "3"
