"""What is registered, as MLflow shows it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.mlflow_errors import asked
from resnet_ops_registry.gate.display import EXPERIMENT_TAG, GATE_TAG_PREFIX, MEMBER_TAG, WEIGHTS_TAG

__all__ = ["current", "list_versions"]


def list_versions(model: str = "") -> list[dict[str, Any]]:
    """Every version, newest first, of one registered model or of all; verdicts are those on its page.

    Keys: model, version, run_id, member, experiment, aliases, stage, weights_digest, evidence, gate (name -> verdict).
    """
    client = connect()
    with asked("Listing the registry"):
        models = [client.get_registered_model(model)] if model else _all(client.search_registered_models)
        aliases: dict[tuple[str, str], list[str]] = {}
        for each in models:
            for alias, number in sorted(each.aliases.items()):
                aliases.setdefault((each.name, str(number)), []).append(alias)
        # not asked for by name: a filter cannot hold a name with both kinds of quotes in it
        versions = _all(partial(client.search_model_versions, order_by=["name ASC", "version_number DESC"]))
    names = {each.name for each in models}
    return [
        {
            "model": version.name,
            "version": int(version.version),
            "run_id": version.run_id,
            "member": version.tags.get(MEMBER_TAG, ""),
            "experiment": version.tags.get(EXPERIMENT_TAG, ""),
            "aliases": aliases.get((version.name, str(version.version)), []),
            "stage": version.current_stage,
            "weights_digest": version.tags.get(WEIGHTS_TAG, ""),
            "evidence": version.tags.get("evidence", "none"),
            "gate": {
                key.removeprefix(GATE_TAG_PREFIX): value
                for key, value in sorted(version.tags.items())
                if key.startswith(GATE_TAG_PREFIX)
            },
        }
        for version in versions
        if version.name in names
    ]


def current(versions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of listed versions those that have an alias, and of each member the newest that is no DVC experiment's.

    Of a model that has nothing but experiments, these.
    """
    own = {version["model"] for version in versions if not version["experiment"]}
    newest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for version in versions:  # newest first
        if not version["experiment"] or version["model"] not in own:
            newest.setdefault((version["model"], version["member"]), version)
    shown = [id(version) for version in newest.values()]
    return [version for version in versions if version["aliases"] or id(version) in shown]


def _all(search: Callable[..., Any]) -> list[Any]:
    """What every page of a search holds."""
    page = search()
    found = list(page)
    while page.token:
        page = search(page_token=page.token)
        found += page
    return found
