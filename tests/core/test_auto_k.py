"""The automatic K on made-up lanes whose best K is known."""

from __future__ import annotations

import random
import statistics
from collections import Counter

import pytest

from spectui.core.auto_k import PATIENCE, TRIAL, AutoK
from tests.load.auto_k_bench import COSTS, ratio

SETTLED = 600
"""Steps after which the policy has found its K."""


def costs(k: int) -> float:
    return 1e7 * (1.2 + 0.1 * k if k else 1.05)


def run(policy: AutoK, acceptance: float, steps: int, *, seed: int = 0, batch: int = 1) -> Counter[int]:
    """Let a lane take steps whose drafts are accepted token by token with one chance; returns how often each K was."""
    dice = random.Random(seed)
    taken: Counter[int] = Counter()
    k = policy.k
    for _ in range(steps):
        drafts = policy.k
        for _ in range(batch):
            accepted = 0
            while accepted < k and dice.random() < acceptance:
                accepted += 1
            policy.observe(k, accepted)
        policy.decide((costs(k) + costs(drafts)) / 2 * dice.gauss(1, 0.03), batch)
        taken[k] += 1
        k = drafts
    return taken


@pytest.mark.parametrize("name", ["mixed, long", "mixed, short", "medium", "hopeless"])
def test_it_is_never_more_than_3_per_cent_below_the_best_fixed_k(name: str) -> None:
    found = [ratio(name, lane, seed)[0] for lane in COSTS.values() for seed in (0, 1)]
    assert min(found) >= 0.97
    assert statistics.fmean(found) >= 0.99


def test_it_beats_every_fixed_k_where_acceptance_changes_strongly() -> None:
    found = [ratio("easy, hopeless", lane, seed)[0] for lane in COSTS.values() for seed in (0, 1)]
    assert min(found) >= 0.98
    assert statistics.fmean(found) >= 1.05


def test_it_goes_to_the_largest_k_and_to_none_and_comes_back() -> None:
    policy = AutoK(7, 2)
    run(policy, 0.97, SETTLED)
    assert run(policy, 0.97, 100)[7] > 70
    run(policy, 0.02, SETTLED)
    assert run(policy, 0.02, 100)[0] > 70
    run(policy, 0.97, SETTLED)
    assert run(policy, 0.97, 100)[7] > 70


def test_trials_of_other_k_are_rare() -> None:
    policy = AutoK(7)
    run(policy, 0.97, SETTLED)
    taken = run(policy, 0.97, 4000)
    assert sum(taken.values()) - taken[7] < 0.06 * 4000
    policy = AutoK(7)
    run(policy, 0.0, SETTLED)
    taken = run(policy, 0.0, 4000)
    # A step at K = 1 takes a quarter longer here: so few of them cost less than 0.5 %.
    assert sum(taken.values()) - taken[0] < 0.03 * 4000


def test_several_requests_have_one_k_and_their_own_step_times() -> None:
    policy = AutoK(7, 3)
    run(policy, 0.9, SETTLED, batch=4)
    assert run(policy, 0.9, 100, batch=4)[7] > 60
    # With eight in flight a draft costs so much that none pays.
    dice = random.Random(1)
    k, taken = policy.k, Counter[int]()
    for _ in range(SETTLED):
        drafts = policy.k
        for _ in range(8):
            policy.observe(k, sum(1 for _ in range(k) if dice.random() < 0.5))
        policy.decide(1e7 * (1 + 2.0 * (k + drafts) / 2) * dice.gauss(1, 0.03), 8)
        taken[k] += 1
        k = drafts
    assert taken[0] > 0.7 * SETTLED
    # What was learnt with four in flight is still known.
    assert run(policy, 0.9, 200, batch=4)[7] > 100


def test_a_few_disturbed_steps_and_steps_without_a_time_change_nothing() -> None:
    policies = [AutoK(4, 2), AutoK(4, 2)]
    for policy in policies:
        run(policy, 0.6, SETTLED)
    assert policies[0].k == policies[1].k
    for step in range(PATIENCE - 1):
        k = policies[0].k
        for policy in policies:
            policy.observe(k, 1)
        policies[0].decide(None)
        policies[1].decide(9 * costs(k), disturbed=step % 2 == 0)
        assert policies[0].k == policies[1].k


def test_where_every_step_is_disturbed_they_are_what_there_is() -> None:
    policy = AutoK(4, 4)
    k = policy.k
    for _ in range(SETTLED):
        drafts = policy.k
        policy.observe(k, 0)
        policy.decide((costs(k) + costs(drafts)) / 2, disturbed=True)
        k = drafts
    assert policy.k == 0 or policy._left


def test_it_begins_where_it_is_told_and_takes_a_few_steps_at_several_k() -> None:
    policy = AutoK(7, 3)
    assert policy.k == 3
    taken = run(policy, 0.5, 6 * TRIAL)
    assert {0, 1, 3, 4, 7} <= taken.keys()


def test_it_repeats_itself() -> None:
    assert run(AutoK(7), 0.7, 2000) == run(AutoK(7), 0.7, 2000)


def test_a_single_k_besides_none_is_a_choice_too() -> None:
    policy = AutoK(1)
    run(policy, 0.9, SETTLED)
    assert run(policy, 0.9, 100)[1] > 80
    run(policy, 0.01, SETTLED)
    assert run(policy, 0.01, 100)[0] > 80
