"""The measuring harness that every benchmark uses.

Cases run in turn, A B C A B C ..., so that a drift of the machine's speed affects all of them alike. A warm-up turn is
not counted. Comparisons are ratios within one turn; reports quote their medians and ranges.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spectui.sources.hardware import cpu_dtype, machine_name, software_versions

ENGINE_VARIABLES = ("OMP_NUM_THREADS", "LD_PRELOAD", "VLLM_CPU_OMP_THREADS_BIND", "KMP_BLOCKTIME", "KMP_TPAUSE")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one case: a fixed number of completion tokens and the seconds they took; ``disturbed`` says whether
    other programs held it up."""

    tokens: float
    seconds: float
    disturbed: bool = False

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds


Samples = Mapping[str, Sample]
"""The samples of one run of a case, by name; a race, for example, gives one for each lane."""


@dataclass(frozen=True, slots=True)
class Case:
    """Something to measure. ``run`` runs it once and returns named samples; names are unique across all cases."""

    name: str
    run: Callable[[], Samples]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and range of ``count`` figures."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        return cls(statistics.median(figures), min(figures), max(figures), len(figures))


@dataclass(slots=True)
class Measurement:
    """All counted samples by name, in the order of the turns. ``repeated`` turns were disturbed and measured again;
    ``disturbed`` turns were disturbed but count all the same, because no more repeats were allowed."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    repeated: int = 0
    disturbed: int = 0

    def add(self, samples: Samples) -> None:
        for name, sample in samples.items():
            self.samples.setdefault(name, []).append(sample)

    @property
    def busy(self) -> dict[str, int]:
        """How many turns other programs disturbed: those measured again, and those counted anyway."""
        return {"repeated": self.repeated, "disturbed": self.disturbed}

    def rate(self, name: str) -> Spread:
        """Tokens per second of the samples of that name."""
        return Spread.of([sample.rate for sample in self.samples[name]])

    def ratio(self, name: str, baseline: str) -> Spread:
        """Rate of ``name`` divided by that of ``baseline`` in the same turn."""
        pairs = zip(self.samples[name], self.samples[baseline], strict=True)
        return Spread.of([sample.rate / other.rate for sample, other in pairs])


def interleave(
    cases: Sequence[Case],
    repetitions: int,
    *,
    warm_up: int = 1,
    progress: Callable[[str], None] = lambda line: None,
) -> Measurement:
    """Run every case ``repetitions`` times in turn, after ``warm_up`` turns that do not count.

    Every other turn runs in reverse order, so that no case always follows the same neighbour. A turn that other
    programs disturbed is run again, as long as the repeats do not more than double the work.
    """
    measurement = Measurement()
    turn = -warm_up
    while turn < repetitions:
        label = "warm-up" if turn < 0 else f"{turn + 1}/{repetitions}"
        taken: list[Samples] = []
        for case in cases if turn % 2 == 0 else tuple(reversed(cases)):
            progress(f"{label}  {case.name}")
            taken.append(case.run())
        if turn >= 0:
            disturbed = any(sample.disturbed for samples in taken for sample in samples.values())
            if disturbed and measurement.repeated < repetitions:
                measurement.repeated += 1
                continue
            measurement.disturbed += disturbed
            for samples in taken:
                measurement.add(samples)
        turn += 1
    return measurement


def environment() -> dict[str, Any]:
    """Describe the machine and software that the figures were measured on, to be kept beside them."""
    return {
        "machine": machine_name(),
        "demo_dtype": cpu_dtype(),
        "versions": dict(software_versions()),
        "settings": {name: os.environ.get(name) for name in ENGINE_VARIABLES},
        "load_average": os.getloadavg()[0],
    }
