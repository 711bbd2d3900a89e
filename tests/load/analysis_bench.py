"""A long trace: how fast it is read and analysed on one core, and what that takes in memory.

The trace is a made-up race of three lanes whose steps follow the demo's proportions, with ids that change from step to
step. It is read and analysed in a process of its own, so that its memory can be told.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from spectui import __version__
from spectui.bench.analysis.reading import read_traces
from spectui.core.analysis.analyse import analyse
from spectui.core.analysis.columns import Columns
from spectui.protocol import events as ev
from spectui.trace.codec import Header, encode, encode_header
from tests.support.planted_traces import MIXTURES, TEXTS, random_text

EVENTS = 2_000_000
BAR_S, BAR_MB = 30.0, 600.0
LANES = (("ar", "AR", 0), ("mtp", "MTP", 3), ("dflash", "DFlash", 5))
_ROUND_TOKENS = 2_000


def events(wanted: int) -> Iterator[ev.TraceEvent]:
    """So many events of a race of one request per round."""
    rng = random.Random(0)
    sampling = ev.Sampling(max_tokens=_ROUND_TOKENS)
    lanes = tuple(ev.LaneInfo(name, name, title, k, name) for name, title, k in LANES)
    yield ev.RunStarted("target", lanes, sampling)
    clocks = dict.fromkeys((name for name, _, _ in LANES), 0)
    made, number = 1, 0
    while made < wanted:
        category = list(MIXTURES)[number % len(MIXTURES)]
        prompt = tuple(random_text(rng, category, 300))
        answer = random_text(rng, category, _ROUND_TOKENS)
        of_round: list[ev.TraceEvent] = [ev.RoundStarted(number, (ev.Prompt(f"{number}", category),), sampling)]
        for name, _, k in LANES:
            request = f"{number}.0"
            of_round.append(ev.RequestStarted(name, request, 0, len(prompt), prompt_ids=prompt))
            before = index = 0
            while before < len(answer):
                left = answer[before : before + k + 1]
                drafted = list(left[:k]) if index else []
                right = 0
                while right < len(drafted) and rng.random() < 0.7:
                    right += 1
                drafted[right:] = [rng.randrange(len(TEXTS)) for _ in drafted[right:]]
                emitted = tuple(left[: right + 1])
                clocks[name] += 30_000_000
                of_round.append(
                    ev.Step(
                        lane=name,
                        request=request,
                        slot=0,
                        index=index,
                        k=k,
                        drafted=tuple(drafted),
                        accepted=right,
                        emitted=emitted,
                        cut=(),
                        own="recovered" if right < len(drafted) else "bonus",
                        cut_reason=None,
                        text=tuple(TEXTS[token] for token in emitted),
                        drafted_text=tuple(TEXTS[token] for token in drafted),
                        batch=1,
                        wall_ns=30_000_000,
                        clock_ns=clocks[name],
                        draft_ns=4_000_000 if drafted else None,
                        verify_ns=25_000_000,
                        before=before,
                    )
                )
                before += len(emitted)
                index += 1
        yield from of_round[: wanted - made]
        made += len(of_round)
        number += 1


def write(file: TextIO, wanted: int) -> None:
    """Write a trace of so many events."""
    for number, event in enumerate(events(wanted)):
        if isinstance(event, ev.RunStarted):
            file.write(encode_header(Header(ev.SCHEMA_VERSION, __version__, event)) + "\n")
        file.write(encode(number * 1_000_000, event) + "\n")


def measure(path: Path) -> dict[str, float]:
    """Read and analyse a trace in this process."""
    began = time.perf_counter(), time.process_time()
    columns = Columns()
    read_traces([path], columns.add)
    read = time.process_time()
    analysis = analyse(columns)
    ended = time.perf_counter(), time.process_time()
    return {
        "steps": float(sum(len(lane.rows) for lane in columns.lanes())),
        "judged": float(sum(lane.judged for lane in analysis.lanes)),
        "wall_s": ended[0] - began[0],
        "read_cpu_s": read - began[1],
        "analyse_cpu_s": ended[1] - read,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when the bars hold, 1 when they do not."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.analysis_bench", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--trace", type=Path, help="a trace to analyse; made when there is none of that name")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(measure(options.trace)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = options.trace or Path(folder) / "long.jsonl"
        if not path.exists():
            with path.open("w", encoding="ascii") as file:
                write(file, options.events)
        child = [sys.executable, "-m", "tests.load.analysis_bench", "--child", "--trace", str(path)]
        load = json.loads(subprocess.run(child, capture_output=True, text=True, check=True).stdout)
    cpu_s = load["read_cpu_s"] + load["analyse_cpu_s"]
    passed = cpu_s <= BAR_S and load["peak_mb"] <= BAR_MB
    print(json.dumps(load))
    print(f"{cpu_s:.1f} s of one core (bar: {BAR_S:g} s), {load['peak_mb']:.0f} MB (bar: {BAR_MB:g} MB)")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
