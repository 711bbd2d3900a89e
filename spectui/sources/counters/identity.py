"""Which server answers, what it runs, and how its drafts can be made visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spectui.protocol.serving import ServerKind
from spectui.sources.counters.pages import Pages, UnreachableError
from spectui.sources.counters.readings import MOST_POSITIONS, Reading
from spectui.sources.counters.values import MOST_JSON_BYTES, MalformedError, read_json, under, whole, words

NAMES: dict[ServerKind, str] = {"vllm": "vLLM", "sglang": "SGLang", "llama.cpp": "llama-server"}
_OWNERS: dict[str, ServerKind] = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama.cpp"}
"""Who owns the models that ``/v1/models`` lists, by server."""

NO_DRAFTER = "the server runs without speculative decoding, so there are no drafts"
COUNTERS_ONLY: dict[ServerKind, str] = {
    "vllm": "to see drafts, start vLLM with --scheduler-cls spectui.serving.TracingScheduler "
    "--worker-extension-cls spectui.serving.TracingWorker, and attach to the endpoint that it logs",
    "sglang": "SGLang gives counters only: what was drafted cannot be seen",
    "llama.cpp": "llama-server gives counters only: what was drafted cannot be seen",
}
NO_METRICS: dict[ServerKind, str] = {
    "vllm": "the server gives no figures: start it without --disable-log-stats",
    "sglang": "the server gives no figures: start it with --enable-metrics",
    "llama.cpp": "the server gives no figures: start it with --metrics",
    "unknown": "its /metrics are not those of vLLM, SGLang or llama-server",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server runs.

    Attributes:
        kind: Which server it is.
        model: Its model, under the name by which the API serves it.
        version: The server's version.
        method: The drafting method; empty if unknown.
        k: Tokens that may be drafted; 0 without speculative decoding, None if unknown.
        asks: Whether prompts can be sent to it.
    """

    kind: ServerKind
    model: str = ""
    version: str = ""
    method: str = ""
    k: int | None = None
    asks: bool = False

    def why(self, reading: Reading) -> str:
        """Why drafts are not visible, and how to make them so."""
        if self.kind == "llama.cpp" and reading.sample.emitted is None:
            return NO_METRICS[self.kind]
        if reading.k == 0 or (reading.k is None and self.k == 0):
            return NO_DRAFTER
        return COUNTERS_ONLY.get(self.kind, "")


def identify(pages: Pages, kind: ServerKind = "unknown") -> Identity:
    """Ask a server what it runs. ``kind`` is what its metrics say. Pages that it lacks leave gaps, no errors."""
    models = _json(pages, "/v1/models")
    model = words(under(models, "data", 0, "id"))
    if kind == "unknown":
        kind = _OWNERS.get(words(under(models, "data", 0, "owned_by")), kind)
    if kind == "vllm":
        return Identity(kind, model, words(under(_json(pages, "/version"), "version")), asks=bool(model))
    if kind == "sglang":
        return _sglang(_json(pages, "/server_info") or _json(pages, "/get_server_info"), model)
    if kind == "llama.cpp":
        return _llama(_json(pages, "/props"), _json(pages, "/slots"), model)
    return Identity(kind, model, asks=bool(model))


def _sglang(info: Any, model: str) -> Identity:
    method = words(under(info, "speculative_algorithm")).lower()
    k = whole(under(info, "speculative_num_steps"))
    return Identity(
        "sglang",
        model or words(under(info, "served_model_name")) or words(under(info, "model_path")),
        words(under(info, "version")),
        method,
        (k if k is not None and k <= MOST_POSITIONS else None) if method else 0 if isinstance(info, dict) else None,
        asks=bool(model),
    )


def _llama(props: Any, slots: Any, model: str) -> Identity:
    """llama-server says of each slot whether it drafts; the settings of requests hold how much."""
    drafts = any(under(slots, place, "speculative") is True for place in range(64))
    k = whole(under(props, "default_generation_settings", "params", "speculative.n_max"))
    return Identity(
        "llama.cpp",
        model,
        words(under(props, "build_info")),
        k=k if drafts and k is not None and k <= MOST_POSITIONS else None,
        asks=bool(model),
    )


def slots_in_use(pages: Pages) -> int | None:
    """How many requests llama-server answers, which it tells without ``--metrics`` too; None if it does not."""
    slots = _json(pages, "/slots")
    if not isinstance(slots, list) or not slots:
        return None
    return sum(under(slot, "is_processing") is True for slot in slots[:4096])


def _json(pages: Pages, path: str) -> Any:
    try:
        answer = pages.get(path, MOST_JSON_BYTES)
        return read_json(answer.body) if answer.status == 200 else None
    except (MalformedError, UnreachableError):
        return None
