"""Modules are found by the names of the release before, for one more, and say where they are now."""

import importlib
import sys
from collections.abc import Iterator

import pytest

OLD = {
    "resnet_ops_registry.settings": ["connect", "tracking_uri", "mask_password"],
    "resnet_ops_registry.display": ["believed_tags"],
    "resnet_ops_registry.policy_file": ["parse_policy"],
    "resnet_ops_registry.predicates": ["read_said"],
    "resnet_ops_registry.returning": ["roll_back", "choose_earlier"],
    "resnet_ops_monitoring.rehearsing": ["rehearse", "rehearsed", "spoilt"],
    "resnet_ops_monitoring.stretch": ["judge_stretch", "summarise_stretch", "usual_stretch"],
    "resnet_ops_monitoring.two_sample": ["Metric"],
    "resnet_ops_registry.evidence": ["Evidence", "Metric"],
    "resnet_ops_registry.speaking": ["say"],
    "resnet_ops_registry.statements": ["Believed", "believed_about"],
    "resnet_ops_registry.policy": ["Policy", "read_policy"],
    "resnet_ops_monitoring.log": ["InferenceLog"],
    "resnet_ops_monitoring.run_params": ["ValidationParams", "WatchParams"],
    "resnet_ops_monitoring.windows": ["Stretch", "due_stretches"],
    "resnet_ops_monitoring.rounds": ["Rounds", "Round"],
    "resnet_ops_monitoring.scorer": ["Scorer"],
}


@pytest.fixture(params=OLD)
def old(request: pytest.FixtureRequest) -> Iterator[str]:
    name: str = request.param
    sys.modules.pop(name, None)
    yield name
    sys.modules.pop(name, None)


def test_an_old_module_is_found_with_a_warning_that_says_where_it_is(old: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"{old} is resnet_ops_\w+\.\w+\.\w+ now"):
        module = importlib.import_module(old)
    for name in OLD[old]:
        assert callable(getattr(module, name))
    with pytest.raises(AttributeError, match="hold no 'nothing'"):
        module.nothing  # noqa: B018 -- asking is the test


@pytest.mark.parametrize("name", ["resnet_ops_registry.nothing", "resnet_ops_monitoring.commands"])
def test_what_never_was_or_nobody_imports_is_not_found(name: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)


def test_a_value_that_is_none_is_found_too_and_all_names_are_passed_on() -> None:
    sys.modules.pop("resnet_ops_registry.settings", None)
    with pytest.warns(DeprecationWarning, match="settings is"):
        module = importlib.import_module("resnet_ops_registry.settings")
    assert module.EXPERIMENT is None
    assert "tracking_uri" in module.__all__
