"""Which modules of the project a script runs, read from its text: lazily imported and started ones too."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

__all__ = ["defines_something", "file_of", "imported_by", "product_modules", "used_by"]

ROOT = Path(__file__).resolve().parents[2]
PLACES = (ROOT, ROOT / "registry", ROOT / "monitoring", ROOT / "pipelines")
PACKAGES = ("resnet_ops", "resnet_ops_registry", "resnet_ops_monitoring", "resnet_ops_pipelines")


@cache
def file_of(module: str) -> Path | None:
    """The file of a module of the project, relative to its root; None for any other name."""
    parts = module.split(".")
    for place in PLACES if parts[0] in PACKAGES else ():
        for file in (place.joinpath(*parts, "__init__.py"), place.joinpath(*parts).with_suffix(".py")):
            if file.is_file():
                return file.relative_to(ROOT)
    return None


def used_by(script: Path, without: Iterable[str] = ()) -> set[str]:
    """Modules that a script imports or starts, directly or through others. without: these are not looked into."""
    barred, found, todo = set(without), set[str](), list(_named_in(script))
    while todo:
        module = todo.pop()
        file = file_of(module)
        if file is None or module in found or {module, module.partition(".")[0]} & barred:
            continue
        found.add(module)
        todo += _named_in(ROOT / file)
    return found


def defines_something(module: str) -> bool:
    """Whether more than a docstring is in it."""
    file = file_of(module)
    assert file is not None
    return len(ast.parse((ROOT / file).read_text()).body) > 1


def product_modules() -> list[str]:
    """Every module of the packages, by its dotted name."""
    found = []
    for place, package in zip(PLACES, PACKAGES, strict=True):
        for file in sorted((place / package).rglob("*.py")):
            parts = file.relative_to(place).with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def imported_by(module: str) -> set[str]:
    """The modules of the project that a module names in an import, wherever in it that stands."""
    file = file_of(module)
    assert file is not None
    return {name for name in _named_in(ROOT / file) if file_of(name)} - {module}


@cache
def _named_in(file: Path) -> tuple[str, ...]:
    return tuple(_names(ast.parse(file.read_text())))


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (_home(node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Constant) and _is_module(node.value):
            yield str(node.value)  # python -m
        yield from _names(node)


def _is_module(value: object) -> bool:
    return (
        isinstance(value, str) and "." in value and value.startswith(PACKAGES) and file_of(value) is not None
    )


def _home(module: str, name: str) -> str:
    """The module that `from module import name` gets the name from: a package may only pass it on."""
    if file_of(f"{module}.{name}"):
        return f"{module}.{name}"
    file = file_of(module)
    if file is not None and file.name == "__init__.py":
        for node in ast.parse((ROOT / file).read_text()).body:
            if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
                return _home(str(node.module), name)
    return module
