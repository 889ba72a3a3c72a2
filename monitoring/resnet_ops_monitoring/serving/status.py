"""What a server does now, in one answer."""

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from resnet_ops_monitoring.inference_log.client.writer_metrics import export_metrics
from resnet_ops_monitoring.serving.answer import CanaryStatus, ShadowStatus, Status
from resnet_ops_monitoring.serving.canary import COUNTED, Canary
from resnet_ops_monitoring.serving.scoring import Scoring
from resnet_ops_monitoring.serving.shadow import Shadow
from resnet_ops_monitoring.serving.swap import Follower

__all__ = ["log_metrics", "status_of"]


def status_of(scoring: Scoring) -> Status:
    """Of this process."""
    with scoring.swap.using() as version:
        log = version.log_state()
    return Status(
        **version.named,
        trouble=scoring.swap.trouble,
        swaps=scoring.swap.swaps,
        waiting=scoring.waiting,
        under_way=scoring.under_way,
        log=log,
        shadow=None if scoring.shadow is None else _shadow(scoring.shadow),
        canary=None if scoring.canary is None else _canary(scoring.canary),
    )


def log_metrics(scoring: Scoring) -> bytes:
    """What became of the rows of all versions, for Prometheus."""
    registry = CollectorRegistry()
    versions = (follower.current for follower in scoring.followers())
    writers = [version.writer for version in versions if version is not None and version.writer is not None]
    if writers:
        export_metrics(writers[0], registry, *writers[1:])
    return generate_latest(registry)


def _beside(follower: Follower) -> dict[str, Any]:
    with follower.using() as version:
        log = None if version is None else version.log_state()
    return {"version": version and version.named, "trouble": follower.trouble, "log": log}


def _shadow(shadow: Shadow) -> ShadowStatus:
    return ShadowStatus(**_beside(shadow.follower), waiting=shadow.waiting, requests=dict(shadow.counts))


def _canary(canary: Canary) -> CanaryStatus:
    beside, comparison = _beside(canary.follower), canary.comparison
    requests = {
        route: {event: comparison.counts[route, event] for event in COUNTED}
        for route in ("champion", "canary")
        if comparison is not None
    }
    since = comparison and comparison.since
    return CanaryStatus(**beside, share=canary.params.share, since=since, requests=requests)
