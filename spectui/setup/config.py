"""Turns command-line options into the configuration of a live source: lanes, target, prompts and engine arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from spectui.core.prompts import PromptError, prompt_of, with_system
from spectui.errors import RunError, UsageError, did_you_mean
from spectui.protocol.events import Prompt, Sampling
from spectui.protocol.limits import MAX_CONCURRENCY, MAX_LANES, concurrency_fault
from spectui.setup import prompt_sets
from spectui.setup.planning import CPU_KV_BYTES, GPU_KV_BYTES, planned_room
from spectui.setup.presets.applying import usual_lanes, with_preset
from spectui.sources.demo_model import drafters
from spectui.sources.demo_model.prepare import FINGERPRINT
from spectui.sources.hardware import cpu_dtype, forced_dtype, hardware_name
from spectui.sources.vllm import vllm_options
from spectui.sources.vllm.config import Chat, HostConfig
from spectui.sources.vllm.lane_spec import LaneSpec, LaneSpecError, parse_lane_spec
from spectui.sources.vllm.target import Report, find_target, folder_fault
from spectui.sources.vllm.tuned_k import TunedK, full_name

DEMO_TARGET = "SmolLM2-135M-Instruct"
DEMO_LANES = ("ar", "mtp:k=4", "dflash:k=7")
"""Built for larger K than they begin with, so that K can be raised: see `_begun`."""

MAX_MODEL_LEN = 2048

_OURS = {
    "model": "--model names it",
    "speculative_config": "--lane describes it",
    "scheduler_cls": "the tap is the scheduler",
    "async_scheduling": "the tap needs it off",
    "per_request_spec_decode_metrics": "the tap needs it on",
    "worker_extension_cls": "the tap needs its own",
}
"""Engine arguments that the user cannot set, with the reason."""


def host_config(options: argparse.Namespace, *, gpu: bool, installed: bool = True) -> HostConfig:
    """Build the configuration that the options ask for; ``installed`` means that it needs vLLM.

    Raises:
        UsageError: An option is wrong; nothing was started.
        RunError: vLLM is not installed.
    """
    options = with_preset(options)
    if fault := concurrency_fault(options.concurrency):
        raise UsageError(f"--concurrency {options.concurrency}: {fault}")
    if options.model is not None and (fault := folder_fault(options.model)) is not None:
        raise UsageError(fault)
    specs, arguments = lane_specs(options), engine_args(options, gpu=gpu)
    chat = _chat(options)
    prompts = _prompts(options, chat)
    tuned = tuned_k(options, arguments, gpu=gpu)
    if installed and vllm_options.engine_folder() is None:
        raise RunError(
            f"vLLM is not installed for {sys.executable}: run `make setup` in a checkout, or see Installation "
            "in docs/commands.md"
        )
    config = HostConfig(
        target=DEMO_TARGET if options.model is None else _short_name(options.model),
        find_target=_demo_target if options.model is None else partial(find_target, options.model),
        specs=begun(specs, tuned, options),
        prompts=prompts,
        chat=chat,
        sampling=Sampling(
            temperature=options.temperature,
            top_p=options.top_p,
            top_k=options.top_k,
            seed=options.seed,
            max_tokens=options.max_tokens,
            ignore_eos=options.ignore_eos,
        ),
        concurrency=options.concurrency,
        engine_args=arguments,
        asked_args=dict(options.engine_arg),
        self_test=not options.no_self_test,
        share=options.share,
        remember=tuned.remember,
        model=options.model,
        prompt_words=_prompt_words(options),
    )
    return replace(config, room=partial(planned_room, config, gpu=gpu))


def lane_specs(options: argparse.Namespace) -> tuple[LaneSpec, ...]:
    """The lanes that were asked for, or the usual ones: the demo's, the preset's, or those found for the target."""
    options = with_preset(options)
    demo = options.model is None
    asked = options.lane or (DEMO_LANES if demo else usual_lanes(options))
    if len(asked) > MAX_LANES:
        raise UsageError(f"{len(asked)} lanes are too many: at most {MAX_LANES} race at once")
    try:
        specs = tuple(parse_lane_spec(text, demo=demo) for text in asked)
    except LaneSpecError as error:
        raise UsageError(str(error)) from error
    return specs if options.lane else tuple(spec if spec.auto else replace(spec, k_source="default") for spec in specs)


def tuned_k(options: argparse.Namespace, arguments: Mapping[str, Any], *, gpu: bool) -> TunedK:
    """The best K that earlier searches found on this machine for this target."""
    machine = hardware_name(gpu=gpu)
    if options.model is None:
        return TunedK(machine, FINGERPRINT, arguments, auto="bfloat16")
    return TunedK(machine, full_name(options.model), arguments)


def begun(specs: Sequence[LaneSpec], tuned: TunedK, options: argparse.Namespace) -> tuple[LaneSpec, ...]:
    """The lanes, each with the K that it begins with."""
    return tuple(_begun(spec, tuned, options.concurrency) for spec in specs)


def _begun(spec: LaneSpec, tuned: TunedK, requests: int) -> LaneSpec:
    """The lane with the K that it begins with: the user's, else the result of a search here, else what measured best
    elsewhere in this number format, else the K that it is built for.

    If a search found a K beyond the one that a lane is usually built for, the lane is built as it was for the search.
    """
    if not spec.k_max or spec.k_source == "yours":
        return spec
    if spec.auto and spec.k_start is not None:
        return spec
    if (best := tuned.best(spec, requests)) is not None and spec.auto:
        return replace(spec, k_start=min(best.k, spec.k_max))
    if best is not None:
        k_max = spec.k_max if best.k <= spec.k_max else best.k_max
        return replace(spec, k_max=k_max, k_start=best.k, k_source="tuned")
    if drafters.uses_demo_drafter(spec.method, spec.options):
        return replace(spec, k_start=min(spec.k_max, drafters.best_k(spec.method, tuned.dtype)))
    return spec


def engine_args(options: argparse.Namespace, *, gpu: bool) -> dict[str, Any]:
    """vLLM engine arguments for every lane: ours, then the user's.

    An explicit KV cache size per lane lets several engines share one device; `planned_room` replaces this one by what
    the lanes need; eager mode on a CPU starts in seconds
    instead of minutes; the prefix cache would give a restarted prompt an unfair advantage; the small demo target is
    held in the number format that is fastest on the processor, or that SPECTUI_DEMO_DTYPE asks for.

    Raises:
        UsageError: vLLM does not know one of the user's arguments, or the user cannot set it; or SPECTUI_DEMO_DTYPE is
            not a number format.
    """
    for name, value in options.engine_arg:
        _check_engine_arg(name, value)
    try:
        dtype = forced_dtype() if gpu else cpu_dtype()
    except ValueError as error:
        raise UsageError(str(error)) from None
    return {
        "enforce_eager": not gpu,
        "max_model_len": MAX_MODEL_LEN,
        "max_num_seqs": MAX_CONCURRENCY,
        "kv_cache_memory_bytes": GPU_KV_BYTES if gpu else CPU_KV_BYTES,
        "enable_prefix_caching": False,
        "disable_log_stats": True,
        "seed": 0,
        **({"dtype": dtype} if options.model is None and dtype else {}),
        **dict(options.engine_arg),
    }


def _check_engine_arg(name: str, value: Any) -> None:
    if name in _OURS:
        raise UsageError(f"--engine-arg {name} cannot be set: {_OURS[name]}")
    known = vllm_options.engine_arguments()
    if known and name not in known:
        guess = did_you_mean(name, sorted(known)) or "; `vllm serve --help` lists its arguments"
        raise UsageError(f"--engine-arg: vLLM has no argument '{name}'{guess}")
    if name == "max_num_seqs" and not (isinstance(value, int) and value >= 1):
        raise UsageError(f"--engine-arg max_num_seqs={value}: must be a whole number, 1 or more")


def _chat(options: argparse.Namespace) -> Chat:
    if options.raw and options.chat_template_arg:
        raise UsageError("--raw skips the chat template, so --chat-template-arg has no effect: use only one of them")
    if options.raw and options.system is not None:
        raise UsageError("--raw skips the chat template, which --system needs: use only one of them")
    return Chat(options.system, dict(options.chat_template_arg), options.raw)


def _prompts(options: argparse.Namespace, chat: Chat) -> tuple[Prompt, ...]:
    try:
        prompts = _prompt_set(options)
        if chat.system is not None:
            system = _given(chat.system, "--system")
            prompts = tuple(with_system(prompt, system) for prompt in prompts)
    except PromptError as error:
        raise UsageError(str(error)) from error
    talk = next((prompt for prompt in prompts if prompt.before or prompt.later), None)
    if chat.raw and talk is not None:
        raise UsageError(f"--raw sends plain text, but prompt {talk.index + 1} is a conversation: drop --raw")
    return prompts


def _prompt_words(options: argparse.Namespace) -> list[str]:
    """The options that chose the prompts, as they are typed; without standard input, which cannot be read again."""
    asked = {"--prompt": options.prompt, "--prompts": options.prompts, "--category": options.category}
    again = {name: value for name, value in asked.items() if value not in (None, prompt_sets.STANDARD_INPUT)}
    return [word for name, value in again.items() for word in (name, str(value))]


def _prompt_set(options: argparse.Namespace) -> tuple[Prompt, ...]:
    if options.prompt is not None and options.prompts is not None:
        raise UsageError("--prompt and --prompts cannot be used together: use one of them")
    if options.prompt is not None:
        return (Prompt(_given(options.prompt, "--prompt"), "yours"),)
    if options.prompts == prompt_sets.STANDARD_INPUT:
        return prompt_sets.from_standard_input(options.category)
    if options.prompts is not None:
        return prompt_sets.from_file(Path(options.prompts), options.category)
    return prompt_sets.builtin(options.category)


def _given(text: str, option: str) -> str:
    if not text.strip():
        raise UsageError(f"{option} is empty: give it some text")
    return prompt_of(text, option).text


def _demo_target(report: Report) -> str:
    from spectui.sources.demo_model import Progress, ensure_demo_model

    def pass_on(progress: Progress) -> None:
        report(progress.stage, progress.detail, progress.done, progress.total)

    return str(ensure_demo_model(pass_on))


def _short_name(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2] or model
