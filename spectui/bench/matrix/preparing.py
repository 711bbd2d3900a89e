"""From the command line to what is measured: lanes at their K, prompts as each block takes them, and the matrix."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from spectui.bench.matrix.asking import Sets
from spectui.bench.matrix.room import context_arguments
from spectui.bench.tune import k_values
from spectui.core.bench.codec import encodable
from spectui.core.bench.matrix import FIXED_TOKENS, NATURAL_TOKENS, Matrix, Variant, blocks_of
from spectui.core.bench.results import PromptNote
from spectui.errors import UsageError, did_you_mean
from spectui.protocol.events import Prompt, Sampling
from spectui.runtime.quiet import say
from spectui.setup import prompt_sets
from spectui.sources.vllm.lane_spec import LaneSpec

if TYPE_CHECKING:
    from spectui.sources.vllm.config import HostConfig
    from spectui.sources.vllm.lane import Lane


def bench_config(options: argparse.Namespace, *, gpu: bool) -> HostConfig:
    """The configuration of the lanes: built for the largest K, the longest context and the most requests.

    Raises:
        UsageError: An option is wrong.
        RunError: vLLM is not installed.
    """
    from spectui.setup.config import host_config
    from spectui.setup.planning import planned_room
    from spectui.setup.presets.applying import with_preset

    given = {name for name, _ in options.engine_arg}
    most = max(options.concurrency)
    options = with_preset(options)
    arguments = list(options.engine_arg)
    if "max_model_len" not in given:
        arguments += context_arguments(options, tokens_of(options))
    if "max_num_seqs" not in given:
        arguments.append(("max_num_seqs", most))
    config = host_config(
        argparse.Namespace(
            **{
                **vars(options),
                "concurrency": most,
                "category": None,
                "engine_arg": arguments,
                "max_tokens": tokens_of(options),
                "ignore_eos": options.protocol == "fixed",
            }
        ),
        gpu=gpu,
    )
    config = replace(
        config,
        specs=tuple(_for_ks(spec, options.k) for spec in config.specs),
        prompts=_chosen(config.prompts, options.category)
        if options.prompts or options.prompt
        else _own(options, config),
    )
    return replace(config, room=partial(planned_room, config, gpu=gpu))


def tokens_of(options: argparse.Namespace) -> int:
    """Completion tokens of a request."""
    if options.max_tokens is not None:
        return int(options.max_tokens)
    return FIXED_TOKENS if options.protocol == "fixed" else NATURAL_TOKENS


def _own(options: argparse.Namespace, config: HostConfig) -> tuple[Prompt, ...]:
    """The built-in prompts, short and long."""
    from spectui.core.prompts import with_system

    prompts = _chosen(prompt_sets.benchmark_set(length=options.length), options.category)
    system = config.chat.system
    return prompts if system is None else tuple(with_system(prompt, system) for prompt in prompts)


def _chosen(prompts: Sequence[Prompt], categories: str | None) -> tuple[Prompt, ...]:
    """The prompts of some categories; ``categories`` is one name, or several with commas."""
    known = list(dict.fromkeys(prompt.category for prompt in prompts))
    if categories is None:
        return tuple(prompts)
    names = [categories] if categories in known else [name.strip() for name in categories.split(",")]
    for name in names:
        if name not in known:
            some = did_you_mean(name, known) or f": choose from {', '.join(known[: prompt_sets.MOST_NAMED])}"
            raise UsageError(f"unknown category '{name}'{some}")
    return tuple(prompt for prompt in prompts if prompt.category in names)


def _for_ks(spec: LaneSpec, ks: str | None) -> LaneSpec:
    """The lane, built for the largest of the K that are to be measured."""
    if ks is None or not spec.k_max:
        return spec
    most = k_values(ks)[-1]
    if not most:
        raise UsageError("--k 0 leaves nothing to draft: leave the drafting lanes out instead")
    return replace(spec, k_max=most, k_start=None, k_source="auto" if spec.auto else "yours")


def variants_of(lanes: Sequence[Lane], ks: str | None) -> tuple[Variant, ...]:
    """Every lane at every K that is to be measured, AR first; a lane with an automatic K once.

    A lane that cannot have one is measured at its K, as is one that cannot have the K that is asked for.
    """
    from spectui.sources.vllm.benching import variant_of

    variants: list[Variant] = []
    for lane in lanes:
        info = lane.info
        if lane.choice is None:
            variants.append(variant_of(lane))
            continue
        wanted: Sequence[int] = (lane.k,) if ks is None or not info.k_max else k_values(ks)
        if refused := [k for k in wanted if info.k_max and k not in lane.ks]:
            others = ", ".join(map(str, refused))
            say(f"{info.title} is measured at K = {info.k_max} only, not at {others}: {lane.fixed_k}")
            wanted = [k for k in wanted if k in lane.ks] or [info.k_max]
        variants += [variant_of(lane, k) for k in wanted]
    return tuple(sorted(variants, key=lambda variant: not variant.plain))


def matrix_of(options: argparse.Namespace, lanes: Sequence[Lane], sets: Sets, sampling: Sampling) -> Matrix:
    """The matrix that the options ask for."""
    categories = tuple(dict.fromkeys(category for category, _ in sets))
    return Matrix(
        variants=variants_of(lanes, options.k),
        blocks=blocks_of(options.concurrency, categories, options.context),
        protocol=options.protocol,
        sampling=sampling,
        repetitions=options.repetitions,
        requests=_requests(options, sets),
    )


def _requests(options: argparse.Namespace, sets: Sets) -> int | None:
    """Requests of a repetition: with ``natural``, enough that all repetitions together ask every prompt."""
    if options.requests is not None or options.protocol == "fixed":
        return None if options.requests is None else int(options.requests)
    longest = max(map(len, sets.values()))
    return -(-longest // int(options.repetitions))


def padded_prompts(options: argparse.Namespace) -> int | None:
    """How many padded prompts of a category are needed; None for all."""
    if options.protocol == "natural" and options.requests is None:
        return None
    requests = max([options.requests or 0, *options.concurrency])
    return int(options.repetitions * requests)


def prompt_note(
    options: argparse.Namespace, prompts: Sequence[Prompt], sets: Sets, chat: Any, repeated: bool
) -> PromptNote:
    """What the report says about the prompts."""
    counts: dict[str, int] = {}
    long: dict[str, int] = {}
    for (category, context), asked in sets.items():
        counts[category] = max(counts.get(category, 0), len(asked))
        if context is not None:
            long[category] = max(long.get(category, 0), len(asked))
    padding = ""
    if long:
        again = ", repeated where it is too short" if repeated else ""
        padding = f"SpecTUI's own text{again}"
    if options.prompt is not None:
        source = "--prompt"
    elif options.prompts is None:
        source = "built-in"
    else:
        source = "standard input" if options.prompts == prompt_sets.STANDARD_INPUT else str(options.prompts)
    digests = {name: digest_of([one for one in prompts if one.category == name]) for name in counts}
    return PromptNote(encodable(source), digest_of(prompts), counts, chat.raw, chat.system, padding, long, digests)


def digest_of(prompts: Sequence[Prompt]) -> str:
    """SHA-256 of the prompts with what comes before them."""
    digest = hashlib.sha256()
    for prompt in prompts:
        for text in (prompt.category, *(message.text for message in prompt.before), *prompt.asked, prompt.text):
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()
