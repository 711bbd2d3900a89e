"""Parses what a user types to get a lane: ``METHOD[:key=value,...]``, such as ``mtp:k=4`` or
``ngram:k=5,max=4,min=2``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spectui.errors import did_you_mean
from spectui.places import expanded
from spectui.protocol.events import KSource, LaneInfo
from spectui.protocol.limits import MAX_K
from spectui.sources.demo_model import drafters
from spectui.sources.model_configs import block_tokens, config_of
from spectui.sources.vllm import vllm_options
from spectui.sources.vllm.checkpoint_files import separate_head_layers

TITLES = {
    "ar": "AR",
    "mtp": "MTP",
    "dflash": "DFlash",
    "eagle": "EAGLE",
    "eagle3": "EAGLE-3",
    "medusa": "Medusa",
    "draft_model": "draft model",
    "ngram": "n-gram",
    "suffix": "suffix",
    "mlp_speculator": "MLP speculator",
    "custom_class": "custom drafter",
    "diffusion": "diffusion",
}
"""The methods of vLLM's ``speculative_config``, plain decoding and diffusion, with their names for the user."""

DIFFUSION = "diffusion"
MOST_CANVASES = 8
"""The most requests in flight in a diffusion lane: their logits over whole canvases take gigabytes
(``vllm/model_executor/models/config.py``, `DiffusionGemmaModelForBlockDiffusionConfig`)."""

DEFAULT_K = {"mtp": 2, "dflash": 7, "eagle": 3, "eagle3": 3, "ngram": 5, "suffix": 8}
NEEDS_MODEL = frozenset({"dflash", "eagle", "eagle3", "medusa", "draft_model", "mlp_speculator", "custom_class"})

_SHORT_KEYS = {"k": "num_speculative_tokens"}
_NGRAM_KEYS = {"max": "prompt_lookup_max", "min": "prompt_lookup_min"}
START = "start"
"""The K that a lane begins with, if it is less than it is built for. This is not a vLLM option."""

AUTO = "auto"
"""The K of a lane that chooses it after every step; ``auto:7`` builds it for at most 7."""

AUTO_TIMES = 2
"""How many times the usual K an automatic one may be: some text takes longer drafts than pay on average. DFlash's usual
K is already the longest that its drafter makes."""

MOST_GRAPHS = 256
"""About as many whole CUDA graphs are captured for a lane's target at most; 20 of a small model take a second."""

TEACHING_NOTE = "a perfect drafter that costs as much as the target"


class LaneSpecError(ValueError):
    """The text is not a valid lane spec; the message is one sentence with the nearest valid choice."""


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """A parsed lane spec.

    Attributes:
        method: vLLM's name of the method; ``"ar"`` for no drafting, ``"diffusion"`` for a diffusion model.
        k_max: Drafted tokens that the lane is built for; 0 for ``ar``.
        options: Further entries of vLLM's ``speculative_config``.
        text: What the user typed.
        k_start: Drafted tokens that it begins with; None for ``k_max``.
        k_source: Where that K comes from.
    """

    method: str
    k_max: int
    options: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    k_start: int | None = None
    k_source: KSource = "default"

    @property
    def auto(self) -> bool:
        """Whether the lane chooses its K after every step."""
        return self.k_source == "auto"

    @property
    def title(self) -> str:
        return TITLES.get(self.method, self.method)

    def speculative_config(self, target: str, max_num_seqs: int) -> dict[str, Any] | None:
        """vLLM's ``speculative_config``; None for AR and for diffusion.

        The per-batch-size table is what makes K live: the tap rewrites its lookup between steps. It names every K, one
        for each number of requests, since on a GPU vLLM captures whole graphs for the K in it alone
        (``vllm/v1/worker/gpu/cudagraph_utils.py``): with others a step would take longer than with ``vllm serve``.

        Args:
            target: Path or id of the target.
            max_num_seqs: The engine's, at least ``k_max + 1``.
        """
        if not self.k_max:
            return None
        rows = self.k_max + 1
        table = [(row, row if row < rows else max_num_seqs, rows - row) for row in range(1, rows + 1)]
        return {"num_speculative_tokens_per_batch_size": table, **self.drafting(target)}

    def graph_sizes(self, requests: int) -> list[int]:
        """Tokens of the steps to capture whole graphs for: of up to ``requests`` requests that are all at the same K.

        With several K in its table vLLM takes a graph for its very size only, and none for one in between
        (``CudaGraphManager._init_candidates``, the candidates' ranges): three requests at K = 4 make 15 tokens, and the
        next size of vLLM's own choice is 16.
        """
        requests = max(1, min(requests, MOST_GRAPHS // (self.k_max + 1)))
        return sorted({each * of for each in range(1, self.k_max + 2) for of in range(1, requests + 1)})

    def drafting(self, target: str) -> dict[str, Any]:
        """The ``speculative_config`` for a fixed K. ``model=target`` stands for the target itself."""
        config = {"method": self.method, "num_speculative_tokens": self.k_max, **self.options}
        return config | ({"model": target} if config.get("model") == "target" else {})

    def model(self, target: str) -> str:
        """What the lane's engine loads: ``target``, or a diffusion model of its own."""
        return str(self.options.get("model", target)) if self.method == DIFFUSION else target

    def target_arguments(self, hf_overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Engine arguments that let the target accept the lane's drafter, merged with the user's ``hf_overrides``.

        vLLM gives an MTP head only to a target whose config counts one (``vllm/config/speculative.py``); a head in its
        own folder says how many layers it has.
        """
        layers = separate_head_layers(Path(str(self.options.get("model", "")))) if self.method == "mtp" else None
        overrides = {**({} if layers is None else {"num_nextn_predict_layers": layers}), **(hf_overrides or {})}
        return {"hf_overrides": overrides} if overrides else {}


def parse_lane_spec(text: str, *, demo: bool = False) -> LaneSpec:
    """Parse ``METHOD[:key=value,...]``; values are parsed as JSON if possible, else taken as strings.

    A value that contains a comma must be quoted, as in ``dflash:model="a,b",k=3``.

    Args:
        text: The lane spec.
        demo: Whether it is for the demo target, whose own drafters are then used where none is named.

    Raises:
        LaneSpecError: The method is unknown, or an option is malformed or missing.
    """
    method, _, rest = text.strip().partition(":")
    method = method.replace("-", "_").lower()
    if method not in TITLES:
        guess = did_you_mean(method, TITLES)
        valid = f"alid are {', '.join(TITLES)}."
        raise LaneSpecError(f"unknown lane method '{method}'" + (f"{guess} V" if guess else ": v") + valid)
    options: dict[str, Any] = {}
    for part in _parts(rest):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise LaneSpecError(f"lane '{text}': '{part}' is not key=value, as in '{method}:k=4'.")
        options[_option_name(method, key.strip())] = _value(value.strip())
    if str(options.get("model", "")).startswith("~"):
        options["model"] = str(expanded(options["model"]))
    if method == "ar":
        if options:
            raise LaneSpecError(f"lane '{text}': ar drafts nothing and takes no options.")
        return LaneSpec("ar", 0, {}, text)
    if method == DIFFUSION:
        if other := [key.partition("=")[0] for key in _parts(rest) if not key.startswith("model=")]:
            raise LaneSpecError(f"lane '{text}': diffusion takes a model, and no '{other[0]}'.")
        if demo and not options:
            raise LaneSpecError(f"lane '{text}': diffusion needs its model, as in 'diffusion:model=PATH_OR_ID'.")
        return LaneSpec(DIFFUSION, 0, options, text)
    if demo and method in drafters.METHODS:
        options.setdefault("model", str(drafters.demo_drafter(method)))
    named: KSource = "yours" if {START, *_SHORT_KEYS.values()} & options.keys() else "default"
    if str(k := options.get("num_speculative_tokens")).partition(":")[0] == AUTO:
        named, options["num_speculative_tokens"] = "auto", _most_k(text, method, options, str(k))
    start = options.pop(START, None)
    _check_names(text, method, options)
    k_max = _k(text, method, options)
    if start is not None and (not isinstance(start, int) or isinstance(start, bool) or not 0 <= start <= k_max):
        raise LaneSpecError(f"lane '{text}': {START}={start} must be 0 to k={k_max}.")
    return LaneSpec(method, k_max, _checked(text, method, options), text, start, named)


def at_k(spec: LaneSpec, k: int | None) -> str:
    """How a user types the lane so that it begins at ``k``, or with None so that it chooses its K."""
    method, _, rest = spec.text.strip().partition(":")
    if not spec.k_max:
        return spec.text.strip()
    named = {START, *_SHORT_KEYS, *_SHORT_KEYS.values()}
    kept = [part for part in _parts(rest) if part.partition("=")[0].strip() not in named]
    # A lane cannot be built for no drafts at all.
    asked = [f"k={AUTO}:{spec.k_max}" if k is None else f"k={k}"] if k != 0 else [f"k={spec.k_max}", f"{START}=0"]
    return f"{method}:{','.join([*kept, *asked])}"


def _option_name(method: str, key: str) -> str:
    if method == "ngram":
        key = _NGRAM_KEYS.get(key, key)
    return _SHORT_KEYS.get(key, key)


def _check_names(text: str, method: str, options: Mapping[str, Any]) -> None:
    """Reject an option that vLLM does not have, as far as that can be known without importing it."""
    short = {**_SHORT_KEYS, **(_NGRAM_KEYS if method == "ngram" else {})}
    unusual = options.keys() - {"model", *short.values()}
    known = vllm_options.draft_options() if unusual else frozenset()
    for name in sorted(unusual):
        if known and name not in known:
            guess = did_you_mean(name, ["model", START, *short, *sorted(known)])
            raise LaneSpecError(f"lane '{text}': unknown option '{name}'{guess or ', vLLM has no such option.'}")


def _parts(text: str) -> Iterator[str]:
    """The options of a lane; commas separate them, except inside a quoted or a JSON value."""
    place = 0
    while place < len(text):
        value = text.find("=", place) + 1
        comma = text.find(",", place)
        if value and (comma < 0 or value <= comma) and (end := _quoted_end(text, value)) is not None:
            comma = end
        end = len(text) if comma < 0 else comma
        if part := text[place:end]:
            yield part
        place = end + 1


def _quoted_end(text: str, start: int) -> int | None:
    """Where the quoted value that begins at ``start`` ends; None if it ends at the next comma."""
    start += len(text[start:]) - len(text[start:].lstrip())
    if text[start : start + 1] == "'":
        end = text.find("'", start + 1) + 1
    elif text[start : start + 1] in ('"', "[", "{"):
        try:
            end = json.JSONDecoder().raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            end = 0
    else:
        end = 0
    return end if end and text[end : end + 1] in ("", ",") else None


def _value(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _k(text: str, method: str, options: dict[str, Any]) -> int:
    k = options.pop("num_speculative_tokens", None)
    k = _default_k(method, options) if k is None else k
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MAX_K:
        raise LaneSpecError(f"lane '{text}': k={k} is not valid: K is a whole number from 1 to {MAX_K}.")
    return k


def _most_k(text: str, method: str, options: Mapping[str, Any], k: str) -> int:
    """The largest K of a lane whose K is ``auto`` or ``auto:LARGEST``."""
    _, named, most = k.partition(":")
    if not named:
        usual = _default_k(method, options)
        return usual if method == "dflash" else min(AUTO_TIMES * usual, MAX_K)
    if not most.isdecimal() or not 1 <= int(most) <= MAX_K:
        raise LaneSpecError(f"lane '{text}': k={k} is not valid: after 'auto:' comes the largest K, from 1 to {MAX_K}.")
    return int(most)


def _default_k(method: str, options: Mapping[str, Any]) -> int:
    """The K of a lane that names none: of a DFlash drafter that is on this machine, its block; else the usual one."""
    if method == "dflash" and (config := config_of(str(options.get("model", "")))) is not None:
        return min(block_tokens(config) or DEFAULT_K[method], MAX_K)
    return DEFAULT_K.get(method, 3)


def _checked(text: str, method: str, options: dict[str, Any]) -> dict[str, Any]:
    if method in NEEDS_MODEL and not options.get("model"):
        raise LaneSpecError(f"lane '{text}': {method} needs its drafter, as in '{method}:model=PATH_OR_ID,k=4'.")
    if method == "ngram":
        longest = options.setdefault("prompt_lookup_max", 4)
        shortest = options.setdefault("prompt_lookup_min", min(2, longest) if isinstance(longest, int) else 1)
        if not (isinstance(longest, int) and isinstance(shortest, int) and 1 <= shortest <= longest):
            raise LaneSpecError(f"lane '{text}': max and min must be whole numbers, with 1 <= min <= max.")
    return options


def lane_infos(specs: Sequence[LaneSpec]) -> tuple[LaneInfo, ...]:
    """Names and titles of the lanes; a method that occurs more than once gets a number."""
    infos: list[LaneInfo] = []
    seen: dict[str, int] = {}
    for spec in specs:
        seen[spec.method] = count = seen.get(spec.method, 0) + 1
        infos.append(
            LaneInfo(
                name=spec.method if count == 1 else f"{spec.method}-{count}",
                method=spec.method,
                title=spec.title if count == 1 else f"{spec.title} {count}",
                k_max=spec.k_max,
                spec=spec.text,
                note=TEACHING_NOTE if spec.options.get("model") == "target" else "",
                k_start=spec.k_start,
                k_source=spec.k_source if spec.k_max else None,
            )
        )
    return tuple(infos)
