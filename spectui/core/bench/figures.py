"""The figures of a cell, or of several cells together, from what was measured.

Where vLLM's benchmark (``vllm/benchmarks/serve.py``) or AIPerf has a name for a metric, it is that name. None means
unknown or not applicable, never 0, and `CellFigures.unknown` says why.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from spectui.core.acceptance import Acceptance, AcceptanceCounter
from spectui.core.bench.intervals import ratio_interval
from spectui.core.bench.matrix import Variant
from spectui.core.bench.records import PieceRecord, RequestRecord
from spectui.core.rates import per_second


@dataclass(frozen=True, slots=True)
class Repetition:
    """The figures of one repetition, from which the noise of those of the cell is known; they mean what they do in
    `CellFigures`."""

    output_throughput: float | None
    draft_acceptance_rate: float | None
    spec_decode_acceptance_length: float | None
    step_ms: float | None
    draft_ms: float | None
    verify_ms: float | None
    rest_ms: float | None


@dataclass(frozen=True, slots=True)
class CellFigures:
    """What the repetitions of a cell gave, or those of several cells.

    Attributes:
        repetitions: Repetitions that count.
        disturbed: How many of them other programs held up.
        completed: Requests.
        total_input_tokens: Tokens of the prompts.
        total_output_tokens: Completion tokens.
        duration: Wall time of the repetitions, in seconds.
        lane_s: The part of it in which the engine took steps: the lane clock.
        output_throughput: Completion tokens per second of wall time, over all repetitions: the headline.
        output_throughput_median: The median of the repetitions.
        output_throughput_low: The slowest repetition.
        output_throughput_high: The fastest repetition.
        request_throughput: Requests per second.
        output_token_throughput_per_user: AIPerf's: for each request, the tokens after the first divided by the time
            they took; the mean over requests.
        mean_ttft_ms: Mean time to the first token of a request, in milliseconds.
        median_ttft_ms: Its median.
        mean_tpot_ms: Mean over requests of the time from the first token to the last, divided by the number of tokens
            after the first, in milliseconds.
        naive_throughput: The throughput that counting stream chunks as tokens would give.
        naive_speedup: The same for the speed-up.
        engine_steps: Steps of the engine.
        step_ms: Mean time of an engine step.
        draft_ms: The part of it in the drafter.
        verify_ms: The part of it in the target's forward pass.
        rest_ms: What is left: sampling, scheduling, the tap.
        spec_decode_num_drafts: Steps of a request that had a draft.
        spec_decode_draft_tokens: Tokens drafted.
        spec_decode_accepted_tokens: Drafted tokens that the target kept.
        draft_acceptance_rate: Accepted / drafted.
        spec_decode_acceptance_length: 1 + accepted / drafts, over all steps.
        acceptance_length_request_mean: The mean over requests of 1 + accepted / drafts: how SPEED-Bench counts it.
        spec_decode_per_position_acceptance_rates: Share of the steps that drafted at least i tokens whose first i were
            all accepted (unconditional).
        conditional_acceptance_rates: Share of the steps with i - 1 accepted drafts and an i-th one in which that was
            accepted too.
        accepted_histogram: Steps that accepted exactly 0, 1, 2, ... tokens.
        speedup: The geometric mean over repetitions of the throughput divided by AR's on the same prompts.
        speedup_median: The median of these ratios.
        speedup_low: The least of them.
        speedup_high: The greatest of them.
        speedup_ci_low: The lower end of the 95 % interval of ``speedup``.
        speedup_ci_high: The upper end of it.
        energy_per_token_j: Joules of the GPU per completion token.
        estimated_mbu: Est.: the fewest bytes that the steps must have read, divided by the lane clock and the peak
            memory bandwidth.
        disagreements: Sentences about requests whose counts differ from vLLM's.
        unknown: Why a figure is None, by its name.
        by_repetition: Figures of every repetition, in the order of the turns.
    """

    repetitions: int
    disturbed: int
    completed: int
    total_input_tokens: int
    total_output_tokens: int
    duration: float
    lane_s: float
    output_throughput: float | None
    output_throughput_median: float | None
    output_throughput_low: float | None
    output_throughput_high: float | None
    request_throughput: float | None
    output_token_throughput_per_user: float | None
    mean_ttft_ms: float | None
    median_ttft_ms: float | None
    mean_tpot_ms: float | None
    naive_throughput: float | None
    naive_speedup: float | None
    engine_steps: int
    step_ms: float | None
    draft_ms: float | None
    verify_ms: float | None
    rest_ms: float | None
    spec_decode_num_drafts: int
    spec_decode_draft_tokens: int
    spec_decode_accepted_tokens: int
    draft_acceptance_rate: float | None
    spec_decode_acceptance_length: float | None
    acceptance_length_request_mean: float | None
    spec_decode_per_position_acceptance_rates: tuple[float | None, ...]
    conditional_acceptance_rates: tuple[float | None, ...]
    accepted_histogram: tuple[int, ...]
    speedup: float | None
    speedup_median: float | None
    speedup_low: float | None
    speedup_high: float | None
    speedup_ci_low: float | None
    speedup_ci_high: float | None
    energy_per_token_j: float | None
    estimated_mbu: float | None
    disagreements: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    by_repetition: tuple[Repetition, ...] = ()


def cell_figures(
    variant: Variant,
    pieces: Sequence[PieceRecord],
    plain: Sequence[PieceRecord],
    *,
    peak: float | None = None,
    gpu: bool = False,
) -> CellFigures:
    """Compute the figures of a variant.

    Args:
        variant: The lane at its K.
        pieces: Its repetitions, of one cell or of several.
        plain: AR's pieces of the same turns, in the same order; empty without AR.
        peak: The peak memory bandwidth in bytes per second; None if it is not known.
        gpu: Whether the lanes run on a GPU, which decides why there is no energy.

    Raises:
        ValueError: There are not as many pieces of AR.
    """
    wall_ns, clock_ns = sum(p.wall_ns for p in pieces), sum(p.clock_ns for p in pieces)
    steps, tokens = sum(p.engine_steps for p in pieces), sum(p.tokens for p in pieces)
    requests = [request for piece in pieces for request in piece.requests]
    rates = [piece.rate for piece in pieces if piece.wall_ns]
    ratios = [p.rate / ar.rate for p, ar in zip(pieces, plain, strict=True) if ar.tokens and p.tokens] if plain else []
    interval = ratio_interval(ratios)
    chunks, plain_chunks = _chunks(pieces), _chunks(plain)
    naive, plain_naive = per_second(chunks, wall_ns), per_second(plain_chunks, sum(p.wall_ns for p in plain))
    acceptance = acceptance_of(pieces)
    step_ms, draft_ms, verify_ms, rest_ms = _step_parts(pieces)
    ttft = [request.first_ns / 1e6 for request in requests if request.first_ns is not None]
    each = [ms for request in requests if (ms := _tpot_ms(request)) is not None]
    read = _sum_of([p.read_bytes for p in pieces])
    energy = _sum_of([p.energy_j for p in pieces])
    figures = CellFigures(
        repetitions=len(pieces),
        disturbed=sum(piece.disturbed for piece in pieces),
        completed=len(requests),
        total_input_tokens=sum(request.prompt_tokens for request in requests),
        total_output_tokens=tokens,
        duration=wall_ns / 1e9,
        lane_s=clock_ns / 1e9,
        output_throughput=per_second(tokens, wall_ns),
        output_throughput_median=statistics.median(rates) if rates else None,
        output_throughput_low=min(rates, default=None),
        output_throughput_high=max(rates, default=None),
        request_throughput=per_second(len(requests), wall_ns),
        output_token_throughput_per_user=statistics.fmean(1e3 / ms for ms in each) if each else None,
        mean_ttft_ms=statistics.fmean(ttft) if ttft else None,
        median_ttft_ms=statistics.median(ttft) if ttft else None,
        mean_tpot_ms=statistics.fmean(each) if each else None,
        naive_throughput=naive,
        naive_speedup=naive / plain_naive if naive and plain_naive else None,
        engine_steps=steps,
        step_ms=step_ms,
        draft_ms=draft_ms,
        verify_ms=verify_ms,
        rest_ms=rest_ms,
        spec_decode_num_drafts=acceptance.steps,
        spec_decode_draft_tokens=acceptance.drafted,
        spec_decode_accepted_tokens=acceptance.accepted,
        draft_acceptance_rate=acceptance.rate,
        spec_decode_acceptance_length=acceptance.length,
        acceptance_length_request_mean=_request_mean(requests),
        spec_decode_per_position_acceptance_rates=acceptance.by_position,
        conditional_acceptance_rates=acceptance.conditional,
        accepted_histogram=acceptance.histogram,
        speedup=interval.mean,
        speedup_median=statistics.median(ratios) if ratios else None,
        speedup_low=min(ratios, default=None),
        speedup_high=max(ratios, default=None),
        speedup_ci_low=interval.low,
        speedup_ci_high=interval.high,
        energy_per_token_j=energy / tokens if energy is not None and tokens else None,
        estimated_mbu=read / (clock_ns / 1e9) / peak if read is not None and peak and clock_ns else None,
        disagreements=tuple(sentence for piece in pieces for sentence in piece.disagreements),
        by_repetition=tuple(map(_repetition, pieces)),
    )
    return _with_reasons(figures, variant, compared=bool(plain), peak=peak, gpu=gpu)


def acceptance_of(pieces: Sequence[PieceRecord]) -> Acceptance:
    """The acceptance over all steps of the pieces."""
    counts: Counter[tuple[int, int]] = Counter()
    for piece in pieces:
        for drafted, accepted, steps in piece.pairs:
            counts[drafted, accepted] += steps
    counter = AcceptanceCounter()
    for (drafted, accepted), steps in counts.items():
        counter.add_many(drafted, accepted, steps)
    return counter.read()


def _chunks(pieces: Sequence[PieceRecord]) -> int:
    return sum(request.chunks for piece in pieces for request in piece.requests)


def _sum_of(figures: Sequence[float | None]) -> float | None:
    """The sum, None if one of them is unknown or there are none."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known and len(known) == len(figures) else None


def _repetition(piece: PieceRecord) -> Repetition:
    acceptance = acceptance_of([piece])
    return Repetition(
        per_second(piece.tokens, piece.wall_ns), acceptance.rate, acceptance.length, *_step_parts([piece])
    )


def _step_parts(pieces: Sequence[PieceRecord]) -> tuple[float | None, float | None, float | None, float | None]:
    """Mean time of a step in milliseconds: all of it, in the drafter, in the target, and the rest."""
    steps = sum(piece.engine_steps for piece in pieces)
    if not steps:
        return None, None, None, None
    step = sum(piece.clock_ns for piece in pieces) / steps / 1e6
    draft, verify = (
        None if total is None else total / steps / 1e6
        for total in (_sum_of([p.draft_ns for p in pieces]), _sum_of([p.verify_ns for p in pieces]))
    )
    return step, draft, verify, None if verify is None else max(0.0, step - verify - (draft or 0.0))


def _tpot_ms(request: RequestRecord) -> float | None:
    """Time per token after the first one; None for an answer that came in a single step."""
    if request.first_ns is None or request.tokens < 2 or request.wall_ns <= request.first_ns:
        return None
    return (request.wall_ns - request.first_ns) / (request.tokens - 1) / 1e6


def _request_mean(requests: Sequence[RequestRecord]) -> float | None:
    lengths = [1 + request.accepted / request.drafts for request in requests if request.drafts]
    return statistics.fmean(lengths) if lengths else None


_DRAFTING = (
    "draft_ms",
    "draft_acceptance_rate",
    "spec_decode_acceptance_length",
    "acceptance_length_request_mean",
)
_SPEEDUPS = ("speedup", "speedup_median", "speedup_low", "speedup_high", "naive_speedup")


def _with_reasons(
    figures: CellFigures, variant: Variant, *, compared: bool, peak: float | None, gpu: bool
) -> CellFigures:
    """Say of every figure that is None why it is."""
    no_tokens = "nothing was generated"
    reasons = dict.fromkeys(_SPEEDUPS, no_tokens if compared else "there is no AR lane to compare with")
    reasons |= dict.fromkeys(("speedup_ci_low", "speedup_ci_high"), "an interval needs two repetitions with AR")
    reasons |= dict.fromkeys(_DRAFTING, "the lane drafts nothing" if not variant.k else "nothing was drafted")
    reasons |= dict.fromkeys(("verify_ms", "rest_ms"), "the engine's parts were not timed")
    if variant.k and figures.spec_decode_num_drafts:
        reasons["draft_ms"] = reasons["verify_ms"]
    reasons["mean_tpot_ms"] = reasons["output_token_throughput_per_user"] = "no answer took a second step"
    reasons["energy_per_token_j"] = (
        "NVML has no energy of this GPU" if gpu else "no GPU: energy is read from NVIDIA's driver"
    )
    reasons["estimated_mbu"] = (
        "the peak memory bandwidth is not known" if peak is None else "it is not known what a step reads"
    )
    missing = [one.name for one in fields(figures) if getattr(figures, one.name) is None]
    return replace(figures, unknown={name: reasons.get(name, no_tokens) for name in missing})
