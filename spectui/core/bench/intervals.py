"""How certain a speed-up is: from the ratios of the repetitions, each of which gave both lanes the same prompts.

The logarithms of the ratios are averaged, and Student's t gives the interval of that mean (Student 1908, "The probable
error of a mean"). It covers the machine's noise and the difference between prompts alike, because every repetition
takes the next prompts of the category. Where a category has fewer than all repetitions ask, some are asked again, and
the interval says less of how other prompts would do.

Worked example: ratios of 1.2, 1.5 and 1.35 have a geometric mean of 1.344; their logarithms deviate by 0.112, so the
interval is 1.344 x exp(+-4.303 x 0.112 / sqrt(3)), from 1.02 to 1.77. Three repetitions promise no more than that; rows
over all categories are far narrower.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from spectui.core.bench.student import reach
from spectui.core.paired import UNKNOWN, Interval


def ratio_interval(ratios: Sequence[float]) -> Interval:
    """The geometric mean of positive ratios with its 95 % interval; its ends are None for fewer than two ratios."""
    if not ratios:
        return UNKNOWN
    logs = [math.log(ratio) for ratio in ratios]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return Interval(math.exp(mean), None, None)
    apart = reach(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Interval(math.exp(mean), math.exp(mean - apart), math.exp(mean + apart))
