"""The search for the fastest K on made-up servers under changing load: what it finds, and what K is left behind."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core.attached.k_search import TrafficSearch
from spectui.protocol.events import KChanged, Notice, TuneEnded, TuneTurn
from spectui.sources.attached.serving_line import serving
from spectui.sources.attached.tuning import BLOCK_STEPS, LATE_S, LATE_STEPS, LEASE_S, RENEW_S, WAIT_S, TuneRules, Tuning
from spectui.wire.messages import EngineStep, Row
from tests.support.made_server import about
from tests.support.served_traffic import Costs, ServedTraffic, drive

SEEDS = 20
S = 1_000_000_000


def started(k: int = 2, k_max: int = 3, rules: TuneRules | None = None, **more: float) -> Tuning:
    return Tuning("e1", k=k, k_max=k_max, now_ns=0, rules=rules, seed=0, serve=lambda k: f"vllm serve M k={k}", **more)  # type: ignore[arg-type]


def one_step(k: int, ms: float = 10.0, tokens: int = 2, requests: int = 2) -> EngineStep:
    rows = [Row(slot, 5, 9, min(k, tokens - 1), tokens - 1, tokens, tokens) for slot in range(requests)]
    return EngineStep(k, round(ms * 1e6), 0, None, None, [], rows)


def profile(seed: int) -> tuple[Costs, float]:
    """Costs under which one K is best at every load from 2 to 14, and how far the second is behind at the least."""
    dice = random.Random(seed)
    while True:
        costs = Costs(
            base=dice.uniform(6, 25),
            draft=dice.uniform(0.2, 4),
            token=dice.uniform(0.02, 0.2),
            accepted=dice.uniform(0.3, 0.9),
        )
        best, behind = set(), 1.0
        for requests in range(2, 15):
            second, first = sorted(range(5), key=lambda k: costs.tok_s(k, requests))[-2:]
            best.add(first)
            behind = min(behind, costs.tok_s(first, requests) / costs.tok_s(second, requests) - 1)
        if len(best) == 1 and behind > 0.02:
            return costs, best.pop()


@pytest.mark.slow
def test_the_best_k_is_found_under_changing_load_on_nearly_every_server() -> None:
    right = separated = 0
    for seed in range(SEEDS):
        costs, best = profile(seed)
        server = ServedTraffic(seed, costs, k=seed % 5, most=14, fewest=2)
        tuning = Tuning("e1", k=server.k, k_max=4, now_ns=0, budget_s=60, seed=seed)
        drive(tuning, server)
        assert tuning.ended is not None
        right += tuning.ended.last.best == best == server.k
        separated += tuning.ended.why == "separated"
    assert right >= SEEDS - 1
    assert separated >= SEEDS // 2


def test_a_busy_spell_at_one_k_does_not_make_it_look_faster() -> None:
    """Whenever K = 1 is held, eight times as many requests are there: totals say that it is five times as fast."""
    costs = Costs(token=0.05)
    tuning = Tuning("e1", k=0, k_max=1, now_ns=0, budget_s=120, seed=1)
    quiet, busy = (ServedTraffic(seed, costs, fewest=1, most=most, noise=0.02) for seed, most in ((1, 2), (2, 16)))
    tuning.begin()
    for number in range(4_000):
        if tuning.ended is not None:
            break
        server = busy if (tuning.k == 1) != (number % 50 < 4) else quiet
        server.ask(tuning.k)
        tuning.step(server.step(), server.at_ns)
    turn = tuning.turn() if tuning.ended is None else tuning.ended.last
    found = tuning._search.ratio(1, 0)
    totals = [tuning._search._measured[k].tok_s for k in (0, 1)]
    assert totals[0] is not None
    assert totals[1] is not None
    assert totals[1] > 3 * totals[0]
    assert turn.best == 1
    assert found.mean is not None
    assert found.mean == pytest.approx(costs.tok_s(1, 2) / costs.tok_s(0, 2), rel=0.1)


@pytest.mark.slow
def test_intervals_cover_the_true_ratio() -> None:
    """Under changing load, drift, noise and slow steps, at every K against another; the truth is a long quiet run."""
    costs = Costs(token=0.02, accepted=0.65)

    def kept(seed: int, budget_s: float, **how: float) -> TrafficSearch:
        server = ServedTraffic(seed, costs, k=2, **how)  # type: ignore[arg-type]
        tuning = Tuning("e1", k=2, k_max=3, now_ns=0, budget_s=budget_s, seed=seed)
        tuning._search = TrafficSearch((0, 1, 2, 3), keep_all=True)
        drive(tuning, server)
        return tuning._search

    long = kept(999, 120, noise=0.0, drift=0.0)
    covered = count = 0
    for seed in range(24):
        search = kept(seed, 16)
        for k in (0, 1, 3):
            truth, found = long.ratio(k, 2).mean, search.ratio(k, 2)
            assert truth is not None
            assert found.low is not None
            assert found.high is not None
            covered += found.low <= truth <= found.high
            count += 1
    assert covered >= 0.9 * count


def test_the_best_k_stays_and_its_command_is_shown() -> None:
    server = ServedTraffic(1, Costs(draft=5.0, accepted=0.6), k=3)
    tuning = started(k=3, k_max=3, budget_s=200)
    told = drive(tuning, server)
    ended = tuning.ended
    assert ended is not None
    assert (ended.why, ended.fault) == ("separated", "")
    best = ended.last.best
    assert best < 3
    assert server.k == tuning.k == best
    assert ended.serve == f"vllm serve M k={best}"
    assert [type(event) for event in told[-3:]] == [KChanged, TuneEnded, Notice]
    assert told[-3] == KChanged("e1", best, "tuned")
    assert f"K is {best} instead of 3" in told[-1].text  # type: ignore[union-attr]
    turns = [event for event in told if isinstance(event, TuneTurn)]
    assert [turn.turn for turn in turns] == list(range(len(turns)))
    figure = ended.last.figures[1]
    assert figure.length is not None
    assert figure.length > 1.5
    assert figure.step_s is not None
    assert (figure.draft_s, figure.estimate_tok_s) == (None, None)
    assert tuning.due(server.at_ns) is None


def test_the_time_ends_it_after_a_turn_and_the_best_so_far_stays() -> None:
    server = ServedTraffic(3, k=0)
    tuning = started(k=0, k_max=3, budget_s=0.5)
    drive(tuning, server)
    assert tuning.ended is not None
    assert tuning.ended.why == "budget"
    assert tuning.ended.last.turn == 1
    assert server.k == tuning.ended.last.best


def test_a_limit_of_wall_time_counts_idle_time_too() -> None:
    tuning = started(rules=TuneRules(within_s=30))
    tuning.begin()
    assert tuning.tick(29 * S)[0].text.startswith("the search for K waits for traffic")  # type: ignore[union-attr]
    assert tuning.tick(29 * S) == []
    told = tuning.tick(30 * S)
    assert tuning.ended is not None
    assert "too little traffic in 30 s" in tuning.ended.fault
    assert tuning.k == 2
    assert [type(event) for event in told] == [TuneEnded, Notice]


def test_k_is_lent_and_asked_for_again_as_long_as_the_search_goes_on() -> None:
    tuning = started()
    tuning.begin()
    assert tuning.due(0) == (tuning.k, LEASE_S)
    assert tuning.due(int((RENEW_S - 0.1) * S)) is None
    assert tuning.due(int(RENEW_S * S)) == (tuning.k, LEASE_S)
    for _ in range(BLOCK_STEPS + 2):
        tuning.step(one_step(tuning.k), 0)
    tuning.stop()
    assert tuning.due(int(RENEW_S * S)) == (2, None)
    assert tuning.due(int(99 * S)) is None


@pytest.mark.parametrize("before", [20, 60])
def test_the_guard_ends_it_within_a_few_steps_and_the_sentence_says_why(before: int) -> None:
    tuning = started(rules=TuneRules(guard_ms=12))
    tuning.begin()
    for _ in range(before):
        assert tuning.step(one_step(tuning.k, ms=20), 0) == []
    k = tuning.k
    steps = 0
    while tuning.ended is None:
        tuning.step(one_step(k, ms=50), 0)
        steps += 1
    assert steps <= 5
    assert tuning.ended.fault == (
        f"at K = {k} one token in twenty took 25.0 ms or more, and the limit is 12 ms: "
        "K is 2 again, as before the search"
    )
    assert tuning.due(0) == (2, None)


def test_a_server_that_does_not_follow_is_left_as_it_is() -> None:
    tuning = started(k=2)
    tuning.begin()
    while tuning.k == 2:
        tuning.step(one_step(2), 0)
    for _ in range(LATE_STEPS + 1):
        tuning.step(one_step(2), S)
    assert tuning.ended is None
    tuning.step(one_step(2), int((1 + LATE_S) * S) + 1)
    assert tuning.ended is not None
    assert tuning.ended.fault.startswith("the server does not follow changes of K: K is 2 again")


def test_somebody_elses_k_stays_and_a_lost_servers_comes_back_by_itself() -> None:
    other, silent, gone = started(), started(), started()
    for tuning in (other, silent, gone):
        tuning.begin()
        while tuning.k == 2:
            tuning.step(one_step(2), 0)
        tuning.due(0)
        assert tuning.changed(tuning.k) == []
    other.changed(9)
    assert other.ended is not None
    assert other.ended.fault == "K was set to 9 meanwhile, and so it stays"
    silent.changed(2)
    assert silent.ended is not None
    assert silent.ended.fault.startswith("the server took its K back")
    gone.lost("the server is gone")
    assert gone.ended is not None
    assert gone.ended.fault == "the server is gone; a server that is still there goes back to K = 2 by itself"
    assert [tuning.due(99 * S) for tuning in (other, silent, gone)] == [None, None, None]
    assert (other.k, silent.k, gone.k) == (9, 2, 2)


class _Lender:
    """The server's side of a lent K: the former one returns when the loan ends."""

    def __init__(self, k: int) -> None:
        self.k = self.former = k
        self.until: int | None = None

    def set(self, k: int, lease_s: float | None, now_ns: int) -> None:
        self.k = k
        if lease_s is None:
            self.former, self.until = k, None
        else:
            self.until = now_ns + int(lease_s * S)

    def at(self, now_ns: int) -> None:
        if self.until is not None and now_ns >= self.until:
            self.k, self.until = self.former, None


_ACTS = st.lists(
    st.sampled_from(["steps", "steps", "steps", "slow", "idle", "blip", "stop", "refused", "gone", "killed"]),
    max_size=40,
)


@given(_ACTS, st.integers(0, 3), st.booleans(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_however_it_ends_without_a_result_the_server_has_its_former_k(
    acts: list[str], before: int, guarded: bool, seed: int
) -> None:
    """Some time after the end, whether the viewer lives or not, connected or not."""
    rules = TuneRules(guard_ms=40 if guarded else None)
    tuning = Tuning("e1", k=before, k_max=3, now_ns=0, rules=rules, seed=seed)
    server, now_ns, connected = _Lender(before), 0, True
    dice = random.Random(seed)

    def exchange() -> None:
        if connected and (ask := tuning.due(now_ns)) is not None:
            server.set(*ask, now_ns)
            tuning.changed(ask[0])

    tuning.begin()
    exchange()
    for act in acts:
        if tuning.ended is not None:
            break
        match act:
            case "steps" | "slow":
                for _ in range(dice.randint(1, 40)):
                    now_ns += 20_000_000
                    server.at(now_ns)
                    tuning.step(one_step(server.k, ms=200 if act == "slow" else dice.uniform(15, 25)), now_ns)
                    tuning.tick(now_ns)
                    exchange()
            case "idle":
                now_ns += int(WAIT_S * S) + S
                server.at(now_ns)
                tuning.tick(now_ns)
                exchange()
            case "stop":
                tuning.stop()
            case "refused":
                tuning.refused("the server was told not to follow")
            case "blip" | "gone":
                connected = False
                tuning.lost("the server is gone")
            case "killed":
                break
    if connected and tuning.ended is not None:
        exchange()
    now_ns += int(LEASE_S * S) + 1
    server.at(now_ns)
    if tuning.ended is None or tuning.ended.fault:
        assert server.k == before
    else:
        assert server.k == tuning.ended.last.best
    assert server.until is None


def test_the_command_names_the_drafter_as_the_server_said_it() -> None:
    plain = about(tensor_parallel=2)
    assert serving(plain, 0) == "vllm serve /models/made-up --tensor-parallel-size 2"
    assert '{"method": "mtp", "num_speculative_tokens": 3}' in serving(plain, 3)
    drafter = about(speculative='{"method": "eagle3", "model": "org/drafter"}')
    assert '"model": "org/drafter", "num_speculative_tokens": 2' in serving(drafter, 2)
    for nonsense in ("[1]", "{", "[" * 100_000, "null"):
        assert '"method": "mtp"' in serving(about(speculative=nonsense), 1)
