"""Compares `bench --protocol fixed` with the few lines that anybody would write around ``vllm.LLM.generate``.

``python -m tests.load.independent_bench`` lets both generate from the same prompts, in turn and in one process, so that
memory, cores and threads are the same for both, for each of the demo's lanes at one and at four requests in flight. It
prints the median ratio of their throughputs with its quartiles, and whether drafts, drafted and accepted tokens equal
vLLM's own counters. Many short measurements in turn do more against a noisy machine than a few long ones.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

from spectui.bench.matrix.asking import prompt_sets_of
from spectui.core.bench.matrix import Variant
from spectui.core.bench.records import PieceRecord
from spectui.protocol.events import Sampling
from spectui.runtime.quiet import say
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu
from spectui.setup import prompt_sets
from spectui.setup.config import host_config
from spectui.setup.options import add_engine_options
from spectui.setup.session import engine_session
from spectui.sources.vllm.bench_piece import BenchPiece
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import LaneSpec

COUNTERS = ("num_drafts", "num_draft_tokens", "num_accepted_tokens")


@dataclass(frozen=True)
class Plain:
    """What the script measured: tokens per second, completion tokens, and vLLM's counters of the time."""

    rate: float
    tokens: int
    counts: tuple[int, ...]


class Script:
    """The script. It gets the lane's engine arguments, and schedules as lanes do: one step after the other."""

    def __init__(self, config: HostConfig, spec: LaneSpec, target: str, tokens: int) -> None:
        from vllm import LLM, SamplingParams

        engine: dict[str, Any] = {
            "async_scheduling": False,
            **config.engine_args,
            **spec.target_arguments(),
            "disable_log_stats": False,
            **({"speculative_config": spec.drafting(target)} if spec.k_max else {}),
        }
        self._llm = LLM(model=target, **engine)
        self._params = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True)

    def _counts(self) -> tuple[int, ...]:
        values = {metric.name: metric.value for metric in self._llm.get_metrics() if hasattr(metric, "value")}
        return tuple(int(values.get(f"vllm:spec_decode_{name}", 0)) for name in COUNTERS)

    def measure(self, prompts: list[list[int]]) -> Plain:
        """Generate once."""
        before = self._counts()
        asked = [{"prompt_token_ids": ids} for ids in prompts]
        start = time.perf_counter()
        outputs = self._llm.generate(asked, self._params, use_tqdm=False)
        seconds = time.perf_counter() - start
        tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
        counts = tuple(now - then for now, then in zip(self._counts(), before, strict=True))
        return Plain(tokens / seconds, tokens, counts)

    def close(self) -> None:
        """Free the engine."""
        self._llm.llm_engine.engine_core.shutdown()


def bench_once(lane: Lane, variant: Variant, prompts: list[list[int]], tokens: int) -> PieceRecord:
    """One repetition, as `bench` measures it."""
    sampling = Sampling(max_tokens=tokens, ignore_eos=True, seed=0)
    piece = BenchPiece(lane, variant, list(enumerate(prompts)), concurrency=len(prompts), sampling=sampling)
    return piece.run()


def compare(lane: Lane, script: Script, prompts: list[list[int]], *, tokens: int, turns: int) -> str:
    """Measure in turn, and say how the two compare."""
    variant = Variant(lane.info.name, lane.info.method, lane.info.title, lane.k)
    script.measure(prompts)
    bench_once(lane, variant, prompts, tokens)
    ratios, equal = [], True
    for turn in range(turns):
        if turn % 2:
            plain, ours = script.measure(prompts), bench_once(lane, variant, prompts, tokens)
        else:
            ours, plain = bench_once(lane, variant, prompts, tokens), script.measure(prompts)
        ratios.append(ours.rate / plain.rate)
        own = tuple(sum(getattr(one, name) for one in ours.requests) for name in ("drafts", "drafted", "accepted"))
        equal &= plain.counts == own and plain.tokens == ours.tokens and not ours.disagreements
    low, median, high = statistics.quantiles(ratios, n=4)
    verdict = "equal" if equal else f"NOT EQUAL to {plain.counts}"
    return (
        f"{variant.name}, {len(prompts)} in flight: bench / script {median:.3f} (quartiles {low:.3f} and {high:.3f}); "
        f"{ours.rate:.1f} tok/s; drafts, drafted, accepted {own}: {verdict}"
    )


def main() -> None:
    """Compare every lane at one and at four requests in flight."""
    gpu = has_nvidia_gpu()
    apply_or_reexec(gpu=gpu)
    parser = argparse.ArgumentParser()
    add_engine_options(parser)
    parser.add_argument("--tokens", type=int, default=48, help="completion tokens of a request")
    parser.add_argument("--turns", type=int, default=40, help="measurements of each")
    options = parser.parse_args()
    config = replace(host_config(options, gpu=gpu), prompts=prompt_sets.benchmark_set("coding"))
    with engine_session(config) as session:
        lanes = session.lanes()
        sets, _ = prompt_sets_of(lanes, config.prompts, (None,), config.chat, options.tokens, None)
        ids = [list(asked.ids) for asked in sets["coding", None]]
        for lane, spec in zip(lanes, config.specs, strict=True):
            with session.driving():
                script = Script(config, replace(spec, k_max=lane.k, k_start=None), session.target, options.tokens)
                for requests in (1, 4):
                    say(compare(lane, script, ids[:requests], tokens=options.tokens, turns=options.turns))
                script.close()


if __name__ == "__main__":
    main()
