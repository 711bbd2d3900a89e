"""The measuring harness that every benchmark uses.

Cases run in turn, so that a drift of the machine's speed affects all of them alike. A warm-up turn is not counted.
Comparisons are ratios within one turn; reports quote their medians and ranges.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spectui.core.bench.turns import Turns
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

    `Turns` says in which order, and what happens to a turn that other programs disturbed.
    """
    measurement = Measurement()
    turns = Turns(len(cases), repetitions, warm_up=warm_up)
    taken: list[Samples] = []
    while (place := turns.case) is not None:
        label = "warm-up" if turns.warming_up else f"{turns.turn + 1}/{repetitions}"
        progress(f"{label}  {cases[place].name}")
        samples = cases[place].run()
        taken.append(samples)
        counts = turns.ran(any(sample.disturbed for sample in samples.values()))
        if counts is not None:
            for one in taken if counts else ():
                measurement.add(one)
            taken = []
    measurement.repeated, measurement.disturbed = turns.repeated, turns.disturbed
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
