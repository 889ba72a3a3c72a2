"""The attacks: each tries to put an unproven version in front of users, and says whether it got there.

They run against plain MLflow, where all succeed, and against the gate, where none may. `by` says who attacks: a
client over HTTP, or an insider on the database or the artifact folder; `needs` what the server must have.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.attacks.scene import Scene

__all__ = ["Attack", "attack", "attacks_in", "changed", "serves"]


@dataclass(frozen=True)
class Attack:
    """`refused`: the gate writes a refusal into its ledger. `on_plain`: why plain MLflow has no such thing.

    `withstood`: with which feature of the server plain MLflow withstands it too.
    """

    run: Callable[[Scene], bool]
    by: str
    refused: bool
    needs: str = ""
    on_plain: str = ""
    withstood: str = ""

    @property
    def name(self) -> str:
        return self.run.__name__


_ATTACKS: list[Attack] = []


def attack(
    by: str = "client",
    *,
    refused: bool = False,
    needs: str = "",
    on_plain: str = "",
    withstood: str = "",
) -> Callable[[Callable[[Scene], bool]], Callable[[Scene], bool]]:
    def add(run: Callable[[Scene], bool]) -> Callable[[Scene], bool]:
        _ATTACKS.append(Attack(run, by, refused, needs, on_plain, withstood))
        return run

    return add


def attacks_in(module: str) -> list[Attack]:
    """The attacks that a module defines, in its order."""
    return [each for each in _ATTACKS if each.run.__module__ == module]


def serves(scene: Scene, alias: str = "champion", name: str = "") -> bool:
    """Whether the unproven version has the alias now."""
    return scene.aliases(name).get(alias) == scene.bad.number


def changed(scene: Scene) -> bool:
    """Whether the champion's files are others than those that were proven."""
    return scene.stored(scene.good) != dict(scene.good.files)
