"""What an engine is asked: rendered conversations and vLLM's parameters of sampling."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from spectui.protocol.events import Sampling


def render_chat(
    engine: Any, messages: list[dict[str, str]], template: str | None, arguments: Mapping[str, Any]
) -> str | list[int] | None:
    """Return a conversation as vLLM's server passes it to the model: with content parts if the template wants them, and
    if ``template`` is None, with the template of the model's processor or vLLM's own for its family. None if the model
    has no template."""
    from vllm.renderers.chat_utils import ChatTemplateResolutionError
    from vllm.renderers.params import ChatParams

    params = ChatParams(chat_template=template, chat_template_kwargs={**arguments, "add_generation_prompt": True})
    try:
        _, prompt = engine.renderer.render_messages(messages, params)
    except ChatTemplateResolutionError:
        return None
    rendered: str | list[int] = prompt["prompt_token_ids"] if "prompt_token_ids" in prompt else prompt["prompt"]
    return rendered


def unknown_template_arguments(
    tokenizer: Any, template: str, arguments: Mapping[str, Any]
) -> Mapping[str, Sequence[str]]:
    """Return the arguments that vLLM would not pass on as the template does not use them, each with those it does."""
    hf: Any = importlib.import_module("vllm.renderers.hf")
    taken = hf.resolve_chat_template_kwargs(tokenizer, template, dict(arguments))
    unknown = [name for name in arguments if name not in taken]
    known = sorted(hf._cached_resolve_chat_template_kwargs(template)) if unknown else ()
    return dict.fromkeys(unknown, known)


def probing_params(likeliest: int, *, prompt: bool = False, tokens: int = 1) -> Any:
    """Return ``SamplingParams`` that ask for the most likely tokens after a prompt, and after each but the last of
    ``tokens`` that follow it greedily; with ``prompt`` also at each of its positions, for which the engine computes the
    probabilities of the whole vocabulary everywhere."""
    from vllm import SamplingParams

    return SamplingParams(
        temperature=0.0,
        max_tokens=tokens,
        ignore_eos=True,
        detokenize=False,
        logprobs=likeliest,
        prompt_logprobs=likeliest if prompt else None,
    )


def sampling_params(sampling: Sampling, slot: int) -> Any:
    """Return vLLM's ``SamplingParams``; each step's output carries only the tokens of that step."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    schema = sampling.json_schema

    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=None if sampling.seed is None else sampling.seed + slot,
        max_tokens=sampling.max_tokens,
        ignore_eos=sampling.ignore_eos,
        stop=list(sampling.stop) or None,
        structured_outputs=None if schema is None else StructuredOutputsParams(json=schema),
        output_kind=RequestOutputKind.DELTA,
    )
