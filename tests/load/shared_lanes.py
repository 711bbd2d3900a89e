"""What sharing the target's weights between lanes saves, and whether the lanes generate the same with it.

``python -m tests.load.shared_lanes`` loads the demo's three lanes with one copy of the target and with one per lane, in
both number formats, each time in a process of its own, and prints memory, load times and whether token ids and counts
are equal. ``python -m tests.load.shared_lanes start`` times ``spectui run`` from its start to tokens in all lanes.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spectui.figures import percent_text, size_text
from spectui.protocol.events import Sampling, Step
from spectui.runtime.threads import apply_or_reexec
from spectui.setup import prompt_sets
from spectui.setup.config import DEMO_LANES, host_config
from spectui.setup.options import add_engine_options
from spectui.sources.hardware import DEMO_DTYPE, NUMBER_FORMATS

PROMPTS, TOKENS, STARTS = 20, 32, 3


def main() -> None:
    match sys.argv[1:]:
        case ["child", share]:
            apply_or_reexec(gpu=False)
            print(json.dumps(_measured(share=share == "yes")))
        case ["start"]:
            for _ in range(STARTS):
                print(f"start to tokens in all lanes: {_start_s():.1f} s")
        case _:
            for dtype in NUMBER_FORMATS:
                _compare(dtype)


def _compare(dtype: str) -> None:
    shared, separate = (_child(dtype, share) for share in ("yes", "no"))
    print(f"{dtype}, lanes {', '.join(DEMO_LANES)}")
    for title, one in (("one copy", shared), ("a copy per lane", separate)):
        resident, held = one["resident"], one["held"]
        print(
            f"  {title}: the lanes take {size_text(resident)}, the first of them {size_text(one['first'])}; "
            f"weights and caches are {size_text(held)}, so {percent_text(resident / held - 1)} on top; "
            f"the process without lanes {size_text(one['without'])}"
        )
        ratios = ", ".join(percent_text(seconds / one["load_s"][0]) for seconds in one["load_s"][1:])
        print(f"  lane 1 loaded in {one['load_s'][0]:.2f} s, lanes 2 and 3 in {ratios} of that")
    print(f"  {PROMPTS} prompts, {TOKENS} tokens each, same ids and counts in every step: {_same(shared, separate)}")


def _same(one: dict[str, Any], other: dict[str, Any]) -> str:
    same = {lane: sum(map(list.__eq__, its, other["steps"][lane])) for lane, its in one["steps"].items()}
    return ", ".join(f"{lane} {count} of {len(one['steps'][lane])}" for lane, count in same.items())


def _child(dtype: str, share: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.load.shared_lanes", "child", share]
    done = subprocess.run(
        command, env={**os.environ, DEMO_DTYPE: dtype}, stdout=subprocess.PIPE, stderr=None, check=True
    )
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _measured(*, share: bool) -> dict[str, Any]:
    from spectui.sources.vllm.lane_spec import lane_infos
    from spectui.sources.vllm.loading import Loader

    parser = argparse.ArgumentParser()
    add_engine_options(parser)
    config = host_config(parser.parse_args([]), gpu=False)
    specs = [replace(spec, k_start=None) for spec in config.specs]
    loader = Loader(config.find_target, config.engine_args, share=share)
    loader.find_target()
    loader.import_engine()
    lanes, load_s, resident = [], [], []
    for info, spec in zip(lane_infos(specs), specs, strict=True):
        began = time.perf_counter()
        load_s.append(0.0)

        def loaded(detail: str, began: float = began) -> None:
            load_s[-1] = load_s[-1] or time.perf_counter() - began

        lanes.append(loader.lane(info, spec, loaded))
        resident.append(_resident())
    memories = [lane.memory() for lane in lanes]
    parts = [((0 if one.target_shared else one.target_bytes), one.drafter_bytes, one.kv_reserved) for one in memories]
    prompts = [prompt.text for prompt in prompt_sets.builtin()][:PROMPTS]
    steps = {lane.info.name: [_steps(lane, text) for text in prompts] for lane in lanes}
    while lanes:
        lanes.pop().close()
    without = _resident()
    return {
        "load_s": load_s,
        "without": without,
        "resident": resident[-1] - without,
        "first": resident[0] - without,
        "held": sum(part or 0 for of_lane in parts for part in of_lane),
        "steps": steps,
    }


def _steps(lane: Any, text: str) -> list[list[Any]]:
    from spectui.sources.vllm.prompting import chat_ids

    lane.add("one", 0, chat_ids(lane.tokenizer, text), Sampling(max_tokens=TOKENS, ignore_eos=True))
    steps: list[list[Any]] = []
    while lane.running:
        taken = (event for event in lane.step() if isinstance(event, Step))
        steps += [[list(step.emitted), list(step.drafted), step.accepted] for step in taken]
    return steps


def _resident() -> int:
    from spectui.sources.vllm.compat import engines

    engines.reclaim()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _start_s(lanes: Sequence[str] = ("ar", "mtp", "dflash")) -> float:
    """Seconds from the start of the program to the first step of the last lane."""
    began = time.monotonic()
    command = [sys.executable, "-m", "spectui", "run", "--headless", "--max-tokens", "8"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        waited_for = set(lanes)
        for line in program.stdout:
            words = line.split()
            if len(words) > 1 and words[1].startswith("#"):
                waited_for.discard(words[0])
            if not waited_for:
                elapsed = time.monotonic() - began
                program.terminate()
                return elapsed
    raise SystemExit(f"no tokens from {', '.join(waited_for)}")


if __name__ == "__main__":
    main()
