"""From command-line options to a live source: lanes, target, prompts and engine arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spectui.bench import prompts as prompt_sets
from spectui.cli import UsageError
from spectui.events import Prompt, Sampling
from spectui.sources.vllm.host import MAX_CONCURRENCY, HostConfig, Report
from spectui.sources.vllm.lane_spec import LaneSpec, LaneSpecError, parse_lane_spec

DEMO_TARGET = "SmolLM2-135M-Instruct"
DEMO_LANES = ("ar", "ngram:k=5", "draft_model:model=target,k=4")

CPU_KV_BYTES = 256 << 20
GPU_KV_BYTES = 2 << 30
MAX_MODEL_LEN = 2048


def host_config(options: argparse.Namespace, *, gpu: bool) -> HostConfig:
    """What the options ask for.

    Raises:
        UsageError: An option is wrong; nothing was started.
    """
    if not 1 <= options.concurrency <= MAX_CONCURRENCY:
        raise UsageError(f"--concurrency {options.concurrency} is not possible, it goes from 1 to {MAX_CONCURRENCY}")
    return HostConfig(
        target=DEMO_TARGET if options.model is None else _short_name(options.model),
        find_target=_demo_target if options.model is None else _given_target(options.model),
        specs=lane_specs(options),
        prompts=_prompts(options),
        sampling=Sampling(
            temperature=options.temperature,
            seed=options.seed,
            max_tokens=options.max_tokens,
            ignore_eos=options.ignore_eos,
        ),
        concurrency=options.concurrency,
        engine_args=engine_args(options, gpu=gpu),
    )


def lane_specs(options: argparse.Namespace) -> tuple[LaneSpec, ...]:
    """The lanes asked for, or what fits: with the demo model the demo lanes, else AR and n-gram."""
    asked = options.lane or (DEMO_LANES if options.model is None else ("ar", "ngram:k=5"))
    try:
        return tuple(parse_lane_spec(text) for text in asked)
    except LaneSpecError as error:
        raise UsageError(str(error)) from error


def engine_args(options: argparse.Namespace, *, gpu: bool) -> dict[str, Any]:
    """vLLM engine arguments of every lane: ours, then the user's.

    An explicit KV cache per lane lets several engines live on one device; eager mode on a CPU starts in seconds
    instead of minutes; the prefix cache would give a restarted prompt away.
    """
    return {
        "enforce_eager": not gpu,
        "max_model_len": MAX_MODEL_LEN,
        "max_num_seqs": MAX_CONCURRENCY,
        "kv_cache_memory_bytes": GPU_KV_BYTES if gpu else CPU_KV_BYTES,
        "enable_prefix_caching": False,
        "disable_log_stats": True,
        "seed": 0,
        **dict(options.engine_arg),
    }


def _prompts(options: argparse.Namespace) -> tuple[Prompt, ...]:
    if options.prompt is not None:
        if not options.prompt.strip():
            raise UsageError("--prompt is empty: give it some text")
        return (Prompt(options.prompt, "yours"),)
    try:
        if options.prompts is not None:
            return prompt_sets.from_file(Path(options.prompts), options.category)
        return prompt_sets.builtin(options.category)
    except prompt_sets.PromptError as error:
        raise UsageError(str(error)) from error


def _demo_target(report: Report) -> str:
    from spectui.sources.demo_model import Progress, ensure_demo_model

    def pass_on(progress: Progress) -> None:
        report(progress.stage, progress.detail, progress.done, progress.total)

    return str(ensure_demo_model(pass_on))


def _given_target(model: str) -> Callable[[Report], str]:
    def find(_report: Report) -> str:
        path = Path(model).expanduser()
        if model.startswith((".", "/", "~")) and not (path / "config.json").is_file():
            raise FileNotFoundError(f"model '{model}' was not found: no config.json there, check the path")
        return str(path) if path.is_dir() else model

    return find


def _short_name(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2] or model
