"""Modules by the names that they had before there were rooms: found for one more release, with a warning."""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["Moved", "find_moved"]

HIDDEN = ("cli", "rules")
"""Rooms that no module moved into: the first is imported by nobody, the second was there before."""


class Moved(MetaPathFinder, Loader):
    """Finds `package.NAME` in the room where it stands now.

    folder: the package's. modules: where those are that are called otherwise now, below the package; two places with a
    blank between them where a module was cut in two. names: what a module holds under another name now.
    """

    def __init__(
        self, package: str, folder: Path, modules: Mapping[str, str], names: Mapping[str, str]
    ) -> None:
        self.package, self.folder, self.modules, self.names = package, folder, modules, names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for a name of before; None for any other."""
        package, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if package == self.package and self._place(name) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A module that passes on what it is asked for."""
        places = [f"{self.package}.{each}" for each in str(self._place(spec.name.rpartition(".")[2])).split()]
        warnings.warn(f"{spec.name} is {places[0]} now.", DeprecationWarning, stacklevel=2)
        module = ModuleType(spec.name)
        module.__getattr__ = _passed_on(*places, names=self.names)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: all is asked for later."""

    def _place(self, name: str) -> str | None:
        if name in self.modules:
            return self.modules[name]
        rooms = [
            file.parent.name for file in self.folder.glob(f"*/{name}.py") if file.parent.name not in HIDDEN
        ]
        return f"{rooms[0]}.{name}" if len(rooms) == 1 else None


def _passed_on(*places: str, names: Mapping[str, str] | None = None) -> Callable[[str], Any]:
    """A module's `__getattr__` that looks into other modules. names: those that are called otherwise there."""

    def ask(name: str) -> Any:
        modules = (
            [] if name.startswith("__") and name != "__all__" else [import_module(each) for each in places]
        )
        for module in modules:
            if hasattr(module, called := (names or {}).get(name, name)):
                return getattr(module, called)
        raise AttributeError(f"{' and '.join(places)} hold no {name!r}")

    return ask


def find_moved(package: str, folder: Path, modules: Mapping[str, str], names: Mapping[str, str]) -> None:
    """Have old names of a package's modules found; asked last, so that it never hides a module that exists."""
    sys.meta_path.append(Moved(package, folder, modules, names))
