"""The private names of Textual that the program uses are there, and stand in one file."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import rich.console
import textual.keys
from textual import _xterm_parser
from textual._compositor import Compositor, CompositorUpdate
from textual.app import App
from textual.command import CommandPalette
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen
from textual.widgets import Input

UI = Path(__file__).parents[2] / "spectui" / "ui"
FILE = UI / "paint" / "textual_private.py"

OWNERS = {
    _xterm_parser: (
        "SPECIAL_SEQUENCES",
        "_re_cursor_position",
        "_re_in_band_window_resize",
        "_re_mouse_event",
        "_re_terminal_mode_response",
    ),
    textual.keys: ("_character_to_key",),
    rich.console.Console: ("_color_system",),
    App: ("_batch_count", "_begin_update", "_driver", "_end_update", "_exit"),
    Screen: ("_callbacks", "_compositor", "_dirty_widgets", "_layout_required", "_size"),
    Compositor: ("render_full_update", "render_strips", "visible_widgets"),
    CompositorUpdate: ("render_segments",),
    Input: ("_cell_offset_to_index", "_position_to_cell", "_value"),
    CommandPalette: ("_action_command_list",),
    _xterm_parser.XTermParser: ("_sequence_to_key_events", "_timeout_time"),
    LinuxDriver: ("_app", "_debug", "_get_terminal_size", "_loop", "_size", "_writer_thread"),
}
"""Who has the names; what is public of a private class counts too."""


def private(name: str | None) -> bool:
    return name is not None and re.fullmatch(r"_[a-z]\w*", name) is not None


def names(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Private names that a file takes from others or gives to its classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if private(name):
                    yield name, node
            case ast.ImportFrom(module=module, names=imported) if module is not None:
                for name in (*module.split("."), *(alias.name for alias in imported)):
                    if private(name):
                        yield name, node


def has(owner: object, name: str) -> bool:
    """Whether an owner has the name, as an attribute of its own or as one that its methods set."""
    if hasattr(owner, name):
        return True
    classes = inspect.getmro(owner) if inspect.isclass(owner) else ()
    sources = (inspect.getsource(one) for one in classes if one.__module__.split(".")[0] in ("textual", "rich"))
    return any(re.search(rf"\bself\.{name}\b(:[^=\n]+)? = ", source) for source in sources)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for owner, owned in OWNERS.items() for name in owned],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_textual_has_the_name(owner: object, name: str) -> None:
    assert has(owner, name), f"{owner} has no {name} any more: spectui/ui/paint/textual_private.py uses it"
    assert not has(owner, f"{name}_of_another_version")


def test_every_private_name_is_looked_for() -> None:
    used = {name for name, _ in names(ast.parse(FILE.read_text(encoding="utf-8")))} - {"_xterm_parser"}
    assert used == {name for owned in OWNERS.values() for name in owned if private(name)}


def test_no_other_file_uses_a_private_name_of_textual() -> None:
    """Neither of an object, nor of a class of ours that has it from Textual's, or would hide it."""
    theirs = set().union(*map(of_textual, (App, Screen, Input, CommandPalette, LinuxDriver, Compositor)))
    assert {"_driver", "_compositor", "_size"} <= theirs
    found = []
    for path in sorted(set(UI.rglob("*.py")) - {FILE}):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        module = importlib.import_module(".".join(path.relative_to(UI.parents[1]).with_suffix("").parts))
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                inherited = of_textual(getattr(module, node.name))
                found += [f"{path.name}: {node.name}.{name}" for name, at in names(node) if name in inherited]
        found += [f"{path.name}: {name}" for name, at in names(tree) if name in theirs and not _of_self(at)]
    assert found == []


def of_textual(owner: type) -> set[str]:
    """Private names that a class has from Textual: of the classes themselves, and what their methods set."""
    theirs = (one for one in inspect.getmro(owner) if one.__module__.startswith("textual"))
    return set().union(*map(_own, theirs))


@cache
def _own(one: type) -> set[str]:
    set_in_methods = re.findall(r"\bself\.(_[a-z]\w*)(?::[^=\n]+)? = ", inspect.getsource(one))
    return {name for name in vars(one) if private(name)} | set(set_in_methods)


def _of_self(node: ast.AST) -> bool:
    """Whether it is a method, or an attribute of whoever has the method."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    )
