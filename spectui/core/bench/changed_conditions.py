"""What two benchmarks do not have in common beside what was measured: the first thing to know about a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spectui.core.bench.results import Results

_FLEETING = frozenset({"load_average"})
"""Entries of the environment that differ all the time."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that differs: what, how it is in the first benchmark, and how it is in the second one."""

    what: str
    a: str
    b: str


def same_prompts(a: Results, b: Results) -> bool:
    """Whether both sent the same prompts, in the same repetitions and answered in the same way."""
    return all(_prompting(a)[what] == _prompting(b)[what] for what in _prompting(a)) and _answers(a) == _answers(b)


def changed_conditions(a: Results, b: Results) -> tuple[Condition, ...]:
    """Every condition that differs; what is not known of either is no difference."""
    ours, theirs = dict(_conditions(a)), dict(_conditions(b))
    return tuple(
        Condition(what, ours[what], theirs[what])
        for what in ours
        if what in theirs and ours[what] and theirs[what] and ours[what] != theirs[what]
    )


def _conditions(results: Results) -> Iterator[tuple[str, str]]:
    header = results.header
    yield "SpecTUI's version", header.version
    yield "target", header.target
    yield "device", header.device
    yield from _flat(header.environment)
    yield "max_model_len", str(header.max_model_len)
    yield from _prompting(results).items()
    yield from _answers(results).items()
    yield "repetitions", str(results.matrix.repetitions)
    for note in header.lanes:
        own = [one for one in results.matrix.variants if one.lane == note.lane and one.k]
        yield f"K of {note.lane}", ", ".join(f"auto:{one.k}" if one.auto else str(one.k) for one in own)
        yield f"drafter of {note.lane}", note.drafter
        yield f"options of {note.lane}", _without_k(note.spec)
        for what, how in asdict(note.engine).items() if note.engine is not None else ():
            if what != "lane":
                yield f"{what.replace('_', ' ')} of {note.lane}", _text(how)


def _prompting(results: Results) -> dict[str, str]:
    """What was sent: the prompts, and which of them a repetition takes."""
    prompts, matrix = results.header.prompts, results.matrix
    return {
        "texts of the prompts": f"SHA-256 {prompts.digest[:12]}, {sum(prompts.counts.values())} prompts",
        "chat template": "not used" if prompts.raw else "used",
        "system message": prompts.system or "none",
        "padding": prompts.padding or "none",
        "padded prompts": str(sum(prompts.padded.values()) or ""),
        "requests of a repetition": "as many as are in flight" if matrix.requests is None else str(matrix.requests),
    }


def _answers(results: Results) -> dict[str, str]:
    """How answers are chosen and end."""
    sampling = {what.replace("_", " "): _text(how) or "none" for what, how in asdict(results.matrix.sampling).items()}
    return {"protocol": results.matrix.protocol, **sampling}


def _flat(environment: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if name in _FLEETING:
            continue
        what = f"version of {name}" if within == "versions" else name.replace("_", " ") if not within else name
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        else:
            yield what, "not set" if value is None else _text(value)


def _without_k(spec: str) -> str:
    """A lane spec without its K, which is a condition of its own."""
    method, _, options = spec.partition(":")
    kept = [option for option in options.split(",") if option and not option.startswith(("k=", "start="))]
    return f"{method}:{','.join(kept)}" if kept else method


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
