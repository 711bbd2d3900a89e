"""The house as a whole: no circle among modules, and none that asks to be split."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "spectui"
MOST_LINES = 320


def modules() -> dict[str, Path]:
    """Every module of the program by its name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(tree: ast.AST) -> Iterator[ast.ImportFrom | ast.Import]:
    """Every import of a module, those in functions too, without those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom | ast.Import):
            yield node
        else:
            yield from imports(node)


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of ours that the module at ``path`` imports."""
    names: set[str] = set()
    for node in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif node.module is not None:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    # A package's own file only says what the package is for, unless it hands names on.
    return {name for name in names & known.keys() if known[name].name != "__init__.py"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = modules()
    graph = {name: imported(path, known) for name, path in known.items()}
    assert len(graph) > 200
    assert graph["spectui.__main__"] == {"spectui.cli.main"}
    # Raises CycleError with the circle.
    TopologicalSorter(graph).prepare()


def test_no_module_asks_to_be_split() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
