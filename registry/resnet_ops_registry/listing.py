"""What is registered, as MLflow shows it."""

from typing import Any

from resnet_ops_registry.display import MEMBER_TAG
from resnet_ops_registry.mlflow_errors import reported
from resnet_ops_registry.settings import connect

__all__ = ["list_versions"]


def list_versions(model: str = "") -> list[dict[str, Any]]:
    """Every version, newest first, of one registered model or of all; verdicts are those on its page.

    Keys: model, version, run_id, member, aliases, stage, weights_digest, evidence, gate (name -> verdict).
    """
    client = connect()
    with reported("Listing the registry"):
        models = [client.get_registered_model(model)] if model else list(client.search_registered_models())
        aliases: dict[tuple[str, str], list[str]] = {
            (each.name, str(number)): [] for each in models for number in each.aliases.values()
        }
        for each in models:
            for alias, number in each.aliases.items():
                aliases[each.name, str(number)].append(alias)
        return [
            {
                "model": version.name,
                "version": int(version.version),
                "run_id": version.run_id,
                "member": version.tags.get(MEMBER_TAG, ""),
                "aliases": sorted(aliases.get((version.name, str(version.version)), [])),
                "stage": version.current_stage,
                "weights_digest": version.tags.get("resnet_ops.weights_digest", ""),
                "evidence": version.tags.get("evidence", "none"),
                "gate": {
                    key.removeprefix("gate "): value
                    for key, value in sorted(version.tags.items())
                    if key.startswith("gate ")
                },
            }
            for each in models
            for version in client.search_model_versions(
                f"name = '{each.name}'", order_by=["version_number DESC"]
            )
        ]
