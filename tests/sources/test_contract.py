"""vLLM has everything that we touch of it, and everything that we touch is listed."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from spectui.sources.vllm.vllm_options import engine_folder
from tests.engine.contract import breaches, contract, main, others

ROOT = Path(__file__).parent.parent.parent
ENGINE_ROOM = "spectui/sources/vllm/"


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the program, by its path in the checkout."""
    paths = sorted((ROOT / "spectui").rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def test_the_installed_vllm_has_everything_that_we_touch() -> None:
    folder = engine_folder()
    assert folder is not None
    assert breaches(folder.parent, contract()) == []


def test_the_contract_is_of_files_that_there_are() -> None:
    assert contract().keys() - trees().keys() == set()


def test_the_contract_lists_nothing_that_we_do_not_touch() -> None:
    for path, names in contract().items():
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in names:
            dotted, *parts = re.split(r"[(\[\])]", name)
            wanted = parts[0].split(", ") if parts else []
            assert dotted.rpartition(".")[2] in text or (wanted and all(one in text for one in wanted)), (path, name)


def test_every_import_from_vllm_is_in_the_contract() -> None:
    listed = contract()
    missing = {
        f"{path}: {name}"
        for path, tree in trees().items()
        for name in imported(tree)
        if not any(re.match(rf"{re.escape(name)}\b", one) for one in listed.get(path, []))
    }
    assert missing == set()


def imported(tree: ast.Module) -> Iterator[str]:
    """The dotted names of vLLM that a module imports, also by `importlib`, and in code that another process runs."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] == "vllm":
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case ast.Import():
                yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "vllm")
            case ast.Constant(value=str(text)) if re.fullmatch(r"vllm(\.\w+)+", text):
                yield text
            case ast.Constant(value=str(text)) if re.search(r"^from vllm", text, re.M):
                yield from imported(ast.parse(text))


def test_every_attribute_in_the_engines_room_is_ours_or_in_the_contract() -> None:
    """One that neither Python's classes nor ours have is vLLM's, or else among the contract's `others`."""
    listed = contract()
    known = ours() | pythons() | others()
    missing = {
        f"{path}: {name}"
        for path, tree in trees().items()
        if path.startswith(ENGINE_ROOM)
        for name in attributes(tree)
        - known
        - {word for one in listed.get(path, []) for word in re.findall(r"\w+", one)}
    }
    assert missing == set()


def attributes(tree: ast.Module) -> set[str]:
    """Names of the attributes that a module uses, except those of modules and classes that it imports."""
    known = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name)) if name in known:
                pass
            case ast.Attribute(attr=name):
                found.add(name)
            case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=str(name)), *_]):
                found.add(name)
    return found


@cache
def ours() -> frozenset[str]:
    """Names of the functions, classes, fields and attributes that the program defines."""
    names = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            match node:
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                    names.add(name)
                case ast.AnnAssign(target=ast.Name(id=name)):
                    names.add(name)
                case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                    names.add(name)
    return frozenset(names)


def pythons() -> frozenset[str]:
    """Names of the attributes of Python's own classes, as far as the engines' room imports them."""
    modules = {
        node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
        for path, tree in trees().items()
        if path.startswith(ENGINE_ROOM)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    standard = [import_module(name) for name in modules if name.partition(".")[0] in sys.stdlib_module_names]
    classes = {one for module in (builtins, *standard) for one in vars(module).values() if isinstance(one, type)}
    return frozenset(name for one in classes for name in dir(one))


ENGINE = """
from .outputs import *
from vllm.base import Base as Foundation
if True:
    from torch import Tensor
class Engine(Foundation):
    width: int = 1
    def step(self, first, second=None, *, third=None):
        self.steps, other = 1, 2
def mark(layer):
    layer.marked = True
Method = Literal["ngram", Nested]
Nested = Literal["mtp"]
"""
FILES = {
    "__init__": "from vllm.engine import Engine",
    "engine": ENGINE,
    "base": "class Base:\n    height: int\n    def __private(self):\n        self.depth: int = 1",
    "outputs/__init__": "from .text import Text",
    "outputs/text": "class Text:\n    def __init__(self, words):\n        pass",
}
PRESENT = [
    "vllm.Engine(width, height)",
    "vllm.Engine.depth",
    "vllm.Engine.steps",
    "vllm.engine.Engine.step(first, third)",
    "vllm.engine.Method[ngram, mtp]",
    "vllm.engine.Tensor",
    "vllm.engine.Text(words)",
    "vllm.engine.mark.marked",
    "vllm.outputs.text.Text",
]
ABSENT = {
    "vllm.Engine(width, depth)": "vllm.Engine(depth)",
    "vllm.Engine.other": "vllm.Engine.other",
    "vllm.engine.Engine.step(second, first)": "vllm.engine.Engine.step(second, first)",
    "vllm.engine.Engine.step(first, fourth)": "vllm.engine.Engine.step(fourth)",
    "vllm.engine.Method[medusa, mtp]": "vllm.engine.Method[medusa]",
    "vllm.engine.mark.width": "vllm.engine.mark.width",
    "vllm.nowhere.Engine": "vllm.nowhere.Engine",
    "vllm.outputs.text.words": "vllm.outputs.text.words",
}


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """The source of a small version of vLLM."""
    for name, text in FILES.items():
        path = tmp_path / "vllm" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_what_a_version_has_is_found_through_imports_bases_and_methods(version: Path) -> None:
    assert breaches(version, {"spectui/a.py": PRESENT}) == []


@pytest.mark.parametrize("name", ABSENT)
def test_what_a_version_lacks_is_named_with_who_uses_it(version: Path, name: str) -> None:
    assert breaches(version, {"spectui/a.py": [*PRESENT, name], "spectui/b.py": [name]}) == [
        f"vLLM has no {ABSENT[name]}, used in spectui/a.py, spectui/b.py"
    ]


def test_the_command_checks_any_folder(version: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(version)]) == 1
    assert "\nvLLM has no vllm.v1.core.sched.scheduler.Scheduler.policy, used in spectui/sources/vllm/tap.py\n" in (
        capsys.readouterr().out
    )
    folder = engine_folder()
    assert folder is not None
    assert main([str(folder.parent)]) == 0
    assert re.fullmatch(r"(\d+) of \1 names found\n", capsys.readouterr().out)
    assert main([str(version / "vllm")]) == main([]) == 2
    assert re.search(r"has no package vllm\nusage: python -m tests.engine.contract ", capsys.readouterr().err)
