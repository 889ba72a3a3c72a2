"""What somebody deletes or renames in MLflow keeps the pipeline from nothing: the next run makes what is missing."""

from collections.abc import Callable

import pytest
from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from resnet_ops_registry.client.loading import load
from resnet_ops_registry.client.publish import Published
from resnet_ops_registry.common.settings import tracking_uri
from resnet_ops_registry.portfolio.publishing import publish_portfolio
from tests.unit.registry.conftest import NAME, Publisher

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("policy")]


def rename_the_experiment(client: MlflowClient, _: Published) -> None:
    found = client.get_experiment_by_name("digits")
    assert found is not None
    client.rename_experiment(found.experiment_id, "digits of last year")


def purge_the_run(client: MlflowClient, made: Published) -> None:
    """As `mlflow gc` does."""
    client.delete_run(made.run_id)
    store = SqlAlchemyStore(tracking_uri(), "unused")  # type: ignore[no-untyped-call]
    store._hard_delete_run(made.run_id)  # type: ignore[no-untyped-call]


def delete_the_logged_model(client: MlflowClient, made: Published) -> None:
    source = str(client.get_model_version(made.name, str(made.version)).source)
    client.delete_logged_model(source.removeprefix("models:/"))


TIDIED: dict[str, tuple[Callable[[MlflowClient, Published], object], int]] = {
    "version deleted": (lambda client, made: client.delete_model_version(NAME, str(made.version)), 2),
    "model deleted": (lambda client, _: client.delete_registered_model(NAME), 1),
    "model renamed": (lambda client, _: client.rename_registered_model(NAME, "digits of last year"), 1),
    "run deleted": (lambda client, made: client.delete_run(made.run_id), 1),
    "run purged": (purge_the_run, 2),
    "run renamed": (lambda client, made: client.update_run(made.run_id, name="mine"), 1),
    "experiment renamed": (rename_the_experiment, 1),
    "logged model deleted": (delete_the_logged_model, 1),
}


@pytest.mark.parametrize("tidied", TIDIED)
def test_publishing_goes_on_and_the_version_passes(
    client: MlflowClient, published: Publisher, tidied: str
) -> None:
    first = published(low=0.96)
    tidy, expected = TIDIED[tidied]
    tidy(client, first)
    again = published(low=0.97)
    assert again.version == expected
    version = client.get_model_version(NAME, str(again.version))
    assert version.tags["gate champion"] == "passes"
    assert "(0.970-" in str(version.description)
    assert client.get_run(again.run_id).info.lifecycle_stage == "active"
    repeated = published(low=0.97)
    assert (repeated.version, repeated.run_id, repeated.created) == (expected, again.run_id, False)
    load(f"models:/{NAME}/{expected}")


def test_a_deleted_portfolio_is_drawn_anew(client: MlflowClient) -> None:
    link = publish_portfolio(client, "digits", NAME, "<p>")
    client.delete_run(link.split("/")[4])
    anew = publish_portfolio(client, "digits", NAME, "<p>")
    assert anew != link
    assert publish_portfolio(client, "digits", NAME, "<p>") == anew
