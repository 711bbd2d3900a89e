"""Made-up lanes whose best K is known: prompts of unlike kinds, texts that are the same at every K, and noise.

``python -m tests.load.tuned_lanes 1000`` says how good the search is on as many of them.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace

from spectui.protocol.events import NOTHING, Event, LaneInfo, RequestFinished, Sampling, Step
from spectui.sources.vllm.prompting import Fitting
from spectui.sources.vllm.steering import Steered
from spectui.sources.vllm.tuning import Tuning

TOKENS = 32
BUSY = 3.0
"""How many times as long a step takes beside other programs."""

DRIFT, DRIFT_MS = 0.06, 1500.0
"""A machine's speed wanders: by how much, as a standard deviation of the logarithm, and in what time."""


class Profile:
    """What a lane's prompts and engine are like.

    Args:
        seed: Of everything.
        kinds: Kinds of prompts; each is a category.
        of_a_kind: Prompts of each.
        k_max: The largest K.
        noise: Standard deviation of the logarithm of a step's time.
    """

    def __init__(self, seed: int, *, kinds: int = 11, of_a_kind: int = 4, k_max: int = 5, noise: float = 0.05) -> None:
        dice = random.Random(seed)
        self.k_max = k_max
        self.noise = noise
        self.categories = [str(kind) for kind in range(kinds) for _ in range(of_a_kind)]
        easy = [dice.uniform(0.05, 0.95) for _ in range(kinds)]
        self.easy = [
            min(0.98, max(0.01, dice.gauss(easy[kind], 0.12))) for kind in range(kinds) for _ in range(of_a_kind)
        ]
        self.luck = [[dice.random() for _ in range(TOKENS + k_max + 1)] for _ in self.categories]
        self._draft_ms, self._row_ms = dice.uniform(0.5, 5.0), dice.uniform(0.0, 1.5)
        self._first_pass_ms = dice.uniform(0.5, 6.0)

    def emitted(self, prompt: int, place: int, k: int) -> int:
        """Tokens of a step at ``place`` of the prompt's text."""
        accepted = 0
        while accepted < k and self.luck[prompt][place + accepted] < self.easy[prompt]:
            accepted += 1
        return accepted + 1

    def step_ms(self, k: int, requests: int, *, plain: bool = False) -> float:
        """Time of an engine step."""
        drafting = 0.0 if plain else self._first_pass_ms + self._draft_ms * k
        return 30.0 + drafting + self._row_ms * (requests * (k + 1) - 1)

    def truth(self, k: int, requests: int, *, plain: bool = False) -> float:
        """Tokens per second of all prompts together at ``k`` with so many in flight."""
        steps = tokens = 0
        for prompt in range(len(self.categories)):
            place = 0
            while place < TOKENS:
                place += self.emitted(prompt, place, k)
                steps += 1
            tokens += place
        return tokens / (steps * self.step_ms(k, requests, plain=plain) / 1e3 / requests)


class Machine:
    """What all lanes run on: its speed wanders while any of them steps, and ``busy`` says of a moment in milliseconds
    whether other programs use it too."""

    def __init__(self, seed: int, busy: Callable[[float], bool] = lambda now_ms: False) -> None:
        self._dice = random.Random(seed)
        self._drift = 0.0
        self._busy = busy
        self.now_ms = 0.0

    def takes_ns(self, step_ms: float, noise: float) -> tuple[int, bool]:
        """How long a step takes that should take ``step_ms``, and whether other programs held it up."""
        kept = math.exp(-step_ms / DRIFT_MS)
        self._drift = self._drift * kept + self._dice.gauss(0, DRIFT) * math.sqrt(1 - kept * kept)
        busy = self._busy(self.now_ms)
        took_ms = step_ms * math.exp(self._drift + self._dice.gauss(0, noise)) * (BUSY if busy else 1)
        self.now_ms += took_ms
        return round(took_ms * 1e6), busy


class TunedLane(Steered):
    """A lane on a profile, as a search drives it. Prompts are their numbers."""

    def __init__(self, profile: Profile, machine: Machine, *, plain: bool = False) -> None:
        self.info = (
            LaneInfo("ar", "ar", "AR", 0, "ar") if plain else LaneInfo("mtp", "mtp", "MTP", profile.k_max, "mtp")
        )
        self._tap = SimpleNamespace(k=self.info.k_max)
        self.fixed_k = ""
        self.clock_ns = 0
        self.totals = NOTHING
        self._profile = profile
        self._machine = machine
        self._requests: dict[int, list[int]] = {}
        self._limits: dict[int, int] = {}

    @property
    def running(self) -> bool:
        return bool(self._requests)

    def add(self, request: str, slot: int, prompt_ids: Sequence[int], sampling: Sampling) -> None:
        self._requests[slot] = [prompt_ids[0], 0, 0]
        self._limits[slot] = sampling.max_tokens

    def abort(self) -> list[Event]:
        self._requests.clear()
        return []

    def step(self) -> list[Event]:
        profile, batch = self._profile, len(self._requests)
        step_ms = profile.step_ms(self.k, batch, plain=not self.info.k_max)
        wall_ns, disturbed = self._machine.takes_ns(step_ms, profile.noise)
        self.clock_ns += wall_ns
        events: list[Event] = []
        for slot, state in list(self._requests.items()):
            prompt, place, index = state
            verified = profile.emitted(prompt, place, self.k)
            count = min(verified, self._limits[slot] - place)
            drafted = tuple(range(self.k))
            ids, cut = tuple(range(count)), tuple(range(verified - count))
            own = None if cut else "bonus" if count == self.k + 1 else "recovered"
            self.totals = self.totals.after(self.k, verified - 1, count, len(cut))
            events.append(
                Step(
                    self.info.name, str(slot), slot, index, self.k, drafted, verified - 1, ids, cut, own, None,
                    ("",) * verified, ("",) * self.k, batch, wall_ns, self.clock_ns, disturbed=disturbed,
                )
            )  # fmt: skip
            state[1], state[2] = place + count, index + 1
            if state[1] >= self._limits[slot]:
                del self._requests[slot]
                events.append(RequestFinished(self.info.name, str(slot), slot, "length", state[1]))
        return events


def search(
    profile: Profile,
    seed: int,
    *,
    requests: int = 1,
    budget_s: float = 300.0,
    busy: Callable[[float], bool] = lambda now_ms: False,
) -> Tuning:
    """A whole search on the profile, ended."""
    machine = Machine(seed, busy)
    lane, plain = TunedLane(profile, machine), TunedLane(profile, machine, plain=True)
    prompts = [Fitting([number], category) for number, category in enumerate(profile.categories)]
    tuning = Tuning(
        lane,  # type: ignore[arg-type]
        range(profile.k_max + 1),
        prompts,
        requests=requests,
        sampling=Sampling(),
        budget_s=budget_s,
        plain=plain,  # type: ignore[arg-type]
        piece_tokens=TOKENS,
    )
    while tuning.ended is None:
        tuning.step()
    return tuning


def report(lanes: int, requests: int, budget_s: float, kinds: int = 11, of_a_kind: int = 4) -> str:
    """How often the K chosen is within a hundredth of the best, and how often the speed-up's interval is right."""
    good = covered = intervals = 0
    spent = 0.0
    for seed in range(lanes):
        profile = Profile(seed, kinds=kinds, of_a_kind=of_a_kind)
        tuning = search(profile, seed, requests=requests, budget_s=budget_s)
        truth = {k: profile.truth(k, requests) for k in range(profile.k_max + 1)}
        good += truth[tuning.best] >= 0.99 * max(truth.values())
        spent += tuning.spent_ns / 1e9
        figure = tuning.figures()[tuning.best]
        if figure.over_ar_low is not None and figure.over_ar_high is not None:
            intervals += 1
            speed_up = truth[tuning.best] / profile.truth(0, requests, plain=True)
            covered += figure.over_ar_low <= speed_up <= figure.over_ar_high
    return (
        f"{lanes} lanes, {kinds * of_a_kind} prompts, {requests} in flight, at most {budget_s:g} s: "
        f"within 1 % of the best in {good / lanes:.1%}, "
        f"intervals in {intervals / lanes:.1%}, right in {covered / max(1, intervals):.1%}, {spent / lanes:.0f} s each"
    )


if __name__ == "__main__":
    count = int(sys.argv[1])
    for in_flight, budget in ((1, 300.0), (4, 600.0), (16, 900.0)):
        print(report(count, in_flight, budget), flush=True)
    for prompts in (3, 4, 8):
        print(report(count, 1, 120.0, 1, prompts), flush=True)
