"""Evidently's workspace: the history of judged windows for `evidently ui`, one project for each model version."""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, UUID, uuid5

from resnet_ops.console import console
from resnet_ops.errors import ConfigError
from resnet_ops.extras import require
from resnet_ops.files import write_text
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.report.evidently_page import ALARM, ESTIMATED
from resnet_ops_registry.common.settings import EXPERIMENT, STATE
from resnet_ops_registry.operations.server import check_free

if TYPE_CHECKING:
    from evidently.core.report import Snapshot
    from evidently.ui.workspace import Workspace

__all__ = ["add_snapshot", "run_ui", "workspace_folder"]


def workspace_folder() -> Path:
    """RESNET_OPS_EVIDENTLY, or the project's own under var/; DVC experiments have their own."""
    if EXPERIMENT is not None:
        return STATE / "experiments" / "evidently"
    return Path(os.environ.get("RESNET_OPS_EVIDENTLY") or "var/evidently")


def add_snapshot(folder: Path, snapshot: "Snapshot", verdict: Verdict) -> None:
    """Put a window's snapshot into the project of its version; the same window again replaces it.

    Names are derived from the version and the window, and each file is put in its place whole: a repeat, also after a
    kill, leaves one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently's own
        from evidently.legacy.utils import NumpyEncoder
        from evidently.ui.workspace import Workspace

        folder.mkdir(parents=True, exist_ok=True)
        project = _id(verdict.identity)
        _make_project(Workspace(str(folder)), project, verdict.identity)
        content = json.dumps(snapshot.to_snapshot_model().dict(), cls=NumpyEncoder)
    write_text(folder / str(project) / "snapshots" / f"{uuid5(project, verdict.window)}.json", content)


def _id(identity: ModelIdentity) -> UUID:
    return uuid5(NAMESPACE_URL, f"{identity.name}|{identity.version}|{identity.digest}")


def _make_project(workspace: "Workspace", project: UUID, identity: ModelIdentity) -> None:
    from evidently.sdk.models import PanelMetric, ProjectModel
    from evidently.sdk.panels import bar_plot_panel, line_plot_panel

    names = {found.id for found in workspace.list_projects()}
    if project not in names:
        about = f"Judged windows of {identity}. The verdicts are resnet-ops', the drawings Evidently's."
        workspace.add_project(ProjectModel(id=project, name=str(identity), description=about))
    made = workspace.get_project(project)
    if made is None or made.dashboard.model().panels:
        return
    panels = (
        bar_plot_panel("Alarms", [_mean(PanelMetric, ALARM)], "1: the window raised an alarm", "half"),
        line_plot_panel(
            "Estimated accuracy",
            [_mean(PanelMetric, ESTIMATED)],
            "without labels; blind to new kinds",
            "half",
        ),
    )
    for panel in panels:
        made.dashboard.add_panel(panel, tab="Verdicts")


def _mean(kind: type, column: str) -> object:
    return kind(legend=column, metric="MeanValue", metric_labels={"column": column})


def run_ui(host: str, port: int) -> None:
    """Replace this process by `evidently ui` on the workspace. Does not return.

    Raises ConfigError when there is no workspace yet or the port is taken.
    """
    require("Evidently's UI", "evidently")
    folder = workspace_folder()
    if not folder.is_dir():
        raise ConfigError(
            f"There is no Evidently workspace at {folder} yet: no window was judged. Run: dvc repro monitor_drift"
        )
    check_free(host, port, f"resnet-ops drift ui --port {port + 1}")
    os.environ["DO_NOT_TRACK"] = "true"
    console.print(f"Windows by model version:  http://{host}:{port}")
    console.print("Stop with Ctrl-C.")
    sys.stdout.flush()
    code = "from evidently.cli import app; app()"
    words = ["ui", "--workspace", str(folder), "--host", host, "--port", str(port)]
    os.execv(sys.executable, [sys.executable, "-W", "ignore", "-c", code, *words])  # noqa: S606
