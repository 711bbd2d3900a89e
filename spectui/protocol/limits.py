"""Limits shared by the command line, the keys, talks and traces."""

from __future__ import annotations

MIN_SPEED, MAX_SPEED = 0.1, 50.0

MAX_K = 64
"""The most tokens that a lane can be built to draft; screens have a row for each."""

MAX_CANVAS = 8192
"""The most positions that a diffusion model denoises at once."""

MAX_CONCURRENCY = 16
"""The most requests in flight in each lane."""

MAX_LANES = 32
"""The most lanes in a run; each has its own engine and needs room on the screen."""

MAX_CATEGORIES = 64
"""The most categories of prompts in a benchmark on the screen, which has a row for each."""

MAX_CELLS = MAX_LANES * (MAX_CATEGORIES + 1)
"""The most cells in its tables."""

MAX_TEMPERATURE = 10.0

MAX_TOP_K = 2**31 - 1
"""The largest top-k that vLLM accepts."""

MAX_TOKENS = 10_000_000
"""The most tokens of an answer: more than any model supports."""

MAX_SEED = 2**53 - 1
"""The largest integer that every reader of a trace represents exactly."""

TUNE_BUDGET_S = 120
"""Seconds of engine steps for one search: enough for two prompts of each category of the built-in set on a laptop."""

OWED_S = 0.1
"""How far, in wall time, a replay or a synthetic run may fall behind and still catch up. One that is further behind
cannot keep up."""


def concurrency_fault(requests: int) -> str | None:
    """Say what is wrong with a number of requests in flight; None if it is valid."""
    return None if 1 <= requests <= MAX_CONCURRENCY else f"requests in flight must be 1 to {MAX_CONCURRENCY}"


def temperature_fault(temperature: float) -> str | None:
    """Say what is wrong with a temperature; None if it is valid."""
    return None if 0 <= temperature <= MAX_TEMPERATURE else f"the temperature must be 0 to {MAX_TEMPERATURE:g}"
