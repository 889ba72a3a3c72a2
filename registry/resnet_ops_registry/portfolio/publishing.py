"""The portfolio in MLflow: one run in the model's experiment that holds the page, kept up to date."""

import hashlib
from typing import TYPE_CHECKING

from resnet_ops_registry.common.connection import ensure_experiment
from resnet_ops_registry.common.mlflow_errors import reported
from resnet_ops_registry.operations.server import TRAINING_VIEW

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["publish_portfolio"]

PAGE = "portfolio/index.html"
MODEL_TAG, PAGE_TAG = "resnet_ops.portfolio_of", "resnet_ops.portfolio_digest"


def publish_portfolio(client: "MlflowClient", experiment: str, model: str, page: str) -> str:
    """Log a page into the run `portfolio of MODEL`, made where missing; the same page again adds nothing.

    Returns where it opens in the UI, `#/experiments/E/runs/R/artifacts/PATH`. Raises ServiceError when MLflow fails.
    """
    digest = hashlib.sha256(page.encode()).hexdigest()
    with reported(f"Publishing the portfolio of {model}"):
        place = ensure_experiment(client, experiment)
        # not asked for by name: a filter cannot hold a name with both kinds of quotes in it
        drawn = client.search_runs(
            [place], f"tags.`{MODEL_TAG}` != ''", order_by=["attributes.start_time ASC"]
        )
        run = next((each for each in drawn if each.data.tags[MODEL_TAG] == model), None)
        if run is None:
            run = client.create_run(place, run_name=f"portfolio of {model}", tags={MODEL_TAG: model})
        if run.data.tags.get(PAGE_TAG) != digest:
            client.log_text(run.info.run_id, page, PAGE)
            client.set_terminated(run.info.run_id)
            client.set_tag(run.info.run_id, PAGE_TAG, digest)  # last: a repeat then has nothing to do
    return f"#/experiments/{place}/runs/{run.info.run_id}/artifacts/{PAGE}?{TRAINING_VIEW}"
