"""DVC stage `score_production`: simulated traffic through the served model, into the inference log."""

from pathlib import Path
from typing import Any

from resnet_ops.console import console, report_errors
from resnet_ops.files import write_json
from resnet_ops_monitoring.drift.simulated_camera import CAMERAS
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.scorer import Scorer
from resnet_ops_pipelines.outside_state import outside_state
from resnet_ops_pipelines.project_params import read_params
from resnet_ops_pipelines.serving import read_serving
from resnet_ops_pipelines.traffic import PRODUCTION, replay

WINDOWS = Path("reports/windows.json")
SOURCE = "simulated {} camera"


def main() -> None:
    params, serving = read_params(), read_serving()
    if serving is None:
        write_json(WINDOWS, {})
        return
    identity, data = serving.identity, serving.unseen(PRODUCTION, "production")
    log = InferenceLog.open()
    written: dict[str, Any] = {}
    requests: dict[str, list[str]] = {}
    for name, window in params.monitor.windows.items():
        sent = replay(name, params, data, identity)
        requests[name] = sent.ids
        frame = Scorer(serving.model, identity).score(
            sent.images,
            sent.ids,
            sent.times,
            source=SOURCE.format(window.camera),
            window=name,
            groups=sent.groups,
        )
        added = log.append(frame)
        console.print(
            f"{log.place}: window {name}, {len(frame)} requests to {identity} ({serving.role}), {added} new"
        )
        written[name] = {"rows": len(frame), "model": str(identity), "digest": identity.digest}
    today = {each for ids in requests.values() for each in ids}
    log.drop_replays(
        [SOURCE.format(camera) for camera in CAMERAS], identity, today
    )  # of other images, times or names than today's
    outside = outside_state(identity, log, requests)
    write_json(WINDOWS, {"windows": written, "outside": outside})


if __name__ == "__main__":
    with report_errors("score_production"):
        main()
