"""Signs of trouble: each appears when its steps say so, stays calm in between, and healthy lanes show none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core.pace import Pace
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.summary import summary_of
from spectui.core.trouble import LEAST_STEPS, LONG_CONTEXT, LOOK_EVERY, wilson
from spectui.core.trouble_causes import Told
from spectui.protocol import events as ev
from spectui.trace.reader import Trace

pytestmark = pytest.mark.unit

TRACES = sorted((Path(__file__).parents[2] / "demos" / "traces").glob("*.jsonl"))
MS = 1_000_000


@dataclass
class Made:
    """A race of AR and one lane, told step by step."""

    method: str = "mtp"
    k: int = 4
    engine: ev.LaneEngine | None = None
    plain: ev.LaneEngine | None = None
    prompt_tokens: int = 10
    requests: int = 1

    def __post_init__(self) -> None:
        self.state = RunState()
        self.clocks = {"ar": 0, "lane": 0}
        self.totals = {"ar": ev.NOTHING, "lane": ev.NOTHING}
        self.emitted = {"ar": 0, "lane": 0}
        lanes = (ev.LaneInfo("ar", "ar", "AR", 0, "ar"), ev.LaneInfo("lane", self.method, "Lane", self.k, self.method))
        self.tell(ev.RunStarted("t", lanes, ev.Sampling()))
        for engine in (self.plain, self.engine):
            if engine is not None:
                self.tell(engine)
        self.round()

    def round(self) -> None:
        self.tell(ev.RoundStarted(0, (ev.Prompt("p"),) * self.requests, ev.Sampling()))
        self.numbers = {"ar": 0, "lane": 0}
        for name in self.emitted:
            self.emitted[name] = 0
            for slot in range(self.requests):
                self.tell(ev.RequestStarted(name, f"{name}{slot}", slot, self.prompt_tokens))

    def tell(self, event: ev.Event) -> None:
        reduce(self.state, event)

    def step(
        self,
        drafted: int,
        accepted: int = 0,
        ms: float = 40,
        *,
        parts: tuple[float, float] | None = (10, 28),
        **of: Any,
    ) -> None:
        self._step("lane", drafted, accepted, ms, parts, **of)

    def plain_step(self, ms: float = 25, **of: Any) -> None:
        self._step("ar", 0, 0, ms, (0, ms - 1), **of)

    def _step(
        self,
        name: str,
        drafted: int,
        accepted: int,
        ms: float,
        parts: Any,
        k: int | None = None,
        disturbed: bool = False,
    ) -> None:
        self.clocks[name] += int(ms * MS)
        number, self.numbers[name] = self.numbers[name], self.numbers[name] + 1
        for slot in range(self.requests):
            tokens = accepted + 1
            self.totals[name] = self.totals[name].after(drafted, accepted, tokens, 0)
            self.tell(
                ev.Step(
                    name, f"{name}{slot}", slot, number, (self.k if k is None else k) if name == "lane" else 0,
                    (7,) * drafted, accepted, (7,) * tokens, (), "recovered" if accepted < drafted else "bonus", None,
                    ("x",) * tokens, ("x",) * drafted, self.requests, int(ms * MS), self.clocks[name],
                    None if parts is None else int(parts[0] * MS), None if parts is None else int(parts[1] * MS),
                    disturbed, self.totals[name], self.emitted[name],
                )
            )  # fmt: skip
        self.emitted[name] += accepted + 1

    @property
    def signs(self) -> list[str]:
        return [one.sign for one in self.state.lanes["lane"].trouble.found]

    @property
    def told(self) -> tuple[Told, ...]:
        return summary_of(self.state).lanes[1].troubles


def repeated(accepted: str, steps: int) -> Iterator[int]:
    """Accepted tokens of ``steps`` steps, one after the other from the digits of ``accepted``."""
    return (int(accepted[number % len(accepted)]) for number in range(steps))


# Nearly all drafts are rejected


@pytest.mark.parametrize(
    ("accepted", "steps", "expected"),
    [
        ("0", 80, []),
        ("0", 112, ["rejected"]),
        ("0" * 99 + "1", 300, ["rejected"]),
        ("0" * 9 + "1", 400, []),
        ("0001", 400, []),
        ("2", 400, []),
    ],
)
def test_nearly_all_drafts_rejected(accepted: str, steps: int, expected: list[str]) -> None:
    made = Made()
    for kept in repeated(accepted, steps):
        made.step(4, kept)
    assert made.signs == expected


def test_it_goes_only_once_drafts_are_right_again_and_does_not_flicker() -> None:
    made, seen = Made(), []
    for kept in (*repeated("0", 200), *repeated("0" * 19 + "1", 400), *repeated("001", 200)):
        made.step(4, kept)
        if not seen or seen[-1] != made.signs:
            seen.append(made.signs)
    assert seen == [[], ["rejected"], []]


def test_nothing_is_wrong_at_k_0() -> None:
    made = Made()
    for _ in range(200):
        made.step(4, 0)
    assert made.signs == ["rejected"]
    made.tell(ev.KChanged("lane", 0))
    for _ in range(LOOK_EVERY):
        made.step(0, k=0)
    assert made.signs == []


CUDA = ev.LaneEngine("lane", "cuda", "V2", False, "full", (), "synchronous", (), "bfloat16", "none", "auto")
SAID = {
    "V2": "49559",
    "weights": "paroquant issue 42",
    "cache": "41789",
    "another": "made for another model",
}


@pytest.mark.parametrize(
    ("method", "engine", "expected"),
    [
        ("mtp", None, ("weights", "cache", "another")),
        ("dflash", None, ("V2", "weights", "cache", "another")),
        ("dflash", CUDA, ("V2", "another")),
        ("dflash", replace(CUDA, runner="V1"), ("another",)),
        ("mtp", replace(CUDA, quantization="fp8"), ("weights", "another")),
        ("mtp", replace(CUDA, cache_dtype="fp8_e4m3"), ("cache", "another")),
    ],
)
def test_the_likely_causes_are_those_that_the_engine_allows(
    method: str, engine: ev.LaneEngine | None, expected: tuple[str, ...]
) -> None:
    made = Made(method, engine=engine)
    for _ in range(200):
        made.step(4, 0)
    (one,) = made.told
    assert (one.sign, one.mark) == ("rejected", "!")
    assert [next(name for name, part in SAID.items() if part in cause) for cause in one.causes] == list(expected)


def test_a_method_without_a_model_is_not_blamed_on_one() -> None:
    made = Made("ngram")
    for _ in range(200):
        made.step(4, 0)
    (one,) = made.told
    assert [cause.partition(",")[0] for cause in one.causes] == ["The text repeats itself"]


# Nothing is accepted past some position of a long context


@pytest.mark.parametrize(
    ("prompt_tokens", "accepted", "expected"),
    [
        (3000, "4", ["cliff"]),
        (3000, "44443", ["cliff"]),
        (3000, "55554", ["cliff"]),
        (3000, "45", ["cliff"]),
        (3000, "4567", []),
        (3000, "44023", ["cliff"]),
        # Acceptance that fades has no cliff, however little is left in the end.
        (3000, "0001001002100", []),
        (3000, "7", []),
        (100, "4", []),
    ],
)
def test_a_cliff_in_a_long_context(prompt_tokens: int, accepted: str, expected: list[str]) -> None:
    made = Made("dflash", k=7, prompt_tokens=prompt_tokens)
    for kept in repeated(accepted, 380):
        made.step(7, kept)
    assert made.signs == expected


def test_a_cliff_names_its_position_and_its_reference() -> None:
    made = Made("dflash", k=7, prompt_tokens=LONG_CONTEXT + 1)
    for _ in range(200):
        made.step(7, 5)
    (one,) = made.told
    assert one.seen == "none kept past position 5"
    assert "right up to position 5 were right at position 6" in one.figures
    assert "40898" in one.causes[0]


def test_a_cliff_goes_with_the_long_context() -> None:
    made = Made("dflash", k=7, prompt_tokens=3000)
    for _ in range(200):
        made.step(7, 4)
    assert made.signs == ["cliff"]
    made.prompt_tokens = 10
    made.round()
    for _ in range(LEAST_STEPS + LOOK_EVERY):
        made.step(7, 4)
    assert made.signs == []


def test_a_k_that_ends_at_the_cliff_has_none() -> None:
    made = Made("dflash", k=4, prompt_tokens=3000)
    for _ in range(200):
        made.step(4, 4)
    assert made.signs == []


# Another vocabulary


@pytest.mark.parametrize(
    ("target", "drafter", "expected"),
    [
        (49152, 32000, ["vocabulary"]),
        (32000, 49152, ["vocabulary"]),
        (151936, 152064, []),
        (49152, 49152, []),
        (None, 32000, []),
        (49152, None, []),
    ],
)
def test_vocabularies_of_other_sizes_are_known_before_the_first_step(
    target: int | None, drafter: int | None, expected: list[str]
) -> None:
    made = Made(engine=ev.LaneEngine("lane", vocabulary=target, draft_vocabulary=drafter))
    assert made.signs == expected
    for _ in range(50):
        made.step(4, 0)
    assert made.signs == expected


def test_a_drafter_that_is_right_has_the_targets_vocabulary_after_all() -> None:
    made = Made(engine=ev.LaneEngine("lane", vocabulary=49152, draft_vocabulary=32000))
    (one,) = made.told
    assert one.figures == "The drafter has 32,000 tokens, the target 49,152."
    for _ in range(50):
        made.step(4, 2)
    assert made.signs == []


def test_both_are_said_with_the_cause_first() -> None:
    made = Made(engine=ev.LaneEngine("lane", vocabulary=49152, draft_vocabulary=32000))
    for _ in range(200):
        made.step(4, 0)
    assert made.signs == ["vocabulary", "rejected"]


# No draft at all


def test_nothing_is_drafted() -> None:
    made = Made()
    for _ in range(LEAST_STEPS + LOOK_EVERY):
        made.step(0)
    (one,) = made.told
    assert (one.sign, one.mark, one.normal) == ("no draft", "!", False)
    for _ in range(LOOK_EVERY):
        made.step(4, 2)
    assert made.signs == []


def test_a_text_without_repeats_is_no_fault_of_an_n_gram_lane() -> None:
    made = Made("ngram")
    for _ in range(LEAST_STEPS + LOOK_EVERY):
        made.step(0)
    (one,) = made.told
    assert (one.seen, one.mark, one.normal) == ("nothing repeats: no drafts", "·", True)
    assert "normal" in one.causes[0]


def test_a_draft_now_and_then_is_a_draft() -> None:
    made = Made("ngram")
    for number in range(400):
        made.step(4 if number % 40 == 0 else 0)
        assert made.signs == []


def test_a_draft_in_a_lost_step_is_a_draft() -> None:
    made = Made()
    for number in range(300):
        if number % 40 == 20:
            made.totals["lane"] = made.totals["lane"].after(4, 1, 2, 0)
        made.step(0)
        assert made.signs == []


# Accepted, but no faster


@pytest.mark.parametrize(
    ("accepted", "ms", "expected"),
    [
        ("2", 90, ["no gain"]),
        ("2", 78, ["no gain"]),
        # Three tokens in 76 ms against one in 25: too close to say.
        ("2", 76, []),
        ("2", 60, []),
        ("12", 65, ["no gain"]),
        # Slower, but nothing else is to be expected of so few accepted tokens.
        ("0001", 60, []),
        ("9", 24, []),
    ],
)
def test_many_accepted_but_no_faster(accepted: str, ms: float, expected: list[str]) -> None:
    made = Made(k=9)
    for kept in repeated(accepted, 300):
        made.plain_step()
        made.step(9, kept, ms)
    assert made.signs == expected


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((60.0, 29.0), "Drafting is too dear: it takes 60.0 ms"),
        ((5.0, 84.0), "Verification is too dear: 60.0 ms longer"),
        (None, "not timed apart"),
    ],
)
def test_the_part_of_a_step_that_is_too_dear(parts: tuple[float, float] | None, said: str) -> None:
    made = Made()
    for _ in range(100):
        made.plain_step()
        made.step(4, 2, 90, parts=parts)
    (one,) = made.told
    assert said in one.causes[0]
    assert "50722" in one.causes[0]
    assert one.figures.startswith("3.00 tokens per step, but a step takes 90.0 ms instead of AR's 25.0 ms: 0.83 times")


def test_a_lane_on_another_runner_says_that_first() -> None:
    made = Made(engine=replace(CUDA, runner="V1"), plain=replace(CUDA, lane="ar"))
    for _ in range(100):
        made.plain_step()
        made.step(4, 2, 90)
    (one,) = made.told
    assert one.causes[0] == "The lane runs on model runner V1, AR on V2: not comparable."


def test_several_requests_count_one_by_one() -> None:
    made = Made(requests=3)
    for _ in range(100):
        made.plain_step()
        made.step(4, 2, 90)
    (one,) = made.told
    assert one.figures.startswith("3.00 tokens per step")


def test_without_ar_nothing_is_slow() -> None:
    made = Made()
    for _ in range(200):
        made.step(4, 2, 90)
    assert made.signs == []


@pytest.mark.parametrize("lane", ["lane", "ar"])
def test_a_disturbed_race_says_nothing_about_speed(lane: str) -> None:
    made = Made()
    for number in range(400):
        held_up = number % 10 == 0
        made.plain_step(disturbed=held_up and lane == "ar")
        made.step(4, 2, 90, disturbed=held_up and lane == "lane")
        assert made.signs == []


def test_no_sign_appears_in_disturbed_steps() -> None:
    made = Made()
    for _ in range(400):
        made.step(4, 0, disturbed=True)
    assert made.signs == []


# Healthy lanes


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_no_lane_of_a_demo_shows_a_sign_at_any_time(path: Path) -> None:
    state = RunState()
    for _, event in Trace.open(path):
        reduce(state, event)
        if isinstance(event, ev.Step):
            assert not state.lanes[event.lane].trouble.found
    assert any(lane.trouble.pace(lane.k, 1).steps > LEAST_STEPS for lane in state.lanes.values())


@settings(deadline=None, max_examples=25)
@given(st.floats(0.25, 0.95), st.randoms(use_true_random=False), st.integers(1, 8))
def test_a_drafter_that_is_often_right_shows_no_sign(share: float, dice: Any, k: int) -> None:
    made = Made(k=k, prompt_tokens=3000)
    for _ in range(150):
        made.plain_step()
        kept = next((at for at in range(k) if dice.random() >= share), k)
        made.step(k, kept, 26)
        assert made.signs == []


@settings(deadline=None, max_examples=25)
@given(st.randoms(use_true_random=False), st.floats(0, 1), st.booleans())
def test_any_lane_can_be_told(dice: Any, share: float, plain: bool) -> None:
    made = Made(k=8, prompt_tokens=dice.choice((10, 3000)))
    for _ in range(120):
        if plain:
            made.plain_step(dice.uniform(1, 50))
        drafted = dice.choice((0, 1, 8, 8))
        made.step(drafted, dice.randint(0, drafted) if dice.random() < share else 0, dice.uniform(1, 90))
    for one in made.told:
        assert one.seen
        assert one.figures.endswith(".")
        assert all(cause.endswith(".") for cause in one.causes)


# The figures behind them


@pytest.mark.parametrize(
    ("kept", "of", "low", "high"), [(0, 0, 0, 1), (0, 100, 0, 0.037), (60, 100, 0.502, 0.691), (100, 100, 0.963, 1)]
)
def test_the_interval_of_a_share(kept: int, of: int, low: float, high: float) -> None:
    assert wilson(kept, of) == pytest.approx((low, high), abs=5e-4)


def test_the_ratio_of_two_paces() -> None:
    plain, lane = Pace(), Pace()
    for _ in range(100):
        plain.add(1, 25 * MS, None, 24 * MS)
        lane.add(2, 60 * MS, 30 * MS, 29 * MS)
    ratio = lane.ratio(plain)
    assert (ratio.mean, ratio.low, ratio.high) == pytest.approx((0.8333, 0.8333, 0.8333), rel=1e-3)
    assert (lane.step_ms, lane.timed) == (60.0, True)


def test_a_pace_that_varies_is_less_certain() -> None:
    plain, lane = Pace(), Pace()
    for number in range(100):
        plain.add(1, 25 * MS, None, 24 * MS)
        lane.add(1 + 2 * (number % 2), 60 * MS, None, None)
    ratio = lane.ratio(plain)
    # Tokens of 1 and 3 vary by half of their mean; over 100 steps that is 0.05, and the 99 % interval 2.58 times that.
    assert ratio.mean is not None
    assert ratio.high == pytest.approx(ratio.mean * math.exp(2.5758 * 0.05), rel=1e-3)
    assert not lane.timed


def test_without_steps_there_is_no_ratio() -> None:
    assert Pace().ratio(Pace()).mean is None
