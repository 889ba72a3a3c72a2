"""A real chromium in front of a real `resnet-ops ui`, both ended with the block that started them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.e2e.project import Project
from tests.serving import answering, free_port

__all__ = ["CHROMIUM", "Ui", "Visitor", "run_ui", "visit"]

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MILLISECONDS = 15_000
IN_THE_PAGE = ("about", "blob", "data")


@dataclass(frozen=True)
class Ui:
    """A running `resnet-ops ui`, where it listens, and the address of the models that it printed."""

    address: str
    models: str

    def get(self, path: str, **query: str) -> requests.Response:
        """Ask MLflow's REST interface, past the browser."""
        return requests.get(f"{self.address}/api/2.0/mlflow/{path}", params=query, timeout=30)

    def holder(self, model: str, alias: str) -> str | None:
        """The version that carries an alias, or None."""
        answer = self.get("registered-models/get", name=model)
        answer.raise_for_status()
        aliases = answer.json()["registered_model"].get("aliases", [])
        return next((str(each["version"]) for each in aliases if each["alias"] == alias), None)


@contextmanager
def run_ui(project: Project) -> Iterator[Ui]:
    """`resnet-ops ui` in a checkout, on a free port; ends that process and its children alone."""
    port = free_port()
    address, log = f"http://127.0.0.1:{port}", project.folder / "ui.log"
    command = ["resnet-ops", "ui", "--port", str(port)]
    with answering(command, address, log, project.folder, project.environment):
        said = log.read_text().split()
        yield Ui(address, next(word for word in said if word.startswith(f"{address}/#/models")))


@dataclass(frozen=True)
class Visitor:
    """A browser with a profile of its own, and every address that its pages asked for."""

    context: BrowserContext
    requested: list[str] = field(default_factory=list)

    def outside(self) -> list[str]:
        """What was asked of other hosts than 127.0.0.1."""
        parts = [(url, urlsplit(url)) for url in self.requested]
        return [url for url, at in parts if at.scheme not in IN_THE_PAGE and at.hostname != "127.0.0.1"]


@contextmanager
def visit(ui: Ui, profile: Path) -> Iterator[Visitor]:
    """A chromium that came to the printed address and did what a person does there once."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            args=ARGUMENTS,
            viewport={"width": 1400, "height": 900},
        )
        try:
            context.set_default_timeout(WAIT_MILLISECONDS)
            visitor = Visitor(context)
            context.on("request", lambda request: visitor.requested.append(request.url))
            context.on(
                "page",
                lambda page: page.on("websocket", lambda socket: visitor.requested.append(socket.url)),
            )
            _arrive(context.new_page(), ui)
            yield visitor
        finally:
            context.close()


def _arrive(page: Page, ui: Ui) -> None:
    """Close MLflow's announcement and its assistant, and leave its GenAI view, in which models have no entry."""
    page.goto(ui.models)
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Model training").click()
    assistant = page.get_by_role("button", name="New Chat").locator("xpath=..")
    assistant.get_by_role("button", name="Close").click()
    page.close()
