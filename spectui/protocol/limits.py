"""How far things may go: the command line, the keys, talks and traces know the same limits."""

from __future__ import annotations

MIN_SPEED, MAX_SPEED = 0.1, 50.0

MAX_K = 64
"""Tokens that a lane can be built to draft, at most: screens have a row for each."""

MAX_CONCURRENCY = 16
"""Requests in flight in each lane, at most."""

MAX_LANES = 32
"""Lanes of a run, at most: each has an engine, and a place on the screen."""

MAX_TEMPERATURE = 10.0

MAX_TOP_K = 2**31 - 1
"""The largest number of likeliest tokens that vLLM takes."""

MAX_TOKENS = 10_000_000
"""Tokens of an answer, at most: more than any model takes."""

MAX_SEED = 2**53 - 1
"""The largest number that every reader of a trace takes as it is."""

TUNE_BUDGET_S = 120
"""Seconds of engine steps for one search: enough for two prompts of each category of the built-in set on a laptop."""

OWED_S = 0.1
"""Wall time that came too late for one event of a replay or a made-up run and still counts for the next ones. Who owes
more cannot keep up."""


def concurrency_fault(requests: int) -> str | None:
    """What is wrong with a number of requests in flight; None when nothing is."""
    return None if 1 <= requests <= MAX_CONCURRENCY else f"requests in flight must be 1 to {MAX_CONCURRENCY}"


def temperature_fault(temperature: float) -> str | None:
    """What is wrong with a temperature; None when nothing is."""
    return None if 0 <= temperature <= MAX_TEMPERATURE else f"the temperature must be 0 to {MAX_TEMPERATURE:g}"
