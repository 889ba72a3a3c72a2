"""DVC stage `monitor_drift`: the monitor's own judgement of the simulated traffic, window by window; into MLflow.

A DVC experiment judges by its own reference and its own log, and puts nothing into MLflow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

import numpy as np

from resnet_ops.console import console, report_errors
from resnet_ops.files import write_json
from resnet_ops_monitoring.drift.reference import load_reference
from resnet_ops_monitoring.drift.simulated_camera import told
from resnet_ops_monitoring.drift.verdict import Verdict
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.report.stored_reference import fetch_reference, store_reference
from resnet_ops_monitoring.service.monitor import Monitor, Showing
from resnet_ops_monitoring.service.watched import Watched, registered_digests
from resnet_ops_monitoring.service.windows import due_time_ranges
from resnet_ops_pipelines.project_params import Params, TrafficWindow, read_params
from resnet_ops_pipelines.serving import Serving, read_serving
from resnet_ops_pipelines.traffic import PRODUCTION, replay
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.client.publish import KEY_NAME
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.settings import EXPERIMENT

REPORTS = Path("reports/drift")


def monitor_of(serving: Serving, params: Params) -> Monitor:
    """Of the serving version, as in production; what was accepted as the new normal comes first."""
    client, identity = connect(), serving.identity
    reference = load_reference(Path("data/reference/reference.parquet"))
    if EXPERIMENT is None:
        store_reference(client, reference, open_key(KEY_NAME))
        reference = fetch_reference(client, identity)
    digests = registered_digests(client, identity.name)
    watched = Watched(identity, serving.role, reference, digests)
    return Monitor(
        InferenceLog.open(), client, watched, params.monitor, REPORTS, publishes=EXPERIMENT is None
    )


def images_of(serving: Serving, params: Params, name: str) -> Showing:
    """The images of a replay's requests, as the camera delivered them."""
    sent = replay(name, params, serving.unseen(PRODUCTION, "production"), serving.identity)
    places = {each: place for place, each in enumerate(sent.ids)}

    def of(ids: Sequence[str]) -> np.ndarray | None:
        # a window may hold another replay's requests, or real ones
        return sent.images[[places[each] for each in ids]] if places.keys() >= {*ids} else None

    usual = serving.unseen(Path("data/prepared"), "test").images
    return Showing(of, usual, told(params.monitor.windows[name].camera))


def judged(monitor: Monitor, window: TrafficWindow) -> Iterator[Verdict]:
    """A replay's windows, as `monitor run` cuts and judges them."""
    log, identity, now = monitor.log, monitor.watched.identity, datetime.now(UTC)
    due = due_time_ranges(log, identity, monitor.settings.run, window.start, now)
    for time_range in takewhile(lambda each: each.since < window.end, due):
        yield monitor.judge_window(time_range, now)


def main() -> None:
    params, serving = read_params(), read_serving()
    summary: list[dict[str, str]] = []
    if serving is not None:
        monitor = monitor_of(serving, params)
        for name, window in sorted(params.monitor.windows.items(), key=lambda each: each[1].start):
            showing = replace(monitor, showing=images_of(serving, params, name))
            verdicts = list(judged(showing, window))
            if not verdicts:
                console.print(f"{name}: no window of it is over yet, so none is judged.")
            for verdict in verdicts:
                found = {"traffic": name, "window": verdict.window, "verdict": verdict.headline}
                place = monitor.history.link(serving.identity, verdict.window)
                summary.append({**found, "reason": verdict.reason, "link": place})
                console.print(f"{name}, {verdict.window}: {verdict.headline}. {verdict.reason}")
    write_json(REPORTS / "summary.json", summary)


if __name__ == "__main__":
    with report_errors("monitor_drift"):
        main()
