"""How long a benchmark will take, and what to leave out of it so that it keeps to a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from spectui.core.bench.matrix import Block, Matrix, Variant, with_fewer
from spectui.core.bench.smoke import SmokePace

Seconds = Callable[[Block, Variant], float]
"""How long one repetition of a cell takes."""


def piece_seconds(matrix: Matrix, paces: Mapping[str, SmokePace], prompt_tokens: float) -> Seconds:
    """Est.: how long a repetition of a cell takes, from the paces of the lanes.

    ::

        rounds x (tokens / tokens per step) x step(requests in flight) + requests x prompt tokens x prefill

    where rounds = requests / requests in flight, rounded up. Answers that end by themselves are taken to be as long as
    those of the smoke test, or half of the longest that is allowed if those had not ended.

    Args:
        matrix: What will be measured.
        paces: The pace of every lane, by its name.
        prompt_tokens: Mean length of a prompt that is not padded.
    """
    most = matrix.sampling.max_tokens

    def seconds(block: Block, variant: Variant) -> float:
        pace = paces[variant.lane]
        tokens = float(most)
        if matrix.protocol == "natural":
            tokens = min(tokens, pace.answer_tokens or most / 2)
        requests = matrix.requests_of(block)
        rounds = math.ceil(requests / block.concurrency)
        reading = requests * (block.context or prompt_tokens) * pace.prefill_s
        return rounds * tokens / pace.tokens_per_step * pace.step_s(block.concurrency) + reading

    return seconds


def total_seconds(matrix: Matrix, seconds: Seconds) -> float:
    """Est.: how long the whole matrix takes."""
    return matrix.repetitions * sum(seconds(block, one) for block in matrix.blocks for one in matrix.variants)


def greedy_seconds(
    paces: Mapping[str, SmokePace], plain: str, prompts: Sequence[int], tokens: int, concurrency: int
) -> float:
    """Est.: how long the check of greedy answers takes: every lane answers every prompt, and AR twice.

    Args:
        paces: The paces of the lanes that are compared, by name.
        plain: The name of AR's.
        prompts: The length of every prompt.
        tokens: The longest answer.
        concurrency: Requests in flight.
    """
    rounds = math.ceil(len(prompts) / concurrency)
    return sum(
        rounds * min(tokens, pace.answer_tokens or tokens) / pace.tokens_per_step * pace.step_s(concurrency)
        + sum(prompts) * pace.prefill_s
        for pace in (*paces.values(), paces[plain])
    )


def sampling_seconds(
    paces: Mapping[str, SmokePace],
    plain: str,
    prompt_tokens: float,
    samples: int,
    tokens: int,
    questions: int,
    concurrency: int,
) -> float:
    """Est.: how long the test of samples takes: every lane answers, and AR is asked about what it said.

    Args:
        paces: The paces of the lanes that are compared, by name.
        plain: The name of AR's.
        prompt_tokens: Mean length of the prompts.
        samples: Answers of each lane.
        tokens: Tokens of an answer.
        questions: The most that AR is asked about each lane.
        concurrency: Requests in flight.
    """
    rounds = math.ceil(samples / concurrency)
    asking = questions * prompt_tokens * paces[plain].prefill_s
    return sum(
        rounds * tokens / pace.tokens_per_step * pace.step_s(concurrency)
        + samples * prompt_tokens * pace.prefill_s
        + asking
        for pace in paces.values()
    )


def within_budget(matrix: Matrix, seconds: Seconds, budget_s: float) -> Matrix:
    """Thin a matrix until it takes no longer than ``budget_s``, or nothing more can be left out.

    Categories and K are thinned in proportion, each spread evenly from the first to the last; every concurrency and
    context stays, so that the table keeps its shape. At least one category and one K of each lane stay.
    """
    categories = all_categories = len({block.category for block in matrix.blocks})
    ks = all_ks = max((len([v for v in matrix.variants if v.lane == one.lane]) for one in matrix.variants), default=1)
    thinned = matrix
    while total_seconds(thinned, seconds) > budget_s and (categories > 1 or ks > 1):
        if ks > 1 and (categories == 1 or ks / all_ks > categories / all_categories):
            ks -= 1
        else:
            categories -= 1
        thinned = with_fewer(matrix, categories, ks)
    return thinned


def left_out(matrix: Matrix, thinned: Matrix) -> tuple[str, ...]:
    """Say what thinning left out: a sentence about categories, one about K; none if nothing."""
    kept = {block.category for block in thinned.blocks}
    gone = [name for name in dict.fromkeys(block.category for block in matrix.blocks) if name not in kept]
    ks = [variant.name for variant in matrix.variants if variant not in thinned.variants]
    sentences = []
    if gone:
        named = "category" if len(gone) == 1 else "categories"
        sentences.append(f"left out to keep to the budget: the {named} {', '.join(gone)}")
    if ks:
        sentences.append(f"left out to keep to the budget: {', '.join(ks)}")
    return tuple(sentences)
