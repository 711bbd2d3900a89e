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

MAX_TOKENS = 10_000_000
"""Tokens of an answer, at most: more than any model takes."""

MAX_SEED = 2**53 - 1
"""The largest number that every reader of a trace takes as it is."""

TUNE_BUDGET_S = 120
"""Seconds of engine steps for one search: enough for two prompts of each category of the built-in set on a laptop."""
