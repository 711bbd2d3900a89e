"""The contract with vLLM: everything of it that SpecTUI touches, held against the source of a version of vLLM.

``python -m tests.engine.contract FOLDER`` checks another version than the installed one; ``FOLDER`` holds its package
``vllm``. The source is read, never imported, so the version need not be installed.

`contract.toml` lists the names by the file of ours that uses them:

* ``vllm.module.name`` is anything at a module's top level: a class, a function, a variable, an import
* ``vllm.module.Class.member`` is a method, field, property, or an attribute that one of its methods sets on ``self``,
  in the class or one of its bases in vLLM
* ``vllm.module.function.attribute`` is an attribute that the function sets on an object
* ``...(first, second)`` adds parameters that we pass: of a function, or of a class by its ``__init__`` or its fields
* ``...[value]`` adds a value among those that a ``Literal`` names
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

CONTRACT = Path(__file__).with_name("contract.toml")
OTHERS = "others"
"""The table in the contract with attributes that are not vLLM's, so that nobody has to list them as such."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.ClassDef | Function | ast.stmt


def contract() -> dict[str, list[str]]:
    """What we touch, by the file of ours that does."""
    with CONTRACT.open("rb") as file:
        return {ours: table["uses"] for ours, table in tomllib.load(file).items() if ours != OTHERS}


def others() -> frozenset[str]:
    """Names of attributes that our files use and that are not vLLM's."""
    with CONTRACT.open("rb") as file:
        return frozenset(name for names in tomllib.load(file)[OTHERS].values() for name in names)


def breaches(folder: Path, listed: Mapping[str, Sequence[str]]) -> list[str]:
    """One line for each name that the vLLM in ``folder`` lacks: the name, and which file of ours uses it."""
    version = Version(folder)
    missing: dict[str, list[str]] = {}
    for ours, names in listed.items():
        for name in names:
            for lacking in version.lacks(name):
                missing.setdefault(lacking, []).append(ours)
    return [f"vLLM has no {name}, used in {', '.join(files)}" for name, files in missing.items()]


class Version:
    """The source of one version of vLLM."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not (folder / "vllm" / "__init__.py").is_file():
            raise FileNotFoundError(f"{folder} has no package vllm")
        self._trees: dict[str, Mapping[str, ast.stmt] | None] = {}

    def lacks(self, name: str) -> list[str]:
        """What this version lacks of a name as the contract writes it: the name itself, or some of its parameters or
        values."""
        written = re.fullmatch(r"([\w.]+)(?:([(\[])(.*)[)\]])?", name)
        assert written is not None, f"{name} is not written as the contract wants it"
        dotted, opening, rest = written.groups()
        found = self._find(dotted)
        if found is None:
            return [dotted]
        if not opening:
            return []
        wanted = rest.split(", ")
        if opening == "[":
            values = set(self._values(*found))
            return [f"{dotted}[{one}]" for one in wanted if one not in values]
        given = self._parameters(*found)
        if lacking := [one for one in wanted if one not in given]:
            return [f"{dotted}({one})" for one in lacking]
        # Functions are called with positional arguments; classes are made with keywords.
        in_order = isinstance(found[1], ast.ClassDef) or [one for one in given if one in wanted] == wanted
        return [] if in_order else [name]

    def _find(self, dotted: str) -> tuple[str, Definition] | None:
        """Find what a dotted name stands for, with the module in which it is defined."""
        parts = dotted.split(".")
        for cut in range(len(parts), 0, -1):
            names = self._names(module := ".".join(parts[:cut]))
            if names is None:
                continue
            if cut == len(parts):
                return module, ast.Pass()
            found = self._global(module, parts[cut])
            for part in parts[cut + 1 :]:
                found = None if found is None else self._member(*found, part)
            return found
        return None

    def _global(self, module: str, name: str) -> tuple[str, Definition] | None:
        """Find a name at the top level of a module, through the imports that lead to it."""
        names = self._names(module) or {}
        definition = names.get(name)
        if definition is None:
            stars = (statement for key, statement in names.items() if key.startswith("*"))
            return next((found for star in stars if (found := self._imported(module, star, name)) is not None), None)
        if isinstance(definition, ast.Import | ast.ImportFrom):
            return self._imported(module, definition, name)
        return module, definition

    def _imported(self, module: str, statement: ast.stmt, name: str) -> tuple[str, Definition] | None:
        """Find what an import in a module binds to a name. What is not vLLM's is taken to be there."""
        if isinstance(statement, ast.Import):
            found = next(one.name for one in statement.names if (one.asname or one.name.partition(".")[0]) == name)
            return self._find(found) if found.startswith("vllm") else (module, statement)
        assert isinstance(statement, ast.ImportFrom)
        source = self._source(module, statement)
        first = next(one.name for one in statement.names if one.name == "*" or (one.asname or one.name) == name)
        if source.partition(".")[0] != "vllm":
            return None if first == "*" else (module, statement)
        return self._find(f"{source}.{name if first == '*' else first}")

    def _source(self, module: str, statement: ast.ImportFrom) -> str:
        if not statement.level:
            return statement.module or ""
        package = module if self._path(module).name == "__init__.py" else module.rpartition(".")[0]
        for _ in range(statement.level - 1):
            package = package.rpartition(".")[0]
        return f"{package}.{statement.module}" if statement.module else package

    def _member(self, module: str, owner: Definition, name: str) -> tuple[str, Definition] | None:
        if isinstance(owner, Function):
            set_there = (one for one in ast.walk(owner) if isinstance(one, ast.Attribute) and _is_set(one))
            return (module, owner) if any(one.attr == name for one in set_there) else None
        if not isinstance(owner, ast.ClassDef):
            return None
        if (found := _members(owner).get(name)) is not None:
            return module, found
        for base in self._bases(module, owner):
            if (member := self._member(*base, name)) is not None:
                return member
        return None

    def _bases(self, module: str, owner: ast.ClassDef) -> Iterator[tuple[str, ast.ClassDef]]:
        for base in owner.bases:
            # A generic base is the class that it is made from.
            named = base.value if isinstance(base, ast.Subscript) else base
            if isinstance(named, ast.Name | ast.Attribute):
                first, *rest = ast.unparse(named).split(".")
                found = self._global(module, first)
                for part in rest:
                    found = None if found is None else self._member(*found, part)
                if found is not None and isinstance(found[1], ast.ClassDef):
                    yield found[0], found[1]

    def _parameters(self, module: str, owner: Definition) -> list[str]:
        if isinstance(owner, Function):
            arguments = owner.args
            return [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        if not isinstance(owner, ast.ClassDef):
            return []
        if (made := self._member(module, owner, "__init__")) is not None:
            return self._parameters(*made)
        inherited = [name for base in self._bases(module, owner) for name in self._parameters(*base)]
        return inherited + [ast.unparse(one.target) for one in owner.body if isinstance(one, ast.AnnAssign)]

    def _values(self, module: str, owner: Definition) -> Iterator[str]:
        for node in ast.walk(owner):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found = self._global(module, node.id)
                yield from () if found is None else self._values(*found)

    def _path(self, module: str) -> Path:
        path = self._folder.joinpath(*module.split("."))
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")

    def _names(self, module: str) -> Mapping[str, ast.stmt] | None:
        """Names at the top level of a module; None if there is no such module."""
        if module not in self._trees:
            path = self._path(module)
            self._trees[module] = _names(ast.parse(path.read_bytes()).body) if path.is_file() else None
        return self._trees[module]


def _names(body: Sequence[ast.stmt]) -> dict[str, ast.stmt]:
    """What statements define, those under conditions too; a definition counts more than an import."""
    names: dict[str, ast.stmt] = {}
    for statement in _statements(body):
        match statement:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                names[statement.name] = statement
            case ast.Assign() | ast.AnnAssign():
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for target in targets:
                    names.update(dict.fromkeys(_assigned(target), statement))
            case ast.Import() | ast.ImportFrom():
                for alias in statement.names:
                    whole = isinstance(statement, ast.ImportFrom)
                    bound = alias.asname or (alias.name if whole else alias.name.partition(".")[0])
                    names.setdefault(f"*{statement.lineno}" if bound == "*" else bound, statement)
    return names


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            yield from _statements(statement.body)
            yield from _statements(getattr(statement, "orelse", []))
            for handler in getattr(statement, "handlers", []):
                yield from _statements(handler.body)


def _assigned(target: ast.expr) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


@cache
def _members(owner: ast.ClassDef) -> Mapping[str, Definition]:
    members: dict[str, Definition] = {}
    for method in (one for one in _statements(owner.body) if isinstance(one, Function)):
        for node in ast.walk(method):
            if isinstance(node, ast.Attribute) and _is_set(node) and ast.unparse(node.value) == "self":
                members[node.attr] = ast.Pass()
    return {**members, **_names(owner.body)}


def _is_set(node: ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store)


def main(words: Sequence[str]) -> int:
    """Check a version; prints what it lacks and returns 1 if that is anything."""
    if len(words) != 1:
        print("usage: python -m tests.engine.contract FOLDER (the folder that holds the package vllm)", file=sys.stderr)
        return 2
    listed = contract()
    try:
        lacking = breaches(Path(words[0]), listed)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    count = len({name for names in listed.values() for name in names})
    print("\n".join([*lacking, f"{count - len(lacking)} of {count} names found"]))
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
