"""Lanes that write by diffusion, and the tap for them. Written for vLLM 0.32.

A diffusion model denoises a whole canvas of positions in each step, and commits them once they hold still
(``vllm/model_executor/models/diffusion_gemma.py``). vLLM passes the canvas to the scheduler as if it were drafted, but
nothing is drafted or verified: a step commits the whole canvas, or mostly nothing.
"""

from __future__ import annotations

from collections.abc import Sequence


def diffusion_tap() -> type:
    """Return the scheduler that taps a diffusion model. It imports vLLM."""
    from vllm.v1.core.sched.diffusion_scheduler import DiffusionScheduler

    from spectui.sources.vllm.tap import TapScheduler, Verified

    class DiffusionTap(TapScheduler, DiffusionScheduler):
        """vLLM's scheduler for diffusion models, which also remembers the last denoising step."""

        untapped: type = DiffusionScheduler

        def _remember(self, request_id: str, drafts: Sequence[int], ids: tuple[int, ...]) -> None:
            # Reading the prompt is a step without a canvas, and commits nothing.
            if drafts:
                self._verified.append(Verified(request_id, 0, (), ids, canvas=len(drafts)))

    return DiffusionTap
