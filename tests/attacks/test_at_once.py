"""Never an unproven version under a guarded name, whatever comes at once and wherever one of the requests is held."""

from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from sqlalchemy import create_engine, text

from resnet_ops_registry.database.ledger import verify
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy
from resnet_ops_registry.gate.rollback import ROLLBACK_TAG
from tests.attacks.at_once import REQUESTS, Names, held, unproven_holders
from tests.attacks.conftest import Maker
from tests.attacks.registry import COMPARED, Registry, without_settings

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(
    request: pytest.FixtureRequest, make_database: Maker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """One registry for all tries: each has models of its own."""
    folder = tmp_path_factory.mktemp("at-once")
    with without_settings():
        yield Registry(make_database(request.param, folder), folder)


def at_every_boundary(registry: Registry, first: str, *others: str, vacant: bool = False) -> int:
    """Try it with the first request held at each of its boundaries; gives how many there were."""
    for stop in count(1):
        names = Names(registry, vacant=vacant)
        there = held(names, REQUESTS[first], [REQUESTS[each] for each in others], stop)
        assert unproven_holders(names) == [], f"{first} was held at boundary {stop}"
        if not there:
            return stop - 1
    raise AssertionError


@pytest.mark.parametrize(
    ("first", "others"),
    [
        ("alias", ("rename away", "rename in")),
        ("stage", ("rename away", "rename in")),
        ("alias", ("delete", "create")),
    ],
    ids=str,
)
def test_a_version_that_is_swapped_while_it_is_hashed_is_not_promoted(
    shared: Registry, first: str, others: tuple[str, ...]
) -> None:
    assert at_every_boundary(shared, first, *others) > 5


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("rename in", "alias on the free one"),
        ("rename in", "stage on the free one"),
        ("alias on the free one", "rename in"),
        ("stage on the free one", "rename in"),
    ],
)
def test_two_requests_of_which_neither_touches_a_guarded_name_set_none_together(
    shared: Registry, first: str, other: str
) -> None:
    assert at_every_boundary(shared, first, other, vacant=True) > 3


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    requests=st.lists(st.sampled_from(sorted(REQUESTS)), min_size=2, max_size=3),
    stop=st.integers(1, 40),
    second_stop=st.integers(0, 40),
    vacant=st.booleans(),
)
def test_no_two_or_three_requests_at_once_put_an_unproven_version_under_a_guarded_name(
    shared: Registry, requests: list[str], stop: int, second_stop: int, vacant: bool
) -> None:
    """Any of these requests, two or three of them, the first and the second held at any of their boundaries."""
    names = Names(shared, vacant=vacant)
    first, *others = (REQUESTS[each] for each in requests)
    held(names, first, others, stop, second_stop)
    assert unproven_holders(names) == []
    with open_database(shared.database) as connection:
        verify(connection)


@pytest.mark.parametrize(
    ("first", "others"),
    [
        ("alias", ("rename away", "rename in")),
        ("give the alias back", ("delete", "create")),
        ("evidence", ("rename away", "rename in")),
        ("rename in", ("alias on the free one", "policy")),
    ],
    ids=str,
)
def test_three_requests_of_which_two_are_held_put_none_there(
    shared: Registry, first: str, others: tuple[str, ...]
) -> None:
    """At each third boundary of the first, the second at one that moves through its own."""
    for stop in count(1, 3):
        names = Names(shared, vacant=first == "rename in")
        there = held(names, REQUESTS[first], [REQUESTS[each] for each in others], stop, 1 + stop % 20)
        assert unproven_holders(names) == [], f"{first} was held at boundary {stop}"
        if not there:
            return


@pytest.mark.parametrize("alias", ["champion", "CHAMPION"])
def test_a_policy_that_comes_into_force_while_an_alias_is_set_is_obeyed(shared: Registry, alias: str) -> None:
    """Of the two, whichever commits first: an alias that commits after the policy was judged by it."""
    committed: list[str] = []

    def set_alias(names: Names) -> None:
        names.client.set_registered_model_alias(names.free, alias, "1")
        committed.append("alias")

    def govern(names: Names) -> None:
        names.govern()
        committed.append("policy")

    for stop in count(1):
        committed.clear()
        there = held(Names(shared, vacant=True), set_alias, [govern], stop)
        assert committed in (["policy"], ["alias", "policy"]), f"held at boundary {stop}"
        if not there:
            return


def test_evidence_that_is_hashed_before_a_rename_is_not_kept_for_what_came_in(shared: Registry) -> None:
    plain = MlflowClient(shared.database, shared.database)
    statement = ""

    def send(names: Names) -> None:
        shared.send(1, statement, names.guarded)

    for stop in count(1):
        names = Names(shared)
        statement = shared.statement(1, shared.keys["pipeline"], model=names.guarded)
        there = held(names, send, [REQUESTS["rename away"], REQUESTS["rename in"]], stop)
        found = [plain.search_model_versions(f"name = '{name}'") for name in (names.guarded, names.away)]
        for version in chain.from_iterable(found):
            tagged = version.tags.get("resnet_ops.files_digest")
            assert tagged in (None, shared.digest(int(version.version), version.name)), f"held at {stop}"
        if not there:
            return


def test_a_database_whose_transactions_see_one_moment_is_read_anew_after_the_lock(
    make_database: Maker, tmp_path: Path
) -> None:
    """PostgreSQL with `default_transaction_isolation` set: what was read first would hide what came since."""
    uri = make_database("postgresql", tmp_path)
    engine = create_engine(uri, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = uri.rpartition("/")[2]
        connection.execute(
            text(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'repeatable read'")
        )
    engine.dispose()
    with without_settings():
        assert at_every_boundary(Registry(uri, tmp_path), "alias", "rename away", "rename in") > 5


def test_the_way_back_leads_to_no_version_that_never_held_the_alias(registry: Registry) -> None:
    """A rollback is not compared with the champion: between the choice and the judgement, another model may come."""
    client, plain = registry.client, MlflowClient(registry.database, registry.database)
    with open_database(registry.database) as connection:
        apply_policy(connection, COMPARED.replace("attacked*", "compared*"), "compared.yaml")
    for stop in count(1):
        client.create_registered_model(name := f"compared-{stop}")
        for number in (1, 2):
            assert registry.version(b"any", model=name) == number
        client.set_registered_model_alias(name, "champion", "1")
        client.delete_registered_model_alias(name, "champion")

        def roll_back(_: object, name: str = name) -> None:
            client.set_registered_model_tag(name, ROLLBACK_TAG, "champion")

        def swap(_: object, name: str = name) -> None:
            client.delete_registered_model(name)
            client.create_registered_model(name)
            registry.version(b"other", model=name)

        held_before = plain.get_model_version(name, "1").creation_timestamp
        there = held(None, roll_back, [swap], stop)
        if "champion" in plain.get_registered_model(name).aliases:
            found = plain.get_model_version_by_alias(name, "champion")
            assert found.creation_timestamp == held_before, f"held at boundary {stop}"
        if not there:
            return
