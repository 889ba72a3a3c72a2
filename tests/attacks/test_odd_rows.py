"""Rows with values that neither MLflow nor the gate writes: each is a finding, and hides no other."""

from pathlib import Path

import pytest

from resnet_ops_registry.attestations.trust import revoke_key
from resnet_ops_registry.database.tables import open_database
from tests.attacks.conftest import Maker
from tests.attacks.hardening import findings, sql
from tests.attacks.registry import MODEL, Registry, without_settings

pytestmark = pytest.mark.e2e

WRONG_TYPES = {
    "registered_model_aliases": (
        "alias = x'ff00'",
        "version = 'x'",
        "name = x'ff00'",
        "alias = hex(zeroblob(200))",
    ),
    "model_versions": (
        "version = 'x'",
        "creation_time = 'x'",
        "current_stage = x'ff00'",
        "storage_location = x'ff00'",
    ),
    "resnet_ops_policies": ("content = x'ff00'",),
    "resnet_ops_trusted_keys": ("public_key = x'ff00'",),
    "resnet_ops_deliveries": ("seq = 'x'",),
    "resnet_ops_ledger": (
        *(
            f"entry = json_set(entry, '$.{name}', json('[1]'))"
            for name in ("time", "workspace", "target", "version")
        ),
        *(f"entry = json_set(entry, '$.detail.{name}', json('[1]'))" for name in ("policy", "digest", "key")),
    ),
}


def test_a_value_of_another_type_is_a_finding_and_hides_no_other(
    make_database: Maker, tmp_path: Path
) -> None:
    """SQLite keeps any type in any column."""
    with without_settings():
        registry, file = Registry(make_database("sqlite", tmp_path), tmp_path), tmp_path / "mlflow.db"
        registry.client.set_registered_model_alias(MODEL, "champion", str(registry.version(b"good")))
        sql(registry, f"INSERT INTO resnet_ops_deliveries VALUES ('{'e' * 64}', 1, 0, 0, '')")
        assert findings(registry) == []
        sql(registry, "INSERT INTO resnet_ops_state (name, value) VALUES ('hardened', '1')")
        whole = file.read_bytes()
        for table, changes in WRONG_TYPES.items():
            for change in changes:
                sql(registry, f"UPDATE {table} SET {change.replace(':', chr(92) + ':')}")
                found = findings(registry)
                assert any("'database unhardened'" in each for each in found), change
                assert any("'database unhardened'" not in each and "trigger" not in each for each in found), (
                    change
                )
                with open_database(registry.database) as connection:
                    revoke_key(connection, registry.keys["pipeline"].public.id)
                file.write_bytes(whole)
