"""Says what went wrong with a lane, in one sentence that says what to do next. The log has the rest."""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spectui.errors import did_you_mean
from spectui.places import expanded
from spectui.sources.demo_model import DemoModelError
from spectui.sources.vllm import vllm_options
from spectui.sources.vllm.checkpoint_files import damaged_weights
from spectui.sources.vllm.device_errors import device_trouble
from spectui.sources.vllm.lane_spec import DIFFUSION, LaneSpec
from spectui.sources.vllm.sayings import LONGEST, MISFITS, OTHER_KINDS, TARGET_SAYINGS, first
from spectui.sources.vllm.splitting import explain_split
from spectui.sources.vllm.target import TargetError
from spectui.sources.vllm.unsupported import UnsupportedError, unsupported


def explain(error: BaseException, spec: LaneSpec, target: str) -> str:
    """Explain in one sentence why a lane could not be built: what happened, where, what to do."""
    known = known_cause(error, spec, target)
    return known or f"could not be started: {first_line(error)}; the log has the details"


def known_cause(error: BaseException, spec: LaneSpec, target: str) -> str | None:
    """Explain an error that is the user's or the machine's; None if it is another one."""
    failure = _Failure(error, spec, target)
    return next((sentence for rule in _RULES if (sentence := rule(failure))), None)


def explain_death(error: BaseException) -> str:
    """Explain in one sentence why a lane's engine died."""
    if (trouble := device_trouble(_texts(_chain(error)), racing=True)) is not None:
        return f"its engine died: {trouble}"
    return f"its engine died: {first_line(error)}; the log has the details"


def explain_target(error: BaseException) -> str:
    """Explain in one sentence why the target could not be loaded."""
    if isinstance(error, (TargetError, DemoModelError)):
        return str(error)
    return f"the model could not be loaded: {first_line(error)}; the log has the details"


def explain_import(error: BaseException) -> str:
    """Explain in one sentence why vLLM could not be imported."""
    return f"vLLM could not be imported: {first_line(error)}; see Installation in docs/commands.md"


def first_line(error: BaseException) -> str:
    """The first informative line of the message, without pydantic's preamble, no longer than a pane can show."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and "validation error" in lines[0] and len(lines) > 1:
        lines = lines[1:]
    line = re.sub(r"^Value error, |^\w+Error: |\s*\[type=.*$", "", lines[0]) if lines else type(error).__name__
    line = line.rstrip(".:; ")
    if len(line) <= LONGEST:
        return line
    # Cut at the end of a sentence, or else at the end of a word.
    sentences = line[:LONGEST].rpartition(". ")[0]
    return sentences or line[:LONGEST].rpartition(" ")[0].rstrip(".,:; ") + " ..."


def _chain(error: BaseException) -> list[BaseException]:
    """The error, and what led to it."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain


def _texts(chain: Iterable[BaseException]) -> str:
    return " ".join(str(error) for error in chain)


@dataclass(frozen=True)
class _Failure:
    """An error, with what is known about the lane in which it happened."""

    error: BaseException
    spec: LaneSpec
    target: str

    @cached_property
    def chain(self) -> list[BaseException]:
        return _chain(self.error)

    @cached_property
    def text(self) -> str:
        return _texts(self.chain)

    @property
    def said(self) -> str:
        return first_line(self.error)

    @property
    def drafter(self) -> str | None:
        """The drafter's own checkpoint; None if the lane has none."""
        model = "" if self.spec.method == DIFFUSION else str(self.spec.options.get("model", ""))
        return model if model not in ("", "target", self.target) and self.spec.method != "custom_class" else None

    @property
    def models(self) -> Iterator[tuple[str, str]]:
        """What each of the lane's models is called, and where it is."""
        if self.drafter is not None:
            yield "drafter", self.drafter
        yield "model", self.spec.model(self.target)

    @cached_property
    def is_the_drafters(self) -> bool:
        """Whether the error happened while vLLM handled the drafter."""
        if self.drafter is None:
            return False
        title = getattr(self.error, "title", "")
        files = [frame.filename for e in self.chain for frame in traceback.extract_tb(e.__traceback__)]
        return title == "SpeculativeConfig" or any("spec_decode" in f or "/speculative" in f for f in files)

    @property
    def rejected(self) -> list[Mapping[str, Any]]:
        """The individual arguments that pydantic rejected."""
        errors = getattr(self.error, "errors", None)
        return errors() if callable(errors) else []


_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|cannot allocate memory", re.I)


def _memory(failure: _Failure) -> str | None:
    if (trouble := device_trouble(failure.text)) is not None:
        return trouble
    if any(isinstance(e, MemoryError) or _NO_MEMORY.search(str(e)) for e in failure.chain):
        return (
            "not enough memory for this lane: race fewer lanes or add --engine-arg max_model_len=...; `spectui plan` "
            "says what fits"
        )
    if "less than requested memory" in failure.text:
        return "not enough free memory for its KV cache: make it smaller with --engine-arg kv_cache_memory_bytes=..."
    if re.search(r"No available memory for the cache|To serve at least one request", failure.text):
        return (
            "its KV cache is too small for one full answer: raise --engine-arg kv_cache_memory_bytes=... or lower "
            "--engine-arg max_model_len=..."
        )
    if match := re.search(r"max_num_seqs \((\d+)\) exceeds available Mamba cache blocks \((\d+)\)", failure.text):
        return _few_blocks(int(match[1]), int(match[2]), failure.spec.k_max)
    if any(isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT) for e in failure.chain):
        return "the disk is full: free some space and start again"
    return None


def _few_blocks(places: int, blocks: int, k: int) -> str:
    # An engine has a place more than ``max_num_seqs`` asks for, and at least K + 1: see `Lane._build`.
    lower = f" or lower --engine-arg max_num_seqs=... to {blocks - 1}" if blocks > max(1, k) else ""
    return (
        f"its KV cache has {blocks} blocks, and this model's CUDA graphs need one for each of {places} requests: raise "
        f"--engine-arg kv_cache_memory_bytes=...{lower}"
    )


_UNKNOWN_MODEL = re.compile(
    r"not a valid model identifier|Repo id must|does not appear to have|not found|Can't load|No such file|"
    r"Invalid repository|couldn't connect|offline|Unrecognized model|config\.json|cached snapshot folder",
    re.I,
)


def _gated(failure: _Failure) -> str | None:
    if not re.search(r"gated repo|Access to model \S+ is restricted", failure.text, re.I):
        return None
    for whose, model in failure.models:
        if model in failure.text:
            return (
                f"{whose} '{model}' needs its terms accepted at https://huggingface.co/{model}: do that, then "
                "`hf auth login`"
            )
    return None


def _not_found(failure: _Failure) -> str | None:
    if not _UNKNOWN_MODEL.search(failure.text):
        return None
    for whose, model in failure.models:
        path = expanded(model)
        named = model in failure.text or failure.drafter is None
        if not named or (path / "config.json").is_file():
            continue
        if path.is_dir():
            return f"{whose} '{model}' has no config.json: it must be the folder of a Hugging Face checkpoint"
        if model.startswith((".", "/", "~")):
            return f"{whose} '{model}' was not found: no such folder, check the path"
        return (
            f"{whose} '{model}' was not found: neither a folder of that name nor Hugging Face or its local cache has "
            "it; check the spelling and the network"
        )
    return None


def _damaged(failure: _Failure) -> str | None:
    for whose, model in failure.models:
        if (path := damaged_weights(expanded(model))) is not None:
            made_here = (path.parent / "spectui-manifest.json").is_file()
            remedy = "delete it and start again; it is rebuilt" if made_here else "fetch it again"
            return f"the {whose}'s weights in {path} are damaged or incomplete: {remedy}"
    if any(type(e).__name__ == "SafetensorError" for e in failure.chain):
        return f"weights are damaged or incomplete ({failure.said}): fetch the model again"
    return None


def _argument(failure: _Failure) -> str | None:
    if match := re.search(r"EngineArgs\.__init__\(\) got an unexpected keyword argument '(\w+)'", failure.text):
        return f"vLLM has no engine argument '{match[1]}'{did_you_mean(match[1], vllm_options.engine_arguments())}"
    for wrong in failure.rejected:
        name = str(next(iter(wrong.get("loc", ())), ""))
        if wrong["type"] == "unexpected_keyword_argument":
            return (
                f"vLLM's {failure.spec.title} has no option '{name}'{did_you_mean(name, vllm_options.draft_options())}"
            )
        if wrong["type"] != "value_error" and name:
            reason = str(wrong["msg"])
            return f"{name}={wrong.get('input')!r} is not valid: {reason[:1].lower()}{reason[1:]}"
    return None


def _method(failure: _Failure) -> str | None:
    if failure.spec.method == "mtp" and "Unsupported speculative method" in failure.text:
        return "the target has no built-in MTP head: name one, as in mtp:model=PATH_OR_ID,k=2"
    if failure.spec.method == "mtp" and "no attribute 'num_nextn_predict_layers'" in failure.text:
        return (
            "the target's config.json names no MTP layers: add --engine-arg "
            "'hf_overrides={\"num_nextn_predict_layers\": 1}'"
        )
    if "Arctic Inference" in failure.text:
        return "suffix decoding needs another package: pip install arctic-inference"
    if match := re.search(r"maximum context length is (\d+) tokens", failure.text):
        return f"max_model_len={match[1]} is too short even for the warm-up: raise --engine-arg max_model_len=..."
    return None


def _k(failure: _Failure) -> str | None:
    k = failure.spec.k_max
    if match := re.search(r"num_speculative_tokens:?\s*\d+ must be divisible by n_predict=(\d+)", failure.text):
        at_once = int(match[1])
        below = k // at_once * at_once
        return (
            f"K={k} does not work: this drafter predicts {at_once} tokens at once, so try k={below} or "
            f"k={below + at_once}"
        )
    if "num_speculative_tokens" in failure.said:
        return f"K={k} does not work here: {failure.said}; the log has the details"
    return None


def _misfit(failure: _Failure) -> str | None:
    drafter, method = failure.drafter, failure.spec.method
    if drafter is None:
        return None
    if reason := first(OTHER_KINDS, failure.text):
        return f"'{drafter}' is not a drafter for method '{method}' ({reason}): check the lane's method and model"
    if reason := first(MISFITS, failure.text):
        return f"drafter '{drafter}' does not fit the target: {reason}; use one that was trained for this target"
    if failure.is_the_drafters:
        return f"drafter '{drafter}' could not be loaded: {failure.said}; the log has the details"
    return None


def _target(failure: _Failure) -> str | None:
    reason = first(TARGET_SAYINGS, failure.text)
    return f"model '{failure.target}' {reason}" if reason else None


def _unsupported(failure: _Failure) -> str | None:
    if isinstance(failure.error, UnsupportedError):
        return str(failure.error)
    return unsupported(failure.text, failure.target, failure.spec.title)


_RULES: tuple[Callable[[_Failure], str | None], ...] = (
    _unsupported,
    _memory,
    lambda failure: explain_split(failure.text),
    _damaged,
    _gated,
    _not_found,
    _argument,
    _method,
    _k,
    _misfit,
    _target,
)
