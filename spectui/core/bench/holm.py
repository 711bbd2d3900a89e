"""Many tests at once: Holm 1979, "A simple sequentially rejective multiple test procedure"."""

from __future__ import annotations

from collections.abc import Sequence


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Adjust the probability of every test for all the others, so that a limit holds for all of them together; None
    where nothing was tested.

    Worked example: 0.01, 0.04 and 0.03 become 3 x 0.01 = 0.03, then 2 x 0.03 = 0.06 for the next smallest, and for the
    largest 0.06 again, because 0.04 alone would be smaller than the one before it.
    """
    tested = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    adjusted, worst = list(ps), 0.0
    for rank, (p, place) in enumerate(tested):
        worst = max(worst, min(1.0, p * (len(tested) - rank)))
        adjusted[place] = worst
    return adjusted
