"""Prepares the small model in a process of its own: prints each new stage, and may stop for good at one of them."""

import json
import sys
import time
from pathlib import Path

from small_gguf import Pins

from spectui.sources.demo_model import Progress, ensure_demo_model

cache, pins, stop_at = Path(sys.argv[1]), Pins(**json.loads(sys.argv[2])), sys.argv[3]
pins.apply(setattr)
stage = ""


def report(progress: Progress) -> None:
    """Print a stage when it begins."""
    global stage
    if progress.stage != stage:
        stage = progress.stage
        print(stage, flush=True)
        if stage == stop_at:
            time.sleep(60)


print(ensure_demo_model(report, cache), flush=True)
