"""Compares `bench --protocol fixed` with a script that calls ``vllm.LLM.generate`` (`tests.load.plain_generate`).

``python -m tests.load.independent_bench`` lets both generate from the same prompts, in turn, for each of the demo's
lanes at one and at four requests in flight, and prints the ratio of their throughput, and whether steps, drafted and
accepted tokens are equal to those of vLLM's own counters.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import replace
from typing import Any

from spectui.bench.matrix.asking import prompt_sets_of
from spectui.core.bench.matrix import Variant
from spectui.core.bench.records import PieceRecord
from spectui.protocol.events import Sampling
from spectui.runtime.quiet import say
from spectui.runtime.threads import apply_or_reexec
from spectui.setup import prompt_sets
from spectui.setup.config import host_config
from spectui.setup.options import add_engine_options
from spectui.setup.session import EngineSession, engine_session
from spectui.sources.vllm.bench_piece import BenchPiece
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import LaneSpec

TOKENS, TURNS = 128, 7
COUNTERS = ("num_drafts", "num_draft_tokens", "num_accepted_tokens")


class Script:
    """The script in a process of its own."""

    def __init__(self, config: HostConfig, spec: LaneSpec, target: str, prompts: list[list[int]]) -> None:
        engine = {
            "model": target,
            **{key: value for key, value in config.engine_args.items() if key != "disable_log_stats"},
            **spec.target_arguments(),
            "max_num_seqs": len(prompts),
            "disable_log_stats": False,
            **({"speculative_config": spec.drafting(target)} if spec.k_max else {}),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.load.plain_generate"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0"},
        )
        self._say(json.dumps({"engine": engine, "tokens": TOKENS, "prompts": prompts}))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def measure(self) -> dict[str, Any]:
        """One measurement."""
        self._say("")
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("measured "):
                measured: dict[str, Any] = json.loads(line.partition(" ")[2])
                return measured
        raise SystemExit("the script died")

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def bench_once(lane: Lane, variant: Variant, prompts: list[list[int]]) -> PieceRecord:
    """One repetition, as `bench` measures it."""
    sampling = Sampling(max_tokens=TOKENS, ignore_eos=True, seed=0)
    piece = BenchPiece(lane, variant, list(enumerate(prompts)), concurrency=len(prompts), sampling=sampling)
    return piece.run()


def compare(config: HostConfig, session: EngineSession, lane: Lane, spec: LaneSpec, prompts: list[list[int]]) -> str:
    """Measure in turn, and say how the two compare."""
    variant = Variant(lane.info.name, lane.info.method, lane.info.title, lane.k)
    script = Script(config, replace(spec, k_max=lane.k, k_start=None), session.target, prompts)
    script.measure()
    bench_once(lane, variant, prompts)
    ratios, equal = [], True
    for turn in range(TURNS):
        if turn % 2:
            plain, ours = script.measure(), bench_once(lane, variant, prompts)
        else:
            ours, plain = bench_once(lane, variant, prompts), script.measure()
        ratios.append(ours.rate / (plain["tokens"] / plain["seconds"]))
        counts = tuple(int(plain["counts"].get(f"vllm:spec_decode_{name}", 0)) for name in COUNTERS)
        own = tuple(sum(getattr(one, name) for one in ours.requests) for name in ("drafts", "drafted", "accepted"))
        equal &= counts == own and plain["tokens"] == ours.tokens and not ours.disagreements
    script.close()
    return (
        f"{variant.name}, {len(prompts)} in flight: bench / script {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}); {ours.rate:.1f} tok/s; "
        f"drafts, drafted, accepted {own}: {'equal' if equal else f'NOT EQUAL to {counts}'}"
    )


def main() -> None:
    """Compare every lane at both concurrencies."""
    apply_or_reexec(gpu=False)
    parser = argparse.ArgumentParser()
    add_engine_options(parser)
    options = parser.parse_args(["--concurrency", "4"])
    config = replace(host_config(options, gpu=False), prompts=prompt_sets.benchmark_set("coding"))
    with engine_session(config) as session:
        lanes = session.lanes()
        sets, _ = prompt_sets_of(lanes, config.prompts, (None,), config.chat, TOKENS, None)
        ids = [list(asked.ids) for asked in sets["coding", None]]
        for requests in (1, 4):
            for lane, spec in zip(lanes, config.specs, strict=True):
                with session.driving():
                    say(compare(config, session, lane, spec, ids[:requests]))


if __name__ == "__main__":
    main()
