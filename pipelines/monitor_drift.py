"""DVC stage `monitor_drift`: a verdict, a review page and Evidently's report for each window; into MLflow.

A DVC experiment judges by its own reference and its own log, and puts nothing into MLflow.
"""

from pathlib import Path

from project_params import read_params
from serving import NOBODY, read_serving
from traffic import PRODUCTION, request_ids, seen_by_camera

from resnet_ops.console import console, report_errors
from resnet_ops.files import write_json
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.reference import load_reference
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.report.evidently_workspace import workspace_folder
from resnet_ops_monitoring.report.publish import publish_window
from resnet_ops_monitoring.report.report import PageContext, write_window
from resnet_ops_monitoring.report.stored_reference import fetch_reference, registered_version, store_reference
from resnet_ops_monitoring.serving.camera import SIMULATION
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.client.publish import KEY_NAME
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.settings import EXPERIMENT
from resnet_ops_registry.gate.reviews import reviews_of

REPLAY = "Simulated: real images that training and gate have not seen, replayed as they were recorded."

SUMMARY = Path("reports/drift/summary.json")


def main() -> None:
    everything, serving = read_params(), read_serving()
    if serving is None:
        console.print(NOBODY)
        write_json(SUMMARY, [])
        return
    params, seed = everything.monitor, everything.seed
    identity, client = serving.identity, connect()
    reference = load_reference(Path("data/reference/reference.parquet"))
    if EXPERIMENT is None:
        store_reference(client, reference, open_key(KEY_NAME))
        reference = fetch_reference(client, identity)  # one that a reviewer accepted comes first
    version = registered_version(client, identity)
    comparison = serving.unseen(Path("data/prepared"), "test").images
    data = serving.unseen(PRODUCTION, "production")
    log = InferenceLog.open()
    summary: list[dict[str, str]] = []
    judged: list[Verdict] = []
    for name, window in params.windows.items():
        folder = Path("reports/drift") / name
        rows = log.rows_of(request_ids(name, window, identity, data.rows))
        verdict = judge(rows, reference, params.drift, window=name)
        context = PageContext(
            role=serving.role,
            simulated=SIMULATION if window.camera == "dirty" else REPLAY,
            images=seen_by_camera(data.images, window, seed),
            reference_images=comparison,
            history=judged,
            reviews=reviews_of(version, name),
        )
        write_window(folder, verdict, rows, reference, params.drift, context, workspace=workspace_folder())
        judged.append(verdict)
        link = publish_window(client, folder) if EXPERIMENT is None else ""
        console.print(f"{name}: {verdict.headline}. {verdict.reason}")
        summary.append({"window": name, "verdict": verdict.headline, "reason": verdict.reason, "link": link})
    write_json(SUMMARY, summary)


if __name__ == "__main__":
    with report_errors("monitor_drift"):
        main()
