"""Every attack against plain MLflow, where it must succeed, and against the gate, where it must not."""

import os
from collections.abc import Iterator

import pytest

from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.store import harden
from tests.attacks import attacks_on_database, attacks_on_evidence, attacks_on_files, attacks_on_names
from tests.attacks.attack import Attack, attacks_in
from tests.attacks.conftest import Maker
from tests.attacks.scene import Arena, Scene
from tests.attacks.servers import Config, start

pytestmark = pytest.mark.e2e

# Each value at least twice with the gate: database, login, workspaces, workers, second line.
CONFIGS = [
    Config(gated=False, database="sqlite"),
    Config(gated=False, database="postgresql", workspaces=True),
    Config(gated=True, database="sqlite", hardened=True),
    Config(gated=True, database="sqlite", auth=True, workspaces=True, workers=2),
    Config(gated=True, database="postgresql", auth=True),
    Config(gated=True, database="postgresql", workspaces=True, workers=2, hardened=True),
]
MODULES = (attacks_on_names, attacks_on_evidence, attacks_on_files, attacks_on_database)
ATTACKS = [attack for module in MODULES for attack in attacks_in(module.__name__)]


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda config: config.id)
def arena(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, make_database: Maker
) -> Iterator[Arena]:
    config: Config = request.param
    folder = tmp_path_factory.mktemp(config.id)
    database = make_database(config.database, folder / "server")
    with pytest.MonkeyPatch.context() as patch, start(config, folder / "server", database) as running:
        for name in [name for name in os.environ if name.startswith(("MLFLOW_T", "MLFLOW_R", "RESNET_OPS_"))]:
            patch.delenv(name)
        arena = Arena(running, folder / "keys")
        if config.workspaces:
            patch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
            patch.setenv("MLFLOW_WORKSPACE", arena.workspace)
        if config.hardened:
            with open_database(running.database) as connection:
                harden.harden(connection)
        yield arena
        arena.session.close()
        arena.engine.dispose()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_succeeds_on_plain_mlflow_and_not_on_the_gate(arena: Arena, attack: Attack) -> None:
    if attack.needs and not getattr(arena.running.config, attack.needs):
        pytest.skip(f"needs a server with {attack.needs}")
    if attack.on_plain and not arena.gated:
        pytest.skip(attack.on_plain)
    scene = Scene(arena)
    if not arena.gated and attack.withstood and getattr(arena.running.config, attack.withstood):
        assert not attack.run(scene), f"plain MLflow with {attack.withstood} does not withstand it any more"
    elif not arena.gated:
        assert attack.run(scene), "the attack has no teeth: plain MLflow withstands it"
    elif attack.by == "database":
        with arena.restored():
            known = set(arena.findings())
            if attack.run(scene):
                assert not arena.hardened or attack.name == "trust_ones_own_key_by_sql"
                assert set(arena.findings()) - known, "what was not prevented was not noticed either"
    else:
        assert not attack.run(scene)
    if arena.gated and attack.refused:
        assert arena.refusals(scene.name) + arena.refusals(f"{scene.name}-renamed") > 0
