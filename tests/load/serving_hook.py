"""What a server's tap costs the engine thread: microseconds for each engine step, with and without a viewer.

``python -m tests.load.serving_hook [REQUESTS ...]`` counts steps of so many requests at K = 4 and prints, for each, the
time of all that the tap does in a step, and what that comes to for each request beyond the first. vLLM itself is not
needed; the scheduler adds about two microseconds of its own calls.
"""

from __future__ import annotations

import sys
import time
from itertools import islice, repeat
from statistics import median
from types import SimpleNamespace
from typing import Any

from spectui.serving.tally import Tally, Verified

STEPS = 2_000
DRAFTS, SAMPLED = [11, 12, 13, 14], [11, 12, 99]


def step_us(requests: int, *, watched: bool) -> float:
    """Median time of a step of so many requests."""
    tally = Tally(4)
    tally.feed.watched = watched
    names = [f"chatcmpl-{number:032x}" for number in range(requests)]
    for name in names:
        tally.began(name, [1, 2, 3], 3)
    place = {name: at for at, name in enumerate(names)}
    drafts = dict.fromkeys(names, DRAFTS)
    outputs = [output(name) for name in names]
    sampled = [*islice(repeat(SAMPLED), requests)]
    took = []
    for _ in range(STEPS):
        start = time.perf_counter_ns()
        step = Verified(4, 20_000_000, 1, 2, place, tally.copies(sampled), drafts)
        tally.step(step, outputs, lambda name: False)
        took.append(time.perf_counter_ns() - start)
        tally.feed.take_items()
    return median(took) / 1e3


def output(name: str) -> Any:
    return SimpleNamespace(request_id=name, new_token_ids=SAMPLED, finish_reason=None, stop_reason=None)


def main(arguments: list[str]) -> int:
    base = {watched: step_us(1, watched=watched) for watched in (False, True)}
    for requests in map(int, arguments or ("1", "8", "64", "256")):
        for watched, name in ((False, "no viewer"), (True, "a viewer")):
            took = step_us(requests, watched=watched)
            each = f", {(took - base[watched]) / (requests - 1):.2f} for each request more" if requests > 1 else ""
            print(f"{requests:4} requests, {name:9}: {took:7.1f} us a step{each}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
