"""Which names vLLM accepts, read from its source: importing vLLM takes seconds, which a typing error should not cost.

Written for vLLM 0.32. If the source cannot be read, the answer is empty, and vLLM itself rejects the name later.
"""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path


def engine_folder() -> Path | None:
    """Where vLLM is installed, found without importing it; None if it is not installed."""
    try:
        spec = importlib.util.find_spec("vllm")
    except (ImportError, ValueError):
        return None
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places))) if places else None


def engine_arguments() -> frozenset[str]:
    """The names of vLLM's engine arguments; empty if they cannot be found."""
    return _fields("engine/arg_utils.py", "EngineArgs")


def draft_options() -> frozenset[str]:
    """The names that vLLM's ``speculative_config`` accepts; empty if they cannot be found."""
    return _fields("config/speculative.py", "SpeculativeConfig")


@cache
def mtp_targets() -> frozenset[str]:
    """Every name in the function by which vLLM finds layers of multi-token prediction in a target's configuration: the
    model types and architectures that it knows are among them. Empty if they cannot be found."""
    functions = (node for node in ast.walk(_tree("config/speculative.py")) if isinstance(node, ast.FunctionDef))
    return frozenset(
        node.value
        for function in functions
        if function.name == "hf_config_override"
        for node in ast.walk(function)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@cache
def _fields(file: str, class_name: str) -> frozenset[str]:
    return frozenset(
        statement.target.id
        for node in _tree(file).body
        if isinstance(node, ast.ClassDef) and node.name == class_name
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    )


def _tree(file: str) -> ast.Module:
    folder = engine_folder()
    try:
        return ast.parse((folder / file).read_text(encoding="utf-8")) if folder is not None else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])
