"""What a person sees in MLflow's own pages: versions and verdicts, the refusal, the promotion, the drift report.

RESNET_OPS_SCREENSHOTS=FOLDER keeps pictures of six of them. Those in docs/images were made by

    RESNET_OPS_SCREENSHOTS=docs/images pytest --basetemp /srv/resnet-ops tests/e2e/test_browser.py
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.browser import CHROMIUM, Ui, Visitor, run_ui, visit
from tests.e2e.project import Project

expect.set_options(timeout=60_000)  # how long a page takes says more about the machine
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        CHROMIUM is None, reason="there is no chromium here (Debian: apt-get install chromium)"
    ),
]

MODEL = "digits-classifier"


@dataclass(frozen=True)
class Candidate:
    """A registered version as `check_gates` saw it. `refusal`: why it may not be @champion, or None."""

    version: str
    member: str
    refusal: str | None


@pytest.fixture(scope="module")
def project(reproduced: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return reproduced.copy(tmp_path_factory.mktemp("browser") / "project", without=(".dvc/cache", ".git"))


@pytest.fixture(scope="module")
def ui(project: Project) -> Iterator[Ui]:
    with run_ui(project) as running:
        yield running


@pytest.fixture(scope="module")
def visitor(ui: Ui, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with visit(ui, tmp_path_factory.mktemp("profile")) as arrived:
        yield arrived


@pytest.fixture
def page(visitor: Visitor) -> Iterator[Page]:
    """A new tab. What it opens may ask nothing of another host."""
    opened = visitor.context.new_page()
    yield opened
    opened.close()
    assert visitor.outside() == []


@pytest.fixture(scope="module")
def candidates(project: Project) -> list[Candidate]:
    found = read(project, "reports/gates.json")["candidates"]
    return [Candidate(str(c["version"]), c["member"], c["refusals"]["@champion"]) for c in found]


@pytest.fixture(scope="module")
def failing(candidates: list[Candidate]) -> Candidate:
    return next(candidate for candidate in candidates if candidate.refusal)


@pytest.fixture(scope="module")
def passing(candidates: list[Candidate], project: Project) -> Candidate:
    """The last trained one: an export's run has no epochs to draw."""
    trained = {path.stem for path in (project.folder / "reports/training").iterdir()}
    return [each for each in candidates if not each.refusal and each.member in trained][-1]


def read(project: Project, name: str) -> Any:
    return json.loads((project.folder / name).read_text())


def open_version(page: Page, ui: Ui, version: str) -> None:
    page.goto(f"{ui.address}/#/models/{MODEL}/versions/{version}")
    expect(page.get_by_role("heading", name=f"Version {version}", exact=True)).to_be_visible()


def row(page: Page, name: str) -> Locator:
    """The row of a table on a version's page whose first cell says `name`."""
    return page.get_by_role("row").filter(has=page.get_by_role("cell", name=name, exact=True))


def give_alias(page: Page, alias: str) -> Locator:
    """Add an alias in MLflow's dialog on a version's page, and save; gives the dialog."""
    label = page.get_by_test_id("descriptions-item-label").filter(has_text="Aliases")
    label.locator("xpath=..").get_by_role("button").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").fill(alias)
    dialog.get_by_role("combobox").press("Enter")
    dialog.get_by_role("button", name="Save aliases").click()
    return dialog


@contextmanager
def stages_shown(page: Page) -> Iterator[None]:
    """A version's page with MLflow's stages. The browser keeps to that view until it is switched back."""
    switch = page.get_by_role("switch", name="New model registry UI")
    switch.click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(switch).not_to_be_checked()
    try:
        yield
    finally:
        switch.click()
        expect(switch).to_be_checked()


def move_to_stage(page: Page, stage: str) -> None:
    """Choose a stage in the drop-down of a version's page, and confirm."""
    label = page.get_by_test_id("descriptions-item-label").filter(has_text="Stage")
    label.locator("xpath=..").get_by_text("None", exact=True).click()
    page.get_by_role("menuitem", name="Transition to").filter(has_text=stage).click()
    page.get_by_role("dialog", name="Stage transition").get_by_role("button", name="OK").click()


def wait_until_loaded(frame: Locator) -> None:
    """Until everything that a frame's document asks for has come, or failed."""
    inside = frame.element_handle().content_frame()
    assert inside is not None
    inside.wait_for_load_state("load")


def keep_picture(page: Page, name: str, width: int, height: int) -> None:
    """Save what a window of this size shows, where somebody asked for pictures."""
    folder = os.environ.get("RESNET_OPS_SCREENSHOTS")
    if folder:
        page.set_viewport_size({"width": width, "height": height})
        page.mouse.move(0, 0)
        page.wait_for_timeout(1000)
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / name)


def test_the_models_page_lists_every_version_with_the_gates_verdict(
    page: Page, ui: Ui, candidates: list[Candidate]
) -> None:
    page.goto(ui.models)
    page.get_by_role("link", name=MODEL, exact=True).click()
    assert len(candidates) == 4
    for candidate in candidates:
        link = page.get_by_role("link", name=f"Version {candidate.version}", exact=True)
        line = page.get_by_role("row").filter(has=link)
        expect(line.get_by_title("member", exact=True).first).to_contain_text(candidate.member)
        verdict = f"refused: {candidate.refusal}" if candidate.refusal else "passes"
        expect(line.get_by_title("gate champion", exact=True).first).to_contain_text(verdict)


def test_a_versions_page_shows_its_metrics_and_the_reasons_of_the_gate(
    page: Page, ui: Ui, project: Project, failing: Candidate
) -> None:
    open_version(page, ui, failing.version)
    measured = read(project, f"reports/evaluation/{failing.member}/metrics.json")["test"]
    for metric in ("top1", "worst_class_recall"):
        expect(row(page, f"test.{metric}")).to_contain_text(f"{measured[metric]:.3f} (")
    expect(row(page, "server-cpu.latency_p95_ms")).to_contain_text(re.compile(r"\d ms \("))
    expect(row(page, "gate champion")).to_contain_text(f"refused: {failing.refusal}")
    expect(row(page, "gate champion-edge")).to_contain_text("passes")
    expect(row(page, "evidence")).to_contain_text("signed by pipeline")


def test_mlflows_dialog_refuses_a_failing_version_with_the_reason(
    page: Page, ui: Ui, failing: Candidate
) -> None:
    before = ui.holder(MODEL, "champion")
    open_version(page, ui, failing.version)
    dialog = give_alias(page, "champion")
    refusal = dialog.get_by_role("alert")
    expect(refusal).to_contain_text(f"{MODEL} v{failing.version} may not become @champion")
    expect(refusal).to_contain_text(re.compile(r"test\.top1 .*below 0\.950"))
    assert ui.holder(MODEL, "champion") == before != failing.version
    keep_picture(page, "refusal.png", 1400, 560)
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status", name="champion", exact=True)).to_have_count(0)


def test_mlflows_stage_transition_refuses_a_failing_version_with_the_reason(
    page: Page, ui: Ui, failing: Candidate
) -> None:
    open_version(page, ui, failing.version)
    with stages_shown(page):
        move_to_stage(page, "Production")
        refusal = page.get_by_role("alert")
        expect(refusal).to_contain_text(f"{MODEL} v{failing.version} may not become stage Production")
        expect(refusal).to_contain_text(re.compile(r"test\.top1 .*below 0\.950"))
        keep_picture(page, "stage-refusal.png", 1200, 560)
    version = ui.get("model-versions/get", name=MODEL, version=failing.version).json()["model_version"]
    assert version["current_stage"] == "None"


def test_mlflows_dialog_lets_a_passing_version_become_champion(
    page: Page, ui: Ui, passing: Candidate
) -> None:
    open_version(page, ui, passing.version)
    dialog = give_alias(page, "champion")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("status", name="champion", exact=True)).to_be_visible()
    assert ui.holder(MODEL, "champion") == passing.version
    keep_picture(page, "version.png", 1200, 895)
    page.goto(f"{ui.address}/#/models/{MODEL}")
    link = page.get_by_role("link", name=f"Version {passing.version}", exact=True)
    line = page.get_by_role("row").filter(has=link)
    expect(line.get_by_role("status", name="champion", exact=True)).to_be_visible()


@dataclass(frozen=True)
class Demand:
    """A rule in front of an alias of its own, which `member` does not meet, and what the refusal must say."""

    alias: str
    member: str
    rule: str
    said: str


DEMANDS = [
    Demand(
        "champion-fair",
        "resnet8",
        '{rule: threshold, metric: "test.slice.*", min: 0.9, why: nobody is to be served much worse}',
        r"test\.slice\.\S+ 0\.\d+ \(0\.\d+-\S+, n=\d+\) is below 0\.900",
    ),
    Demand(
        "champion-fast",
        "resnet20",
        "{rule: threshold, metric: server-cpu.latency_p99_ms, max: 0.001, why: one in a hundred waits longer}",
        r"server-cpu\.latency_p99_ms [\d.]+ ms \([\d.]+-[\d.]+, n=\d+\) is above 0\.001",
    ),
    Demand(
        "champion-honest",
        "resnet14",
        "{rule: threshold, metric: calibrated.ece, bound: high, max: 0.001, why: people act on what it says}",
        r"calibrated\.ece 0\.\d+ \(\S+, n=\d+\): its interval's high end is above 0\.001",
    ),
]


@pytest.fixture
def demanding(project: Project) -> Iterator[None]:
    """The project's policy with DEMANDS beside it, in force for one test."""
    policy = "policies/digits-classifier.yaml"
    asked = "".join(f"  - aliases: [{each.alias}]\n    rules:\n      - {each.rule}\n" for each in DEMANDS)
    (project.folder / "demanding.yaml").write_text((project.folder / policy).read_text() + asked)
    for file in ("demanding.yaml", policy):
        done = project.run("resnet-ops", "policy", "apply", file)
        assert done.returncode == 0, done.stderr
        if file != policy:
            yield


def test_mlflows_dialog_refuses_a_worst_slice_a_p99_and_a_calibration_each_with_the_reason(
    page: Page, ui: Ui, demanding: None, candidates: list[Candidate]
) -> None:
    versions = {candidate.member: candidate.version for candidate in candidates}
    for demand in DEMANDS:
        version = versions[demand.member]
        open_version(page, ui, version)
        dialog = give_alias(page, demand.alias)
        refusal = dialog.get_by_role("alert")
        expect(refusal).to_contain_text(f"{MODEL} v{version} may not become @{demand.alias}")
        expect(refusal).to_contain_text(re.compile(demand.said))
        assert ui.holder(MODEL, demand.alias) is None
        if demand.member == "resnet8":
            keep_picture(page, "refusal-slice.png", 1400, 560)
        dialog.get_by_role("button", name="Cancel").click()


def test_a_versions_page_shows_its_model_card_and_the_whole_of_it_opens_in_the_artifact_viewer(
    page: Page, ui: Ui, visitor: Visitor, project: Project, failing: Candidate
) -> None:
    measured = read(project, f"reports/evaluation/{failing.member}/measurements.json")
    open_version(page, ui, failing.version)
    worst = measured["test.worst_slice"]["value"]
    expect(row(page, "test.worst_slice")).to_contain_text(f"{worst:.3f} (")
    expect(page.get_by_text("What it does on data unlike these is not known")).to_be_visible()
    link = page.get_by_role("link", name="the whole model card", exact=True)
    page.goto(f"{ui.address}/{link.get_attribute('href')}")
    frame = page.locator("iframe")
    card = frame.content_frame
    title = f"{MODEL} v{failing.version}: {failing.member}"
    expect(card.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(card.get_by_text("@champion: refused", exact=True)).to_be_visible()
    top1 = measured["test.top1"]["value"]
    expect(card.get_by_text(f"{top1:.3f}", exact=True).first).to_be_visible()
    expect(card.get_by_role("heading", name="Intended use written by people")).to_be_visible()
    wait_until_loaded(frame)
    keep_picture(page, "model-card.png", 1400, 1010)
    page.get_by_text("card.md", exact=True).click()
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(row(page, "robustness.drop")).to_be_visible()
    assert visitor.outside() == []


def test_the_card_is_read_over_http_as_from_the_database(
    ui: Ui, project: Project, failing: Candidate
) -> None:
    asked = ("resnet-ops", "card", MODEL, failing.version)
    near, far = project.run(*asked), project.run(*asked, MLFLOW_TRACKING_URI=ui.address)
    assert (near.returncode, far.returncode) == (0, 0), near.stderr + far.stderr
    assert near.stdout == far.stdout
    assert f"{MODEL} v{failing.version}: {failing.member}" in far.stdout


def test_the_drift_report_opens_in_the_artifact_viewer_and_asks_nothing_of_other_hosts(
    page: Page, ui: Ui, visitor: Visitor, project: Project
) -> None:
    dirty = read(project, "reports/drift/summary.json")[-1]
    seen = len(visitor.requested)
    page.goto(f"{ui.address}/{dirty['link']}")
    frame = page.locator("iframe")
    expect(frame).to_have_attribute("sandbox", "allow-scripts")
    report = frame.content_frame
    expect(report.get_by_role("heading", name=re.compile(r"^Alarm: .* no longer behaves"))).to_be_visible()
    expect(report.get_by_text(dirty["reason"])).to_be_visible()
    wait_until_loaded(frame)
    keep_picture(page, "drift-report.png", 1400, 1010)
    page.get_by_text("evidently.html", exact=True).click()
    expect(report.get_by_text("Drift in column 'predicted'")).to_be_visible()
    wait_until_loaded(frame)
    for name in ("review.html", "evidently.html"):
        assert any(name in url for url in visitor.requested[seen:])
    assert visitor.outside() == []


def test_a_runs_page_draws_its_metrics_over_the_epochs(page: Page, ui: Ui, passing: Candidate) -> None:
    run = ui.get("model-versions/get", name=MODEL, version=passing.version).json()["model_version"]["run_id"]
    experiment = ui.get("runs/get", run_id=run).json()["run"]["info"]["experiment_id"]
    epochs = ui.get("metrics/get-history", run_id=run, metric_key="validation_score").json()["metrics"]
    assert len(epochs) > 1
    page.goto(f"{ui.address}/#/experiments/{experiment}")
    page.locator(f"a[href$='/runs/{run}']").click()
    expect(page.get_by_role("heading", name=passing.member, exact=True)).to_be_visible()
    page.get_by_role("tab", name="Model metrics").click()
    page.get_by_role("searchbox").fill("validation_score")
    expect(page.get_by_role("heading", name="validation_score", exact=True)).to_be_visible()
    expect(page.get_by_text("Step", exact=True)).to_be_visible()
    expect(page.locator(".scatterlayer .point")).to_have_count(len(epochs))
