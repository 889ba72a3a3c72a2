"""The README's way from a promoted champion to a served, logged and monitored request, as it stands there."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.project import ROOT, Project
from tests.serving import answering, free_port

pytestmark = pytest.mark.e2e

PORT = "8080"


def blocks(document: str, words: str) -> list[str]:
    """The code blocks of a page that hold these words."""
    found = re.findall(r"^```(?:\w*)\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in found if words in block]


@contextmanager
def running(project: Project, command: str, port: int) -> Iterator[None]:
    """A server that the page starts, on a port that is free, until it says that it is ready."""
    address, log = f"http://127.0.0.1:{port}", project.folder / "serve.log"
    words = [*command.split(), "--port", str(port)]
    with answering(words, address, log, project.folder, project.environment, "/readyz") as process:
        yield
    assert process.returncode == 0, log.read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing, which the README uses")
def test_a_promoted_champion_is_served_logged_and_judged(reproduced: Project, tmp_path: Path) -> None:
    project = reproduced.copy(tmp_path / "project", without=(".dvc/cache", ".git"))
    gates = json.loads((project.folder / "reports/gates.json").read_text())
    version = next(c["version"] for c in gates["candidates"] if c["refusals"]["@champion"] is None)
    promoted = project.run("resnet-ops", "promote", "digits-classifier", str(version), "champion")
    assert promoted.returncode == 0, promoted.stderr

    (serve, ask), (make_image,) = (
        blocks("README.md", "curl")[0].splitlines(),
        blocks("docs/serve.md", "digit.png')"),
    )
    made = project.run("sh", "-c", make_image.split("curl")[0])
    assert made.returncode == 0, made.stderr
    port = free_port()
    with running(project, serve.split("#")[0], port):
        asked = project.run("sh", "-c", ask.replace(PORT, str(port)))
        assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert (answer["version"], answer["predictions"][0]["class"]) == (str(version), "0")

    shown = project.run("resnet-ops", "log", "show", "--json")
    assert shown.returncode == 0, shown.stderr
    assert answer["request_id"] in (project.folder / "var/inference.db").read_bytes().decode("latin-1")
    judged = project.run("resnet-ops", "monitor", "run", "--json")
    assert judged.returncode in (0, 1), judged.stderr
