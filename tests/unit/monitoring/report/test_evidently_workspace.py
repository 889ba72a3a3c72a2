"""The history that `evidently ui` shows: one project a version, one snapshot a window, however often it is judged."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from resnet_ops.errors import ConfigError
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.report.evidently_workspace import run_ui, workspace_folder
from resnet_ops_monitoring.report.report import PageContext, write_window
from resnet_ops_monitoring.serving.camera import degrade
from resnet_ops_monitoring.settings.drift import DriftParams

if TYPE_CHECKING:
    from tests.unit.monitoring.conftest import Served


@pytest.mark.slow
def test_a_window_is_in_the_workspace_once_with_its_verdict_and_the_dashboard_follows_it(
    served: Served, params: DriftParams, tmp_path: Path
) -> None:
    workspace, context = tmp_path / "evidently", PageContext(role=None)

    def write(name: str, rows: int, dirty: bool = False) -> None:
        images = served.unseen[:rows]
        frame = served.score(degrade(images, 0) if dirty else images, window=name)
        verdict = judge(frame, served.reference, params, window=name)
        write_window(tmp_path / name, verdict, frame, served.reference, params, context, workspace=workspace)

    write("monday", 120)
    write("tuesday", 120, dirty=True)
    write("monday", 120)
    write("wednesday", 10)  # too little to judge: nothing to draw
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.ui.workspace import Workspace

        kept = Workspace(str(workspace))
        (project,) = kept.list_projects()
        assert project.name == "digits-classifier v3"
        runs = [kept.get_run(project.id, each) for each in kept.list_runs(project.id)]
        found = {run.metadata["window"]: run for run in runs if run is not None}
    assert sorted(found) == ["monday", "tuesday"]
    assert len(runs) == 2
    assert found["tuesday"].metadata["verdict"] == "alarm"
    assert found["tuesday"].tags == ["tuesday", "alarm"]
    assert found["tuesday"].metadata["files"] == served.identity.digest
    assert "DriftedColumnsCount" not in found["monday"].json(), "no share rule"
    drawn = [panel.title for panel in project.dashboard.model().panels]
    assert drawn == ["Alarms", "Estimated accuracy"]


def test_without_a_workspace_the_ui_says_what_to_run(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"at var/evidently yet.*dvc repro"):
        run_ui("127.0.0.1", 8000)


def test_the_workspace_can_lie_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_OPS_EVIDENTLY", "/data/evidently")
    assert workspace_folder() == Path("/data/evidently")
