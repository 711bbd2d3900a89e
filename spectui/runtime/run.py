"""``spectui run``: the live race on the screen, or headless where there is no terminal."""

from __future__ import annotations

import argparse
import sys

from spectui.runtime import logs
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu


def run(options: argparse.Namespace) -> int:
    """Run until the user quits, or headless until ``--rounds`` prompts have raced; returns the exit code."""
    from spectui.runtime.setup import host_config

    gpu = has_nvidia_gpu()
    config = host_config(options, gpu=gpu)
    apply_or_reexec(gpu=gpu)
    log_path = logs.log_file()
    if options.headless or options.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _headless(options, config, log_path)
    return _screen(options, config, log_path)
