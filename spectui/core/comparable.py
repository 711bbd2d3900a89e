"""Decides whether two lanes compute alike, so that the ratio of their speeds is due to drafting.

What is not known of one of them is never called a difference.
"""

from __future__ import annotations

from collections.abc import Callable

from spectui.protocol.events import LaneEngine


def how(engine: LaneEngine, k: int) -> str:
    """How steps at ``k`` are computed, in a few words: ``V2 full graphs``; empty if nothing is known."""
    graphs = _graphs(engine, k)
    mode = _mode(engine) if graphs in ("", "no graphs") else graphs
    return f"{engine.runner or ''} {mode}".strip()


def details(engine: LaneEngine) -> str:
    """What else is known: ``bfloat16, fp8 weights, FLASH_ATTN``."""
    parts = (
        engine.dtype,
        "" if engine.quantization in ("", "none") else f"{engine.quantization} weights",
        "" if engine.cache_dtype in ("", "auto") else f"{engine.cache_dtype} KV cache",
        _attention(engine),
        f"tensor parallel {engine.tensor_parallel}" if engine.tensor_parallel > 1 else "",
    )
    return ", ".join(filter(None, parts))


def differences(engine: LaneEngine | None, k: int, other: LaneEngine | None) -> tuple[tuple[str, str, str], ...]:
    """What sets a lane at ``k`` apart from ``other``, which drafts nothing: what, how it is here, how it is there.

    The most far-reaching difference comes first. A smaller one that follows from it is left out: an eager model has no
    graphs.
    """
    if engine is None or other is None:
        return ()
    found = [
        (what, here, there)
        for what, read in _ASPECTS
        if (here := read(engine, k)) and (there := read(other, 0)) and here != there
    ]
    if any(what == "model" for what, *_ in found):
        found = [one for one in found if one[0] != "CUDA graphs"]
    return tuple(found)


def not_comparable(engine: LaneEngine | None, k: int, other: LaneEngine | None) -> str:
    """A sentence about the differences from AR's engine, ``other``, to follow the lane's name; empty if there are none.

    For example: ``runs on model runner V1, AR on V2: not comparable``.
    """
    parts = [_PHRASES[what].format(here=here, there=there) for what, here, there in differences(engine, k, other)]
    return f"{'; '.join(parts)}: not comparable" if parts else ""


_Aspect = Callable[[LaneEngine, int], str]


def _mode(engine: LaneEngine, k: int = 0) -> str:
    return "" if engine.eager is None else "eager" if engine.eager else "compiled"


def _graphs(engine: LaneEngine, k: int) -> str:
    """Where there is a GPU only: elsewhere nothing has graphs."""
    graphs = engine.graphs_at(k)
    if graphs is None or engine.device == "cpu":
        return ""
    return "no graphs" if graphs == "none" else f"{graphs} graphs"


def _attention(engine: LaneEngine, k: int = 0) -> str:
    return " + ".join(engine.attention)


_ASPECTS: tuple[tuple[str, _Aspect], ...] = (
    ("device", lambda engine, k: engine.device),
    ("model runner", lambda engine, k: engine.runner or ""),
    ("model", _mode),
    ("CUDA graphs", _graphs),
    ("scheduling", lambda engine, k: engine.scheduling or ""),
    ("type", lambda engine, k: engine.dtype),
    ("weights", lambda engine, k: "unquantised" if engine.quantization == "none" else engine.quantization),
    ("KV cache", lambda engine, k: engine.cache_dtype),
    ("attention", _attention),
    ("tensor parallel", lambda engine, k: str(engine.tensor_parallel)),
    ("version", lambda engine, k: engine.version),
)
"""The aspects in which lanes must be alike, with a reader of each that returns nothing if it is not known."""

_PHRASES = {
    "device": "runs on {here}, AR on {there}",
    "model runner": "runs on model runner {here}, AR on {there}",
    "model": "runs {here}, AR {there}",
    "CUDA graphs": "runs with {here}, AR with {there}",
    "scheduling": "is scheduled {here}ly, AR {there}ly",
    "type": "computes in {here}, AR in {there}",
    "weights": "has {here} weights, AR {there}",
    "KV cache": "keeps its cache in {here}, AR in {there}",
    "attention": "uses {here} attention, AR {there}",
    "tensor parallel": "runs with tensor parallel {here}, AR with {there}",
    "version": "runs on vLLM {here}, AR on {there}",
}
