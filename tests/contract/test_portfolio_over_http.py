"""Publishing and the portfolio through a real server: no database at hand, only what MLflow's REST interface gives."""

from pathlib import Path

from resnet_ops_registry.portfolio.reading import read_portfolio
from tests.contract.conftest import Server
from tests.unit.registry.conftest import NAME, publish_model


def test_versions_are_read_with_their_evidence_and_the_gates_verdicts(server: Server) -> None:
    found = read_portfolio(NAME, Path("reports"))
    shown = {entry.version: entry for entry in found.entries}
    best = shown[max(shown, key=lambda number: number or 0)]
    assert best.metrics["test.top1"].low is not None
    assert best.metrics["test.top1"].method == "wilson 95 %"
    assert (found.policy, found.budgets) == (None, ())
    assert [choice.target for choice in found.choices] == ["@champion"]
    assert found.unknown == ()


def test_the_same_files_for_another_use_are_kept_once(server: Server) -> None:
    other = publish_model(server.client, server.folder / "models" / "good", registered_model="other-use")
    first, second = (
        server.client.get_model_version(each.name, str(each.version)) for each in (server.good, other)
    )
    assert first.source == second.source
