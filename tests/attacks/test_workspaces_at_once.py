"""Never an unproven version under a guarded name of any workspace, whatever comes at once."""

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.attacks.at_once import held
from tests.attacks.conftest import Maker
from tests.attacks.hardening import findings
from tests.attacks.registry import Registry, without_settings
from tests.attacks.workspaces_at_once import (
    TEAM_REQUESTS,
    Team,
    WorkspaceServer,
    unproven_in_workspaces,
    workspaces_enabled,
)

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, make_database: Maker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkspaceServer]:
    """One server for all tries: each has a workspace of its own."""
    folder = tmp_path_factory.mktemp("workspaces-at-once")
    with (
        without_settings(),
        workspaces_enabled(Registry(make_database(request.param, folder), folder)) as made,
    ):
        yield made


@pytest.fixture(autouse=True)
def an_audit_finds_nothing(server: WorkspaceServer) -> Iterator[None]:
    """But what a policy that came later finds on a name that was free."""
    yield
    assert [each for each in findings(server.registry) if not each.startswith("free")] == []


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("alias", "move"),
        ("move", "alias"),
        ("delete version", "alias"),
    ],
)
def test_two_requests_at_once_put_none_there(server: WorkspaceServer, first: str, other: str) -> None:
    """The first one held at each of its boundaries."""
    for stop in count(1):
        team = Team(server)
        there = held(team, TEAM_REQUESTS[first], [TEAM_REQUESTS[other]], stop)
        assert unproven_in_workspaces(team) == [], f"{first} was held at boundary {stop}"
        if not there:
            assert stop > 5
            return


@pytest.mark.parametrize(
    ("first", "others"),
    [
        ("stage", ("move", "alias in the default one")),
        ("delete the workspace", ("alias", "make the workspace again")),
        ("move", ("alias on the free one", "rename in in the default one")),
        ("alias on the free one", ("move", "rename in in the default one")),
        ("rename in", ("move", "alias on the free one in the default one")),
        ("alias", ("delete the workspace", "make the workspace again")),
        ("give the alias back", ("delete the workspace", "make the workspace again")),
    ],
    ids=str,
)
def test_three_requests_of_which_two_are_held_put_none_there(
    server: WorkspaceServer, first: str, others: tuple[str, ...]
) -> None:
    """At each third boundary of the first, the second at one that moves through its own."""
    for stop in count(1, 3):
        team = Team(server, vacant="rename in" in "".join((first, *others)))
        there = held(
            team, TEAM_REQUESTS[first], [TEAM_REQUESTS[each] for each in others], stop, (stop - 1) % 20
        )
        assert unproven_in_workspaces(team) == [], f"{first} was held at boundary {stop}"
        if not there:
            return


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    requests=st.lists(st.sampled_from(sorted(TEAM_REQUESTS)), min_size=3, max_size=3, unique=True),
    stop=st.integers(1, 40),
    second_stop=st.integers(0, 40),
    vacant=st.booleans(),
)
def test_no_three_requests_at_once_put_an_unproven_version_under_a_guarded_name(
    server: WorkspaceServer, requests: list[str], stop: int, second_stop: int, vacant: bool
) -> None:
    team = Team(server, vacant=vacant)
    first, *others = (TEAM_REQUESTS[each] for each in requests)
    held(team, first, others, stop, second_stop)
    assert unproven_in_workspaces(team) == []
