"""The memory plan beside the memory that a run then takes, lane by lane: ``python -m tests.load.planned_memory``.

Takes the options of ``spectui run``. On a CPU it is resident memory, which includes what Python, torch and vLLM take,
and of a cache only the pages that were touched; on a GPU it is all of the device's memory in use, by whomever.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from spectui.cli.main import build_parser
from spectui.figures import percent_text, size_text
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu
from spectui.setup.config import host_config
from spectui.setup.planning import plan
from spectui.sources.vllm.lane_spec import lane_infos
from spectui.sources.vllm.loading import Loader
from spectui.telemetry.free_memory import gpu_memory


def taken(*, gpu: bool) -> int:
    """Bytes in use."""
    if gpu:
        device = gpu_memory()
        return (device.total or 0) - (device.free or 0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Plan, load, compare."""
    gpu = has_nvidia_gpu()
    apply_or_reexec(gpu=gpu)
    config = host_config(build_parser("run").parse_args(["run", *sys.argv[1:]]), gpu=gpu)
    planned = plan(config, gpu=gpu)
    loader = Loader(config.find_target, config.engine_args, share=config.share, plan_room=config.room)
    loader.find_target()
    loader.import_engine()
    before = taken(gpu=gpu)
    print(f"process: planned {size_text(planned.base)}, takes {size_text(before)} before the first lane")
    lanes = []
    for info, spec, of in zip(lane_infos(config.specs), config.specs, planned.lanes, strict=True):
        lane = loader.lane(info, spec)
        lanes.append(lane)
        memory, now = lane.memory(), taken(gpu=gpu)
        print(
            f"{of.title}: target {memory.target_bytes} (planned {of.target}), drafter {memory.drafter_bytes} "
            f"({of.drafter}), cache {memory.kv_reserved} ({of.kv}); takes {size_text(now - before)} more, "
            f"planned {size_text(of.fixed + of.kv)}"
        )
        before = now
    print(
        f"all: planned {size_text(planned.total)}, takes {size_text(before)}, "
        f"{percent_text(before / planned.total)} of the plan"
    )
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
