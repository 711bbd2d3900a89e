"""The report as Markdown: every figure comes from a measurement, none is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from demos.drafters.evaluate import MAX_TOKENS
from demos.drafters.prompts import CATEGORIES
from demos.drafters.recipe import BAR_K
from demos.drafters.report import PROMPTS_PER_CATEGORY, REPETITIONS, TOGETHER, Evaluation
from demos.drafters.timing import Timing
from spectui.bench.harness import Spread
from spectui.sources.vllm.lane_spec import TITLES

Rows = list[list[str]]

_ROUNDING = (
    "A lane verifies several tokens in one forward pass, which rounds otherwise than AR's one by one; where the "
    "target's two best tokens are a rounding step apart, either may come. In float32 all lanes give AR's tokens "
    "(`tests/engine/test_demo_drafters.py`)."
)


def report_text(evaluation: Evaluation, manifest: dict[str, Any], environment: dict[str, Any]) -> str:
    """The whole report."""
    prompts = evaluation.timing.prompts
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    settings = ", ".join(f"{k}={v.rpartition('/')[2]}" for k, v in environment["settings"].items() if v)
    count, dtype = len(CATEGORIES) * 10, environment["demo_dtype"]
    parts = [
        "# The demo drafters, measured",
        "Written by `python -m demos.drafters report`; measured on "
        f"{environment['machine']}, with {versions} ({settings}). Greedy, {MAX_TOKENS} new tokens, EOS ignored, "
        f"{dtype}.",
        "## Acceptance",
        f"All {count} held-out prompts, batched, in vLLM. Acceptance at a position is unconditional: the share of the "
        "steps that had a draft in which the draft up to there was accepted. Length is 1 + accepted tokens per step.",
        _acceptance(evaluation),
        "Acceptance length by category:",
        _by_category(evaluation),
        _prediction(evaluation, manifest),
        "## Speed",
        f"{PROMPTS_PER_CATEGORY} held-out prompts of each category ({len(prompts)}), one request at a time, the lanes "
        f"in turn prompt by prompt with the others idle, eager, {REPETITIONS} repetitions. Median (lowest to highest) "
        "over the repetitions; speed-ups are ratios within a repetition.",
        _speed(evaluation.timing),
        "Speed-up by category (median):",
        _speed_by_category(evaluation.timing),
        "## The same text as AR's",
        f"Of {len(prompts)} answers in {dtype}. {_ROUNDING if dtype == 'bfloat16' else ''}".rstrip(),
        _equality(evaluation.timing),
    ]
    if evaluation.compiled is not None:
        parts += [
            "## Compiled",
            f"The same with `enforce_eager=False`, one prompt of each category ({len(evaluation.compiled.prompts)}), "
            "2 repetitions.",
            _speed(evaluation.compiled),
        ]
    return "\n\n".join(parts) + "\n"


def lane_title(text: str) -> str:
    """``mtp:k=2`` as a heading."""
    method, _, k = text.partition(":k=")
    return f"{TITLES[method]} K={k}" if k else TITLES[method]


def table(head: Sequence[str], rows: Rows) -> str:
    """A Markdown table, figures to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _acceptance(evaluation: Evaluation) -> str:
    most = max(len(a["all"].at_position) for a in evaluation.acceptance.values())
    rows: Rows = []
    for text, found in evaluation.acceptance.items():
        total = found["all"]
        rates = [f"{rate:.3f}" for rate in total.rates]
        rows.append([lane_title(text), f"{total.length:.3f}", *rates, *[""] * (most - len(rates)), f"{total.steps:,}"])
    return table(["", "length", *(f"position {i}" for i in range(1, most + 1)), "steps"], rows)


def _by_category(evaluation: Evaluation) -> str:
    rows = [
        [category, *(f"{found[category].length:.2f}" for found in evaluation.acceptance.values())]
        for category in CATEGORIES
    ]
    return table(["", *map(lane_title, evaluation.acceptance)], rows)


def _prediction(evaluation: Evaluation, manifest: dict[str, Any]) -> str:
    lines = []
    for name, k in BAR_K.items():
        said = manifest.get("stages", {}).get(f"export {name}", {}).get(f"predicted at K={k}")
        if said is not None:
            measured = evaluation.acceptance[f"{name}:k={k}"]["all"]
            lines.append(f"- {TITLES[name]} K={k}: predicted {said}; measured {measured}.")
    return "\n".join(["What the trainer predicted on the same prompts, without vLLM:", "", *lines]) if lines else ""


def _speed(timing: Timing) -> str:
    rows: Rows = []
    for lane in timing.lanes:
        row = [lane_title(lane), _spread(timing.measurement.rate(timing.pool(lane)), ".1f")]
        row += [_spread(_speed_up(timing, lane, categories), ".2f") for categories in (None, TOGETHER)]
        rows.append([*row, f"{timing.step_seconds(lane) * 1000:.1f}"])
    return table(["", "tok/s", "speed-up", f"speed-up on {' and '.join(TOGETHER)}", "ms a step"], rows)


def _speed_by_category(timing: Timing) -> str:
    lanes = timing.lanes[1:]
    rows = [
        [category, *(f"{_speed_up(timing, lane, (category,)).median:.2f}" for lane in lanes)] for category in CATEGORIES
    ]
    return table(["", *map(lane_title, lanes)], rows)


def _speed_up(timing: Timing, lane: str, categories: Sequence[str] | None) -> Spread:
    return timing.measurement.ratio(timing.pool(lane, categories), timing.pool(timing.lanes[0], categories))


def _equality(timing: Timing) -> str:
    rows: Rows = []
    for lane in timing.lanes[1:]:
        differences = timing.first_differences(lane)
        where = sorted(position for position in differences if position is not None)
        rows.append([lane_title(lane), str(differences.count(None)), ", ".join(map(str, where)) or "none"])
    return table(["", "equal", "first difference of the others, at token"], rows)


def _spread(spread: Spread, form: str) -> str:
    return f"{spread.median:{form}} ({spread.low:{form}} to {spread.high:{form}})"
