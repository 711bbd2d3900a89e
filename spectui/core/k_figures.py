"""The figures of every K of a lane: what was measured, and what the cost model estimates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spectui.core.cost import CostModel, Estimate
from spectui.core.k_sums import KSums
from spectui.protocol.events import KFigure

_NOTHING = KSums()


def k_figures(ks: Iterable[int], sums: Mapping[int, KSums], requests: int) -> tuple[KFigure, ...]:
    """Figures of every K in ``ks``.

    Throughput covers the steps that were seen, without an interval or a ratio: a caller that compares K on the same
    prompts fills these in.

    Args:
        ks: The K to give figures of, measured or not.
        sums: What was measured, by K.
        requests: Requests in flight, by which the estimate for one is multiplied.
    """
    measured = {k: one for k, one in sums.items() if one.steps}
    model = CostModel([one.observed(k) for k, one in measured.items()]) if measured else None
    drafts = [one.drafts(k) for k, one in measured.items()]
    nothing = Estimate(None)
    return tuple(
        _figure(k, measured.get(k, _NOTHING), model.estimate(k, drafts) if model else nothing, requests) for k in ks
    )


def _figure(k: int, sums: KSums, estimate: Estimate, requests: int) -> KFigure:
    time = sums.time if sums.steps else None
    acceptance = sums.acceptance.read()
    return KFigure(
        k=k,
        running=True,
        tok_s=sums.tok_s if sums.steps else None,
        low=None,
        high=None,
        speed_up=None,
        length=acceptance.length,
        by_position=acceptance.by_position,
        draft_s=time.draft if time and sums.timed else None,
        verify_s=time.verify if time and sums.timed else None,
        step_s=time.total if time else None,
        estimate_tok_s=None if estimate.tok_s is None else estimate.tok_s * requests,
        no_estimate=estimate.why,
        accepted_at=estimate.accepted_at,
        drafting=sums.drafting if k else None,
    )
